"""What an event of the audit log must say, and what it must not say: for the tests of its events."""

from __future__ import annotations

import ssl
from collections.abc import Callable, MutableMapping
from typing import Any

from bff.audit import masked
from bff.sessions.record import Session
from tests.front_door import KEY
from tests.security.house import House
from tests.security.kit_calls import KIT_CLIENTS
from tests.security.raw import RawAnswer
from tests.security.rejection import Answer

ADDRESS = "127.0.0.1"
ADMIN_TOKEN = "unit-test-admin-token-0123456789"
READ = "Sec-Fetch-Site: same-origin"
TRUST = ssl.create_default_context()
Event = MutableMapping[str, Any]


def only_event(house: House, act: Callable[[], Any], event: str, *, reason: str | None = None) -> tuple[Any, Event]:
    """Do `act`. Return its answer and its one audit event, which must be `event` with `reason` and hold no secret."""
    noted = len(house.audit)
    answer = act()
    house.door.do(house.door.app.bff.tokens.drain())
    left = [each for each in house.audit[noted:] if each.get("audit")]
    assert [(each["event"], each.get("reason")) for each in left] == [(event, reason)], left
    told = repr(left)
    secrets = [*house.provider.issued, house.provider.client.client_secret, KEY, ADMIN_TOKEN, *house.store.sessions]
    secrets += [cookie.value for browser in house.browsers for cookie in browser.cookies.history]
    secrets += [client["secret"] for client in KIT_CLIENTS.values()]
    for secret in filter(lambda text: len(text) > 10, secrets):
        assert secret not in told, f"logged: {secret[:60]!r}"
    return answer, left[0]


def assert_whom(event: Event, session: Session) -> None:
    """Person and session, as hashes that the account page and the operators' commands show too."""
    assert event["session"] == masked(session.name)
    assert event["subject"] == masked(session.identity.sub)
    assert event["iss"] == session.identity.iss
    assert event["provider"] == "corp"


def assert_where(event: Event, answer: Answer | None = None) -> None:
    """Address of the client, and the request's number as the client has it."""
    assert event["client"] == ADDRESS
    if answer is not None:
        headers = answer.header("x-request-id") if isinstance(answer, RawAnswer) else answer.headers["x-request-id"]
        assert event["request_id"] == headers
