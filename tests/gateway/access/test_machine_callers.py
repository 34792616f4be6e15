"""Machine clients with their own bearer JWT: who is accepted, as whom, and who is refused."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from bff.contract import EndReason
from tests.fakes import OMIT, FakeProvider, RecordingUpstream, generate_key
from tests.front_door import RunningDoor, api_route, page_route, running_door

AUDIENCE = "models-api"


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeProvider]:
    with FakeProvider() as fake:
        yield fake


@pytest.fixture(scope="module")
def upstream() -> Iterator[RecordingUpstream]:
    with RecordingUpstream() as up:
        yield up


@pytest.fixture(scope="module")
def door(provider: FakeProvider, upstream: RecordingUpstream) -> Iterator[RunningDoor]:
    accepting = {
        "accept_bearer": {"providers": ["corp"], "audience": AUDIENCE},
        "require": {"scopes_all": ["models:read"]},
        "token": "access_token",
    }
    routes = [
        api_route(upstream, **accepting),
        api_route(upstream, **(accepting | {"id": "own", "path": "/own/", "token": "assertion", "audience": "inner"})),
        api_route(upstream, id="closed", path="/closed/"),
        page_route(upstream),
    ]
    with running_door({"corp": provider}, routes) as running:
        yield running


def token(provider: FakeProvider, *, header: dict[str, Any] | None = None, **claims: Any) -> str:
    now = int(time.time())
    table = {"iss": provider.issuer, "aud": AUDIENCE, "sub": "robot", "iat": now, "exp": now + 60}
    table |= {"scope": "models:read", "client_id": "robot", **claims}
    return provider.mint(
        {name: value for name, value in table.items() if value is not OMIT},
        header={"typ": "at+jwt", "kid": provider.signing_key.kid, **(header or {})},
    )


def call(door: RunningDoor, bearer: str, path: str = "/api/x", **more: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {bearer}", **more.pop("headers", {})}
    return httpx.get(door.url + path, headers=headers, **more)


def test_a_valid_bearer_token_is_accepted_and_passed_on(
    door: RunningDoor, provider: FakeProvider, upstream: RecordingUpstream
) -> None:
    bearer = token(provider)
    assert call(door, bearer).status_code == 200
    assert upstream.last.values("authorization") == [f"Bearer {bearer}"]
    assert upstream.last.header("x-auth-request-user") == "robot"


@pytest.mark.parametrize(
    "form",
    [
        {"nonce": "x"},
        {"header": {"typ": "JWT"}, "typ": "Bearer"},
        {"header": {"typ": "JWT"}, "typ": "Bearer", "nonce": "x"},
        {"header": {"typ": None}, "token_use": "access"},
    ],
    ids=str,
)
def test_rs_3_a_token_that_says_it_is_an_access_token_gets_in(
    door: RunningDoor, provider: FakeProvider, form: dict[str, Any]
) -> None:
    assert call(door, token(provider, **form)).status_code == 200


@pytest.mark.parametrize(
    ("word", "sent"), [(True, "robot@example.com"), ("true", "robot@example.com"), (False, ""), (OMIT, "")], ids=repr
)
def test_the_email_of_a_machine_is_sent_only_when_it_is_verified(
    door: RunningDoor, provider: FakeProvider, upstream: RecordingUpstream, word: object, sent: str
) -> None:
    assert call(door, token(provider, email="robot@example.com", email_verified=word)).status_code == 200
    assert upstream.last.header("x-auth-request-email") == sent


def test_a_route_with_assertions_sends_an_assertion_for_the_machine(
    door: RunningDoor, provider: FakeProvider, upstream: RecordingUpstream
) -> None:
    bearer = token(provider)
    assert call(door, bearer, "/own/x").status_code == 200
    (sent,) = upstream.last.values("authorization")
    assert sent.startswith("Bearer ")
    assert sent != f"Bearer {bearer}"


@pytest.mark.parametrize(
    "broken",
    [
        {"aud": "another-api"},
        {"iss": "https://evil.example"},
        {"exp": 1},
        {"exp": OMIT},
        {"sub": ""},
        {"events": {}},
        {"cnf": {"jkt": "x"}},
        {"header": {"typ": "JWT"}},
        {"header": {"typ": None}},
        {"header": {"typ": "JWT"}, "nonce": "x"},
        {"header": {"typ": "JWT"}, "typ": "ID"},
        {"header": {"typ": "JWT"}, "typ": "Bearer", "token_use": "id"},
        {"header": {"typ": "JWT"}, "typ": "Bearer", "at_hash": "x"},
        {"header": {"typ": "JWT"}, "typ": ["Bearer"]},
        {"header": {"typ": "at+jwt"}, "typ": "ID"},
        {"header": {"typ": "logout+jwt"}},
        {"header": {"kid": "unknown"}},
        {"header": {"crit": ["b64"]}},
    ],
    ids=str,
)
def test_a_broken_bearer_token_is_refused(
    door: RunningDoor, provider: FakeProvider, upstream: RecordingUpstream, broken: dict[str, Any]
) -> None:
    seen = len(upstream.requests)
    response = call(door, token(provider, **broken))
    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith('Bearer realm="gateway", error="invalid_token"')
    assert len(upstream.requests) == seen


def test_a_token_signed_with_a_foreign_key_is_refused(door: RunningDoor, provider: FakeProvider) -> None:
    now = int(time.time())
    claims = {"iss": provider.issuer, "aud": AUDIENCE, "sub": "robot", "iat": now, "exp": now + 60}
    header = {"typ": "at+jwt", "kid": provider.signing_key.kid}
    assert call(door, provider.mint(claims, header=header, key=generate_key("RS256"))).status_code == 401
    assert call(door, provider.mint(claims, header=header, alg="none")).status_code == 401


def test_a_token_without_the_scope_is_forbidden(door: RunningDoor, provider: FakeProvider) -> None:
    assert call(door, token(provider, scope="other")).status_code == 403


def test_a_request_with_two_credentials_is_refused(door: RunningDoor, provider: FakeProvider) -> None:
    bearer = token(provider)
    cookie = {"Cookie": f"vestibule={'a' * 43}.{'b' * 43}"}
    assert call(door, bearer, headers=cookie).json()["code"] == "two_credentials"
    twice = [("Authorization", f"Bearer {bearer}"), ("Authorization", f"Bearer {bearer}")]
    assert httpx.get(door.url + "/api/x", headers=twice).json()["code"] == "bearer_twice"


def test_a_route_without_bearer_access_ignores_a_bearer_token(
    door: RunningDoor, provider: FakeProvider, upstream: RecordingUpstream
) -> None:
    seen = len(upstream.requests)
    assert call(door, token(provider), "/closed/x").status_code == 401
    assert len(upstream.requests) == seen


def test_ending_a_person_refuses_tokens_issued_before(door: RunningDoor, provider: FakeProvider) -> None:
    bearer = token(provider, sub="leaver", iat=int(time.time()) - 1)
    assert call(door, bearer).status_code == 200
    door.do(door.app.bff.sessions.end_person(provider.issuer, "leaver", EndReason.REVOKED))
    assert call(door, bearer).status_code == 401
