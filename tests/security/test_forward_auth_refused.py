"""The page behind a proxy's `error_page`: its reason comes from a closed list, and it decides nothing. OR-1, LG-3."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest

from bff.web.refused import _REASONS
from tests.security.asking import ASKING, Asker
from tests.security.house import House

PAGE: dict[str, Any] = {"id": "pages", "path": "/", "kind": "page"}
ADMIN: dict[str, Any] = {"id": "admin", "path": "/admin", "kind": "page", "require": {"roles_any": ["chief"]}}
REQUEST_ID = "0123456789abcdef"


def page_url(house: House, **query: str) -> str:
    return f"{house.url}/auth/refused?{urlencode(query)}"


@pytest.mark.parametrize("reason", sorted(_REASONS))
def test_each_reason_has_a_page_with_its_own_status(house: House, reason: str) -> None:
    shown = house.browser().get(page_url(house, reason=reason, request_id=REQUEST_ID))
    assert shown.status_code == _REASONS[reason].status
    assert reason in shown.text
    assert REQUEST_ID in shown.text
    assert shown.headers["cache-control"] == "no-store"
    assert "set-cookie" not in shown.headers


@pytest.mark.parametrize("reason", ["", "<script>alert(1)</script>", "made_up", "Your password has expired"])
def test_another_reason_is_never_shown(house: House, reason: str) -> None:
    shown = house.browser().get(page_url(house, reason=reason, request_id="<b>x</b>"))
    assert shown.status_code == 503
    assert (reason not in shown.text) or not reason
    assert "<b>x</b>" not in shown.text


@pytest.mark.parametrize("query", ["reason=forbidden&reason=not_found", "%", "reason=%ff", "a" * 4000])
def test_a_query_that_cannot_be_read_is_a_failure_and_nothing_else(house: House, query: str) -> None:
    assert house.browser().get(f"{house.url}/auth/refused?{query}").status_code == 503


def test_a_signed_out_navigation_goes_on_to_the_sign_in(house: House) -> None:
    shown = house.browser().get(page_url(house, reason="login_required", return_to="/report?x=1"))
    assert shown.status_code == 302
    assert shown.headers["location"] == "/auth/login?return_to=%2Freport%3Fx%3D1"


def test_a_signed_out_script_gets_401_as_json(house: House) -> None:
    shown = house.browser().fetch(page_url(house, reason="login_required", return_to="/report"))
    assert shown.status_code == 401
    assert shown.json()["code"] == "login_required"
    assert shown.json()["request_id"]


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "/\\evil.example", "/auth/logout", "/api/x"]
)
def test_or_1_a_foreign_target_is_replaced(house: House, target: str) -> None:
    shown = house.browser().get(page_url(house, reason="login_required", return_to=target))
    assert shown.headers.get("location", "/auth/login?return_to=%2F") == "/auth/login?return_to=%2F"
    assert "evil" not in shown.text


def test_a_refused_person_reads_who_they_are_and_what_is_needed(build_house: Callable[..., House]) -> None:
    house = build_house(routes=[PAGE, ADMIN], **ASKING)
    browser = house.sign_in()
    answer = Asker(house.door.verify_port, house.host, "nginx", house.session_cookie(browser)).ask("/admin/x")
    shown = browser.get(f"{house.url}/auth/refused?{answer.one('x-vestibule-refusal')}")
    assert shown.status_code == 403
    assert "Alice" in shown.text
    assert "with the role chief" in shown.text
    assert "/auth/logout" in shown.text
    plain = browser.get(f"{house.url}/auth/refused?reason=forbidden")
    assert "You are signed in as Alice" in plain.text
