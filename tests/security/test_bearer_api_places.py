"""RS: in which place of a request a token is accepted, and whose tokens an API accepts."""

import base64
import json
import time
from collections.abc import Iterator

import pytest

from bff.bearer import JWTBearer
from bff.contract import Identity
from bff.sessions.assertion import Assertions
from bff.sessions.keyring import Keyring
from bff.sessions.record import Session, TokenSet
from tests.fakes import FakeProvider
from tests.front_door import KEY
from tests.security.bearer_calls import AUDIENCE, Api, running_api


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with FakeProvider() as provider:
        provider.keys.active("ES256")
        bearer = JWTBearer(provider.issuer, AUDIENCE, jwks_url=f"{provider.issuer}/jwks")
        with running_api(bearer, provider) as api:
            yield api


def spellings(token: str) -> dict[str, list[str]]:
    bearer = f"Authorization: Bearer {token}"
    header, payload, signature = token.split(".")
    flattened = base64.b64encode(json.dumps({"protected": header, "payload": payload}).encode()).decode()
    return {
        "twice": [bearer, bearer],
        "good and bad": [bearer, "Authorization: Bearer x"],
        "bad and good": ["Authorization: Bearer x", bearer],
        "bearer and basic": [bearer, "Authorization: Basic eDp4"],
        "bearer and DPoP": [bearer, f"Authorization: DPoP {token}"],
        "DPoP scheme": [f"Authorization: DPoP {token}"],
        "Basic scheme": [f"Authorization: Basic {token}"],
        "no scheme": [f"Authorization: {token}"],
        "list in one header": [f"{bearer}, Bearer {token}"],
        "padding": [f"{bearer}=="],
        "two spaces": [f"Authorization: Bearer  {token}"],
        "space inside": [f"Authorization: Bearer {token[:20]} {token[20:]}"],
        "dot behind": [f"{bearer}."],
        "dot before": [f"Authorization: Bearer .{token}"],
        "four parts": [f"{bearer}.AAAA"],
        "quotes": [f'Authorization: Bearer "{token}"'],
        "percent-encoded": [f"Authorization: Bearer {token.replace('.', '%2E')}"],
        "JSON": [f"Authorization: Bearer {flattened}"],
        "standard base64": [f"Authorization: Bearer {header}.{payload}.{signature[:-2]}+/"],
        "no signature": [f"Authorization: Bearer {header}.{payload}."],
        "empty": ["Authorization: Bearer "],
        "empty scheme": ["Authorization:"],
        "form encoded": [f"Authorization: Bearer access_token={token}"],
    }


@pytest.mark.parametrize("case", spellings("a.b.c"))
def test_rs_6_only_one_token_in_one_authorization_header_is_accepted(api: Api, case: str) -> None:
    token = api.token()
    answer = api.get(*spellings(token)[case])
    assert answer.status in (400, 401)
    assert token.encode() not in answer.received


def test_rs_6_a_token_in_the_query_or_the_body_is_ignored(api: Api) -> None:
    token = api.token()
    assert api.get(path=f"/me?access_token={token}").status in (400, 401)
    assert api.get(f"Authorization: Bearer {token}", path=f"/me?access_token={token}").status == 400
    form = "Content-Type: application/x-www-form-urlencoded"
    assert api.get(form, path="/me", method="POST", body=f"access_token={token}".encode()).status == 401
    assert api.get(f"Cookie: access_token={token}; Authorization={token}").status == 401


def test_rs_6_a_token_with_changed_unused_bits_is_refused(api: Api) -> None:
    """Two spellings of one signature would pass a list of revoked tokens."""
    for _ in range(8):
        token = api.token(jti=base64.urlsafe_b64encode(str(time.time_ns()).encode()).decode())
        last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        place = last.index(token[-1])
        for other in {last[place ^ bit] for bit in (1, 2, 3)}:
            assert api.send(token[:-1] + other).status == 401


def test_rs_4_no_token_is_accepted_while_the_keys_are_unavailable() -> None:
    with FakeProvider() as provider:
        provider.bend.jwks.raw(500)
        bearer = JWTBearer(provider.issuer, AUDIENCE, jwks_url=f"{provider.issuer}/jwks")
        with running_api(bearer, provider) as api:
            answer = api.send(api.token())
            assert answer.status == 503
            assert answer.header("retry-after")


def test_rs_1_an_api_refuses_a_handshake_assertion_for_the_kit() -> None:
    """Both kinds of first-party assertions are signed with the same keys: only one of them opens an API."""
    issuer = "https://gw.example"
    keys = Assertions(Keyring([KEY.encode()]), issuer=issuer, clock=time.time)
    with FakeProvider() as published:
        published.bend.jwks.raw(json=keys.jwks())
        bearer = JWTBearer(issuer, AUDIENCE, jwks_url=f"{published.issuer}/jwks")
        with running_api(bearer, published) as api:
            session = signed_in_session(issuer)
            assert api.send(keys.for_upstream(session, audience=AUDIENCE).token).status == 200
            assert api.send(keys.for_upstream(session, audience="other").token).status == 401
            for client in ("dashboards", AUDIENCE, AUDIENCE.removeprefix("kit:")):
                assert api.send(keys.for_handshake(session, client=client, routes={}).token).status == 401


def signed_in_session(origin: str) -> Session:
    now = time.time()
    return Session(
        name="n" * 64,
        revision=0,
        identity=Identity(sub="alice", iss="https://idp.example"),
        tokens=TokenSet(),
        sid="",
        origin=origin,
        created_at=now,
        login_started_at=now,
        absolute_expires_at=now + 600,
    )
