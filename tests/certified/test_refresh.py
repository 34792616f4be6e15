"""Refreshing at an OpenID-certified provider that rotates refresh tokens and punishes their reuse."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import httpx
import pytest

from bff.sessions.record import TokenSet
from tests.certified.relying_party import KINDS, SECRET, CertifiedDoor, Kind, kind_named, session_cookie
from tests.fakes import RecordingUpstream

OpenDoor = Callable[[Kind], CertifiedDoor]
LIFETIME = 10
CALLS = 8
SHORT = [replace(kind, access_token_seconds=LIFETIME) for kind in KINDS]


def pass_the_end_of(tokens: TokenSet, door: CertifiedDoor) -> None:
    """Move the door's clock. The provider allows clients 15 seconds, so it still accepts the door's assertions."""
    assert tokens.expires_at is not None
    door.ahead = tokens.expires_at - time.time() + 0.1


def signed_in(door: CertifiedDoor) -> str:
    """The cookie of a fresh session."""
    with door.browser() as browser:
        door.sign_in(browser)
        return session_cookie(browser)


def bearers(upstream: RecordingUpstream) -> set[str | None]:
    return {each.header("authorization") for each in upstream.requests if each.path == "/models"}


@pytest.mark.parametrize("kind", SHORT, ids=lambda kind: kind.name)
def test_parallel_calls_at_the_expiry_share_one_refresh(
    open_door: OpenDoor, kind: Kind, upstream: RecordingUpstream
) -> None:
    door = open_door(kind)
    cookie = signed_in(door)
    before = door.session(cookie).tokens
    pass_the_end_of(before, door)
    with ThreadPoolExecutor(CALLS) as pool:
        answers = list(pool.map(lambda _: door.fetch_as(cookie, "/api/models"), range(CALLS)))
    assert [answer.status_code for answer in answers] == [200] * CALLS
    after = door.session(cookie).tokens
    assert len(door.events("grant.success", grant_type="refresh_token")) == 1
    assert not door.events("grant.error")
    assert bearers(upstream) == {f"Bearer {after.access_token}"}
    assert after.access_token != before.access_token
    assert after.refresh_token not in ("", before.refresh_token)
    assert after.id_token != before.id_token
    told = door.fetch_as(cookie, "/auth/session").json()
    assert (told["sub"], told["roles"]) == ("alice", ["analyst", "admin"])


def test_tokens_of_two_seconds_are_refreshed_again_and_again_with_the_rotated_refresh_token(
    open_door: OpenDoor,
) -> None:
    door = open_door(replace(KINDS[0], access_token_seconds=2))
    cookie = signed_in(door)
    for grants in (1, 2):
        time.sleep(2.1)
        assert door.fetch_as(cookie, "/api/models").status_code == 200
        assert len(door.events("grant.success", grant_type="refresh_token")) == grants
    assert not door.events("grant.error")


def test_a_refresh_token_that_somebody_else_has_used_ends_the_session(open_door: OpenDoor) -> None:
    door = open_door(kind_named("secret in the form", access_token_seconds=LIFETIME))
    cookie = signed_in(door)
    tokens = door.session(cookie).tokens
    stolen = {
        "grant_type": "refresh_token",
        "refresh_token": tokens.refresh_token,
        "client_id": door.client_id,
        "client_secret": SECRET,
    }
    with httpx.Client(verify=door.trust) as thief:
        assert thief.post(f"{door.provider.issuer}/token", data=stolen).status_code == 200
    pass_the_end_of(tokens, door)
    assert door.fetch_as(cookie, "/api/models").status_code == 401
    assert not door.is_signed_in(cookie)
    assert [event.error for event in door.events("grant.error")] == ["invalid_grant"]
