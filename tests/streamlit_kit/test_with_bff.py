"""The kit with real assertions and handles of the front door."""

from __future__ import annotations

import time

import pytest

from bff.contract import Identity
from bff.kit.credentials import KitCredentials
from bff.sessions.assertion import Assertions
from bff.sessions.keyring import Keyring
from bff.sessions.record import Session, TokenSet
from bff.settings.tables import KitClientSettings
from streamlit_kit.assertion import AssertionRejected, Expected, read_assertion
from streamlit_kit.keys import KeySet
from tests.streamlit_kit.front_door import CLIENT, KIT_SECRET, KitFrontDoor

ISSUER = "https://apps.example.com"
ALICE = Identity(
    sub="alice",
    iss="https://idp.example.com",
    provider="corp",
    name="Alice Example",
    email="alice@example.com",
    email_verified=True,
    preferred_username="alice",
    roles=("analyst", "admin"),
    groups=("science",),
    acr="1",
    auth_time=1_700_000_000,
)


def make_session() -> Session:
    now = time.time()
    return Session(
        name="a" * 64,
        revision=1,
        identity=ALICE,
        tokens=TokenSet(access_token="provider-token"),
        sid="sid",
        origin=ISSUER,
        created_at=now,
        login_started_at=now,
        absolute_expires_at=now + 3600,
    )


@pytest.fixture
def assertions() -> Assertions:
    return Assertions(Keyring([b"k" * 32, b"old" * 12]), issuer=ISSUER, clock=time.time)


def test_the_kit_reads_all_claims_of_a_handshake_assertion(assertions: Assertions) -> None:
    session = make_session()
    page_session = read_assertion(
        assertions.for_handshake(session, client=CLIENT, routes={"api": "/api/"}).token,
        "handle",
        find_key=KeySet(assertions.jwks, clock=time.monotonic).find,
        expected=Expected(client=CLIENT, issuer=ISSUER),
        now=time.time(),
    )
    identity = page_session.identity
    for name in ("sub", "iss", "provider", "name", "email", "email_verified", "roles", "groups", "acr", "auth_time"):
        assert getattr(identity, name) == getattr(ALICE, name)
    assert identity.expires_at == int(session.absolute_expires_at)
    assert page_session.routes == {"api": "/api/"}


def test_an_assertion_for_an_api_signs_nobody_in_at_a_page(assertions: Assertions) -> None:
    with pytest.raises(AssertionRejected) as caught:
        read_assertion(
            assertions.for_upstream(make_session(), audience=f"kit:{CLIENT}").token,
            "handle",
            find_key=KeySet(assertions.jwks, clock=time.monotonic).find,
            expected=Expected(client=CLIENT, issuer=ISSUER),
            now=time.time(),
        )
    assert caught.value.code == "assertion_typ"


def test_the_front_door_accepts_the_headers_that_a_client_sends(door: KitFrontDoor, assertions: Assertions) -> None:
    clients = {CLIENT: KitClientSettings.model_validate({"secret": KIT_SECRET, "routes": ["api"]})}
    credentials = KitCredentials(clients, Keyring([b"k" * 32]))
    session = make_session()
    handle = credentials.handle_for(session.name, client=CLIENT)
    page_session = read_assertion(
        assertions.for_handshake(session, client=CLIENT, routes={"api": "/api/"}).token,
        handle,
        find_key=KeySet(assertions.jwks, clock=time.monotonic).find,
        expected=Expected(client=CLIENT),
        now=time.time(),
    )
    kit = door.kit()
    with kit.http:
        door.client(kit, page_session).get("users/me")
    request = door.server.last
    call = credentials.open_call(request.header("X-Vestibule-Kit") or "", request.header("X-Vestibule-Session") or "")
    assert (call.client, call.record_name) == (CLIENT, session.name)
