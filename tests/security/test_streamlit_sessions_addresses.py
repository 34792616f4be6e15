"""WS-6: each spelling of an upload address is understood, or refused."""

from __future__ import annotations

import pytest

from tests.security.house import House
from tests.streamlit_tab import UNKNOWN_UPLOAD

UPLOAD_SPELLINGS = {
    "plain": UNKNOWN_UPLOAD,
    "below a path of the app": f"/base/of/an/app{UNKNOWN_UPLOAD}",
    "encoded letter": UNKNOWN_UPLOAD.replace("upload", "%75pload"),
    "encoded underscore": UNKNOWN_UPLOAD.replace("_stcore", "%5Fstcore"),
    "upper case": UNKNOWN_UPLOAD.replace("_stcore", "_STCORE").replace("upload_file", "Upload_File"),
    "twice": UNKNOWN_UPLOAD + UNKNOWN_UPLOAD,
    "no session": "/_stcore/upload_file",
    "empty session": "/_stcore/upload_file/",
    "odd session": "/_stcore/upload_file/(x)/y",
}
AMBIGUOUS_SPELLINGS = {
    "encoded twice": UNKNOWN_UPLOAD.replace("upload", "%2575pload"),
    "two slashes": UNKNOWN_UPLOAD.replace("/upload", "//upload"),
    "a dot segment": UNKNOWN_UPLOAD.replace("/upload", "/./upload"),
    "a backslash": UNKNOWN_UPLOAD.replace("/upload", "\\upload"),
    "an encoded slash": UNKNOWN_UPLOAD.replace("/upload", "%2fupload"),
    "a parameter": UNKNOWN_UPLOAD.replace("upload_file", "upload_file;x"),
    "an encoded parameter": UNKNOWN_UPLOAD.replace("upload_file", "upload_file%3bx"),
}


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST", "GET", "OPTIONS"])
@pytest.mark.parametrize("address", UPLOAD_SPELLINGS.values(), ids=UPLOAD_SPELLINGS)
def test_ws_6_a_session_that_no_socket_announced_accepts_no_upload(house: House, address: str, method: str) -> None:
    cookie = house.session_cookie(house.sign_in())
    house.upstream.clear()
    answer = house.get_raw(address, "Sec-Fetch-Site: same-origin", method=method, cookie=cookie)
    assert answer.status == 403
    assert house.upstream.requests == []


@pytest.mark.parametrize("address", AMBIGUOUS_SPELLINGS.values(), ids=AMBIGUOUS_SPELLINGS)
def test_ws_6_an_address_that_can_be_read_as_an_upload_is_refused(house: House, address: str) -> None:
    cookie = house.session_cookie(house.sign_in())
    house.upstream.clear()
    answer = house.get_raw(address, "Sec-Fetch-Site: same-origin", method="PUT", cookie=cookie)
    assert answer.status == 400
    assert house.upstream.requests == []
