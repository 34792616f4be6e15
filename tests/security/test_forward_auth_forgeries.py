"""FA-4, FA-5: headers that a proxy would pass on, and that would make another request of the one decided about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.security.asking import ASKING, IDENTITY, MODES, NAVIGATION, Asker
from tests.security.house import House

ROUTES: list[dict[str, Any]] = [
    {"id": "pages", "path": "/", "kind": "page", "claim_headers": {"X-Cost-Center": "cost_center"}},
    {"id": "open", "path": "/open", "kind": "page", "auth": "public"},
]
OVERRIDES = [
    *("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X_HTTP_Method_Override"),
    *("X-Override-URL", "X-HTTP-Path-Override"),
]
OTHER_SPELLINGS = [
    *("X_Auth_Request_User", "X-Auth_Request-Email", "X.Auth.Request.Groups", "x_auth_request_user", "REMOTE_USER"),
    *("X_Forwarded_User", "X-Forwarded_Email", "X_Vestibule_Assertion", "X_Cost_Center", "X.Cost-Center"),
]


@pytest.fixture
def house(build_house: Callable[..., House]) -> House:
    return build_house(routes=ROUTES, **ASKING)


def status(house: House, mode: str, target: str, *lines: tuple[str, str]) -> int:
    return Asker(house.door.verify_port, house.host, mode).ask(target, headers=[*NAVIGATION, *lines]).status


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", OTHER_SPELLINGS)
def test_fa_4_another_spelling_of_an_identity_header_is_refused(house: House, mode: str, name: str) -> None:
    assert status(house, mode, "/open", (name, "mallory")) == 403
    refused = house.refusals()[-1]
    assert (refused["reason"], name.lower() in refused["detail"]) == ("forged_header", True)


@pytest.mark.parametrize("name", OVERRIDES)
def test_fa_5_another_method_or_address_for_the_application_is_refused(house: House, name: str) -> None:
    assert status(house, "nginx", "/open", (name, "DELETE")) == 403
    assert house.refusals()[-1]["reason"] == "forged_header"


@pytest.mark.parametrize(
    "lines",
    [
        [("Upgrade", "h2c")],
        [("Upgrade", "websocket, h2c")],
        [("Upgrade", "TLS/1.3")],
        [("HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA")],
    ],
)
@pytest.mark.parametrize("mode", MODES)
def test_fa_5_no_other_protocol_is_allowed(house: House, mode: str, lines: list[tuple[str, str]]) -> None:
    assert status(house, mode, "/open", *lines) == 403


@pytest.mark.parametrize("mode", MODES)
def test_fa_5_headers_of_browsers_and_proxies_are_no_forgery(house: House, mode: str) -> None:
    usual = [
        *((name, "mallory") for name in IDENTITY),
        *(("X-Real-IP", "203.0.113.9"), ("X-Request-Start", "t=1"), ("Upgrade-Insecure-Requests", "1")),
        *(("DNT", "1"), ("SSL_CLIENT_VERIFY", "NONE"), ("x_custom", "1"), ("If-None-Match", '"x"')),
    ]
    assert status(house, mode, "/open", *usual) == 200
