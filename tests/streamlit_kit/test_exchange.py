from __future__ import annotations

import time
from typing import Any

import pytest

from streamlit_kit import ApiUnavailable, KitMisconfigured
from streamlit_kit._streamlit import browser_binding
from streamlit_kit.exchange import exchange_code
from streamlit_kit.runtime import Kit
from tests.fakes import OMIT
from tests.streamlit_kit.front_door import KitFrontDoor

EXCHANGE = "/auth/kit/exchange"
BINDING = "b" * 43
# The same token with two masks, as Streamlit writes the cookie on two visits, and another token.
TOKEN, OTHER_TOKEN = bytes(range(16)), bytes(range(1, 17))


def xsrf_cookie(token: bytes, mask: bytes) -> str:
    masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(token))
    return f"2|{mask.hex()}|{masked.hex()}|1760000000"


def make_answer(**changes: Any) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "session_handle": "exchanged.handle",
        "expires_at": int(time.time()) + 3600,
        "identity": {"sub": "alice", "iss": "https://idp.example.com", "roles": ["analyst"], "claims": {"team": "red"}},
        "routes": {"api": "/api/"},
    } | changes
    return {name: value for name, value in answer.items() if value is not OMIT}


def test_a_code_gives_a_session(door: KitFrontDoor, kit: Kit) -> None:
    answer = make_answer()
    door.server.respond(EXCHANGE, json=answer)
    session = exchange_code(kit, "one-time", binding=BINDING)
    assert session is not None
    assert (session.identity.sub, session.identity.roles) == ("alice", ("analyst",))
    assert session.identity.iss == "https://idp.example.com"
    assert session.identity.expires_at == answer["expires_at"]
    assert session.identity.claims == {"team": "red"}
    assert session.routes == {"api": "/api/"}
    assert session.handle == "exchanged.handle"
    request = door.server.last
    assert (request.method, request.json()) == ("POST", {"code": "one-time", "binding": BINDING})
    assert request.header("X-Vestibule-Kit") == "dashboards:front-door-test"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429])
def test_a_refused_code_signs_nobody_in(door: KitFrontDoor, kit: Kit, status: int) -> None:
    door.problem(EXCHANGE, status, "code_used")
    assert exchange_code(kit, "one-time", binding=BINDING) is None
    assert len(door.server.requests_to(EXCHANGE)) == 1


@pytest.mark.parametrize(("code", "binding"), [("one-time", ""), ("x" * 513, BINDING)])
def test_a_code_is_not_sent_without_the_binding_of_a_browser(
    door: KitFrontDoor, kit: Kit, code: str, binding: str
) -> None:
    assert exchange_code(kit, code, binding=binding) is None
    assert not door.server.requests_to(EXCHANGE)


def test_a_refused_kit_credential_is_a_configuration_error(door: KitFrontDoor, kit: Kit) -> None:
    door.problem(EXCHANGE, 401, "kit_credential")
    with pytest.raises(KitMisconfigured, match="VESTIBULE_KIT__SECRET"):
        exchange_code(kit, "one-time", binding=BINDING)


def test_an_outage_during_the_exchange_is_not_a_refusal(door: KitFrontDoor, kit: Kit) -> None:
    door.problem(EXCHANGE, 503, "store_unavailable")
    with pytest.raises(ApiUnavailable):
        exchange_code(kit, "one-time", binding=BINDING)


@pytest.mark.parametrize(
    "changes",
    [
        {"session_handle": OMIT},
        {"session_handle": "a\r\nb"},
        {"expires_at": -1},
        {"identity": {}},
        {"identity": {"sub": "", "iss": "x"}},
        {"identity": {"sub": "alice", "iss": "x", "roles": "admin"}},
        {"routes": {"api": "//evil.example/"}},
    ],
)
def test_an_exchange_answer_of_another_form_signs_nobody_in(
    door: KitFrontDoor, kit: Kit, changes: dict[str, Any]
) -> None:
    door.server.respond(EXCHANGE, json=make_answer(**changes))
    with pytest.raises(ApiUnavailable) as caught:
        exchange_code(kit, "one-time", binding=BINDING)
    assert caught.value.code == "exchange_malformed"


def test_the_binding_of_a_browser_stays_the_same_with_a_new_xsrf_mask() -> None:
    first, second = xsrf_cookie(TOKEN, b"\x01\x02\x03\x04"), xsrf_cookie(TOKEN, b"\xff\x00\xaa\x55")
    assert first != second
    assert browser_binding(first) == browser_binding(second)
    assert len(browser_binding(first)) == 43
    assert browser_binding(xsrf_cookie(OTHER_TOKEN, b"\x01\x02\x03\x04")) != browser_binding(first)


@pytest.mark.parametrize(
    "cookie", ["", "2", "1|00|00|0", "2|01020304|zz|1", "2|0102|" + "00" * 16 + "|1", "2|01020304|00|1", "00" * 16]
)
def test_an_xsrf_cookie_of_another_form_gives_no_binding(cookie: str) -> None:
    assert browser_binding(cookie) == ""
