"""All endpoints read the session cookie in the same way."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import pytest
from structlog.testing import capture_logs

from bff.audit import Audit
from bff.browser.cookies import CookieNames
from bff.sessions.cookie import presented_record
from bff.sessions.keyring import record_name
from bff.sessions.lifecycle import COOKIE_PURPOSE, Sessions
from bff.settings.tables import SessionSettings
from bff.stores.memory import MemoryStore
from tests.bff import factories
from tests.fakes import FakeClock

NAMES = CookieNames.for_origin(secure=True)
ID = "i" * 43
KEYRING = factories.keyring()
SIGNED = KEYRING.sign(ID, purpose=COOKIE_PURPOSE)


def read(*headers: str) -> tuple[str, list[MutableMapping[str, Any]]]:
    sessions = Sessions(MemoryStore(clock=FakeClock()), KEYRING, SessionSettings())
    with capture_logs() as events:
        name = presented_record([header.encode() for header in headers], sessions, names=NAMES, audit=Audit())
    return name, events


def test_a_signed_session_cookie_gives_its_record() -> None:
    assert read(f"theme=dark; {NAMES.session}={SIGNED}") == (record_name(ID), [])


@pytest.mark.parametrize(
    "header",
    [
        pytest.param("", id="no cookie"),
        pytest.param(f"{NAMES.session}={SIGNED[:-1]}{'A' if SIGNED[-1] != 'A' else 'B'}", id="another signature"),
        pytest.param(f"{NAMES.session}=x", id="another form"),
        pytest.param(f"vestibule={SIGNED}", id="the name without its prefix"),
    ],
)
def test_a_foreign_or_broken_cookie_gives_no_session_and_no_event(header: str) -> None:
    assert read(header) == ("", [])


@pytest.mark.parametrize("separator", ["; ", None], ids=["in one header", "in two headers"])
def test_two_session_cookies_give_no_session_and_one_log_line(separator: str | None) -> None:
    cookie = f"{NAMES.session}={SIGNED}"
    name, events = read(separator.join([cookie, cookie])) if separator else read(cookie, cookie)
    assert (name, [event["event"] for event in events]) == ("", ["duplicate_cookie"])
