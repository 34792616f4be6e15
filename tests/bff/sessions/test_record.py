"""The session record and events: written data is read back, and data of other versions is refused."""

from __future__ import annotations

import json

import pytest

from bff.contract import EndReason, Identity
from bff.sessions.record import Session, dump_session, load_session
from bff.stores.events import (
    EverythingUnknown,
    SessionChanged,
    SessionEvent,
    SessionsEnded,
    event_from_wire,
    event_to_wire,
)
from tests.bff.factories import session, tokens

FULL = Identity(
    sub="alice",
    iss="https://idp.example.com",
    provider="corp",
    name="Zoë ✓",
    email="a@example.com",
    email_verified=True,
    preferred_username="alice",
    roles=("a", "b"),
    groups=("g",),
    acr="2",
    auth_time=5,
    expires_at=9,
    claims={"nested": {"list": [1, None, "x"]}, "sid": "s"},
)


@pytest.mark.parametrize(
    "before",
    [
        session(),
        session(identity=FULL, device="Firefox on Linux", revision=7, idle_expires_at=99.5),
        session(tokens=tokens(expires_at=None, refresh_token="", scope="")),
    ],
    ids=["the usual fields", "every field of the identity", "the access token alone"],
)
def test_a_record_is_read_back_as_it_was_written(before: Session) -> None:
    after = load_session(
        dump_session(before), name=before.name, revision=before.revision, idle_expires_at=before.idle_expires_at
    )
    assert after == before


@pytest.mark.parametrize(
    ("scope", "scopes"),
    [
        pytest.param("", set(), id="no scope"),
        pytest.param("openid", {"openid"}, id="one"),
        pytest.param("openid  profile openid", {"openid", "profile"}, id="two, one of them twice"),
    ],
)
def test_the_names_in_a_scope_are_separated(scope: str, scopes: set[str]) -> None:
    assert tokens(scope=scope).scopes == scopes


def test_name_revision_and_idle_time_are_stored_next_to_the_sealed_part() -> None:
    table = json.loads(dump_session(session(revision=7)))
    assert not {"name", "revision", "idle_expires_at"} & table.keys()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"garbage",
        b"[]",
        b"{}",
        b'{"identity":{}}',
        b'{"identity":"x","tokens":{}}',
        dump_session(session()).replace(b'"sid"', b'"other"'),
        dump_session(session()).replace(b'"access_token"', b'"other"'),
        dump_session(session()).replace(b'"roles":[', b'"rules":['),
    ],
    ids=[
        "empty",
        "not JSON",
        "a list",
        "no members",
        "an empty identity",
        "an identity of another type",
        "no sid",
        "no access token",
        "no roles",
    ],
)
def test_a_record_of_another_schema_is_refused(data: bytes) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        load_session(data, name="n", revision=0, idle_expires_at=0)


def test_a_printed_session_shows_no_token() -> None:
    shown = repr(session())
    assert not any(secret in shown for secret in ("access-1", "refresh-1", "id-token-1"))


EVENTS: list[SessionEvent] = [
    SessionsEnded(EndReason.LOGOUT, name="r"),
    *(SessionsEnded(reason, owner="o", at=1234.5) for reason in EndReason),
    SessionChanged("r"),
    EverythingUnknown(),
]


@pytest.mark.parametrize("event", EVENTS)
def test_an_event_is_read_back_as_it_was_written(event: SessionEvent) -> None:
    assert event_from_wire(event_to_wire(event)) == event


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x",
        b"[]",
        b"{}",
        b'{"e":"other"}',
        b'{"e":"changed"}',
        b'{"e":"ended","reason":"bored","name":"","owner":"","at":0}',
        b'{"e":"ended","reason":"logout","name":"r"}',
        b'{"e":"ended","reason":"logout","name":"","owner":"","at":"soon"}',
        b"\xff",
    ],
)
def test_an_event_of_another_version_is_refused(data: bytes) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        event_from_wire(data)
