"""What browsers ask for by themselves gets an empty 404 before a sign-in, and nothing else changes."""

from __future__ import annotations

import httpx
import pytest

from bff.browser.unasked import PATHS
from tests.security.house import House

IMAGE = {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "image"}
NAVIGATION = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "none", "Sec-Fetch-Dest": "document"}


@pytest.mark.parametrize("path", sorted(PATHS))
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_request_for_an_icon_before_the_sign_in_gets_an_empty_404_without_a_log_line(
    house: House, path: str, method: str
) -> None:
    answer = httpx.request(method, f"{house.url}{path}", headers=IMAGE)
    assert (answer.status_code, answer.content) == (404, b"")
    assert answer.headers["cache-control"] == "no-store"
    assert "set-cookie" not in answer.headers
    assert house.upstream.requests == []
    assert house.refusals() == []


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("POST", "/favicon.ico", IMAGE, 401),
        ("GET", "/favicon.ico/x", IMAGE, 401),
        ("GET", "/x/favicon.ico", IMAGE, 401),
        ("GET", "/Favicon.ico", IMAGE, 401),
        ("GET", "/favicon.ico", NAVIGATION, 302),
    ],
    ids=["a write", "below it", "elsewhere", "in capitals", "a navigation"],
)
def test_all_requests_except_those_for_icons_need_a_sign_in(
    house: House, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    answer = httpx.request(method, f"{house.url}{path}", headers=headers)
    assert answer.status_code == status
    assert house.upstream.requests == []


def test_a_signed_in_person_gets_the_icon_of_the_application(house: House) -> None:
    cookie = house.session_cookie(house.sign_in())
    headers = IMAGE | {"Cookie": f"vestibule={cookie}"}
    assert httpx.get(f"{house.url}/favicon.ico", headers=headers).status_code == 200
    assert house.upstream.requests[-1].path == "/favicon.ico"
