"""PX-10: a path passes unchanged if every reader finds the same place. Otherwise it is refused, with the reason."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

import pytest

from tests.fakes import RecordingUpstream
from tests.front_door import page_route
from tests.security.house import House

Builder = Callable[..., House]

EMPTY = b"Content-Length: 0\r\n\r\n"
NAMES = {
    "accents, hash and per cent": "résumé (1) #2 & 50%.txt",
    "a hash": "a#b.txt",
    "a question mark": "what?.txt",
    "a semicolon": "a;b=c.txt",
    "Japanese, fullwidth brackets": "報告（最終）.pdf",
    "Chinese, fullwidth ampersand": "报告＆附件：终稿.pdf",
    "Thai": "รายงานประจำปี.pdf",
    "Arabic": "تقرير نهائي.pdf",
    "emoji with joiners": "👩‍🔬🎉.png",
    "an escape as its name": "50%25",
    "a per cent sign at the end": "100%",
    "a space at the end": "notes ",
    "a dot at the end": "notes.",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_px_10_a_path_with_any_file_name_is_passed_on_byte_for_byte(house: House, cookie: str, name: str) -> None:
    """Encoded as browsers do, and with every byte encoded."""
    encoded = b"/files/" + quote(name).encode()
    whole = b"/files/" + b"".join(b"%%%02x" % byte for byte in name.encode())
    for target in (encoded, whole, encoded + b"?download=1"):
        assert house.get_raw(target, cookie=cookie).status == 200
        assert house.upstream.last.target == target


@pytest.mark.parametrize("target", ["/files/報告.pdf", "/ａdmin", "/．．/admin"])
def test_px_10_bytes_that_a_request_line_cannot_hold_are_refused(house: House, cookie: str, target: str) -> None:
    """Clients encode them (RFC 9112 section 3.2); what is behind the front door refuses them too."""
    house.upstream.clear()
    assert house.get_raw(target.encode(), cookie=cookie).status == 400
    assert house.upstream.requests == []


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (b"/admin%3f/x", "one of its readings leads elsewhere"),
        (b"/Admin", "without regard to case it leads elsewhere"),
        (b"/admin%252f..", "a dot segment"),
        (b"/%EF%BD%81dmin", "one of its readings leads elsewhere"),
        (b"/admin;x=1/y", "one of its readings leads elsewhere"),
        (b"/%2561dmin/x", "one of its readings leads elsewhere"),
        (b"/%252561dmin/x", "one of its readings leads elsewhere"),
        (b"/auth%253b/x", "one of its readings leads elsewhere"),
        (b"/files/%2500", "a control character"),
        (b"/files/a%2Fb", "an encoded slash, and the route does not say encoded_slashes = true"),
        (b"/files/a%5Cb", "an encoded slash, and the route does not say encoded_slashes = true"),
    ],
)
def test_px_10_the_reason_for_a_refused_path_is_on_the_page_and_in_the_log(
    house: House, cookie: str, target: bytes, reason: str
) -> None:
    house.audit.clear()
    house.upstream.clear()
    answer = house.get_raw(target, "Accept: text/html", "Sec-Fetch-Mode: navigate", cookie=cookie)
    assert answer.status == 400
    assert reason in answer.body.decode()
    refusal = next(event for event in house.audit if event["event"] == "request_refused")
    assert (refusal["reason"], refusal["detail"]) == ("ambiguous_path", reason)
    assert house.upstream.requests == []


@pytest.mark.parametrize("target", [b"/git/group%2Fproject/x", b"/git/a%5Cb", b"/git/%E5%A0%B1%2F%231"])
def test_px_10_an_encoded_slash_is_accepted_where_the_route_allows_it(
    build_house: Builder, upstream: RecordingUpstream, target: bytes
) -> None:
    house = build_house(routes=[page_route(upstream, id="git", path="/git", encoded_slashes=True)])
    cookie = house.session_cookie(house.sign_in())
    assert house.get_raw(target, cookie=cookie).status == 200
    assert house.upstream.last.target == target
    assert house.get_raw(b"/git/a%2f..%2fb", cookie=cookie).status == 400
    assert house.get_raw(b"/git%2fx", cookie=cookie).status == 400


def test_px_10_a_path_after_removing_the_prefix_never_starts_with_two_slashes(
    build_house: Builder, upstream: RecordingUpstream
) -> None:
    house = build_house(routes=[page_route(upstream, id="app", path="/app", strip_prefix=True)])
    cookie = house.session_cookie(house.sign_in())
    house.upstream.clear()
    assert house.get_raw(b"/app//evil.example/x", cookie=cookie).status == 400
    assert house.upstream.requests == []
    assert house.get_raw(b"/app/x//y", cookie=cookie).status == 200
    assert house.upstream.last.target == b"/x//y"


@pytest.mark.parametrize("query", ["", "?a=1&b=%2F%3F", "?next=//evil.example"])
def test_px_10_a_page_address_without_its_final_slash_redirects_to_the_slash(
    build_house: Builder, upstream: RecordingUpstream, query: str
) -> None:
    house = build_house(
        routes=[
            page_route(upstream, id="shiny", path="/shiny", strip_prefix=True),
            page_route(upstream, id="api", path="/api", kind="api", strip_prefix=True),
        ]
    )
    cookie = house.session_cookie(house.sign_in())
    house.upstream.clear()
    answer = house.get_raw(f"/shiny{query}", cookie=cookie)
    assert (answer.status, answer.header("location")) == (308, f"/shiny/{query}")
    assert house.get_raw(f"/shiny{query}", cookie="").status == 401
    assert house.upstream.requests == []
    assert house.get_raw(f"/shiny/{query}", cookie=cookie).status == 200
    assert house.get_raw(f"/api{query}", "Sec-Fetch-Site: same-origin", cookie=cookie).status == 200


@pytest.mark.parametrize("path", ["/oauth2callback?code=1", "/_stcore/metrics", "/_stcore/agent/x"])
def test_ws_6_addresses_of_streamlit_are_ordinary_paths_for_other_applications(
    build_house: Builder, upstream: RecordingUpstream, path: str
) -> None:
    """Only `framework = "streamlit"` closes them; a `streamlit:` upstream has it by itself."""
    house = build_house(
        routes=[
            page_route(upstream, id="other", path="/"),
            page_route(upstream, id="lit", path="/lit", framework="streamlit"),
        ]
    )
    cookie = house.session_cookie(house.sign_in())
    assert house.get_raw(path, cookie=cookie).status == 200
    assert house.upstream.last.target == path.encode()
    assert house.get_raw("/lit" + path, cookie=cookie).status == 404


def test_lg_1_a_refused_path_has_its_route_in_the_access_log(house: House, cookie: str) -> None:
    for target, status, route in (
        ("/domain/x", 403, "domain"),
        ("/admin%3bx", 400, "dashboards"),
        ("/api/x", 401, "api"),
        ("/strict/x", 403, "strict"),
        ("/auth/nothing", 404, "auth"),
    ):
        house.audit.clear()
        shown = "" if status == 401 else cookie
        answer = house.get_raw(target, "Sec-Fetch-Mode: cors", "Sec-Fetch-Site: same-origin", cookie=shown)
        line = next(event for event in house.audit if event["event"] == "request")
        assert (answer.status, line["route"]) == (status, route)


def test_px_5_a_redirect_to_a_file_with_a_space_is_encoded(house: House, cookie: str) -> None:
    house.upstream.respond("/download", raw=b"HTTP/1.1 302 Found\r\nLocation: /files/my report.pdf\r\n" + EMPTY)
    answer = house.get_raw("/download", cookie=cookie)
    assert (answer.status, answer.header("location")) == (302, "/files/my%20report.pdf")
    assert house.get_raw(answer.header("location"), cookie=cookie).status == 200
    named = "HTTP/1.1 302 Found\r\nLocation: /files/報告.pdf\r\nX-Name: é\r\n".encode()
    house.upstream.respond("/named", raw=named + EMPTY)
    answer = house.get_raw("/named", cookie=cookie)
    assert (answer.status, answer.header("location")) == (302, f"/files/{quote('報告')}.pdf")


def test_px_5_a_redirect_that_no_browser_can_read_is_dropped_with_a_log_line(house: House, cookie: str) -> None:
    house.upstream.respond("/broken", raw=b"HTTP/1.1 302 Found\r\nLocation: http://[bad\r\n" + EMPTY)
    answer = house.get_raw("/broken", cookie=cookie)
    assert (answer.status, answer.header("location")) == (302, "")
    assert any(event.get("header") == "location" for event in house.audit)
