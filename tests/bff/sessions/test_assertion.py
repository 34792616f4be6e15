"""First-party assertions: there are two kinds, neither is accepted as the other, and the published keys verify both."""

from __future__ import annotations

from typing import Any

import jwt
import pytest

from bff.api.tokens import BearerRules, validate_bearer
from bff.errors import InvalidToken
from bff.oidc.jwks import VerificationKey, parse_jwks
from bff.sessions.assertion import Assertions
from tests.bff.factories import ALICE, ISSUER, KEY, NOW, OLD_KEY, keyring, session, tokens
from tests.fakes import FakeClock

URL = "https://apps.example.com"
ROUTES = {"api": "/api/"}
RULES = BearerRules(URL, "models-api", ("ES256",), 0)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


@pytest.fixture
def assertions(clock: FakeClock) -> Assertions:
    return Assertions(keyring(KEY, OLD_KEY), issuer=URL, clock=clock)


def published(assertions: Assertions) -> tuple[VerificationKey, ...]:
    return parse_jwks(assertions.jwks())


def read(assertions: Assertions, token: str) -> dict[str, Any]:
    """Claims of a token that a published key verifies, nothing else checked."""
    key = next(key for key in published(assertions) if key.kid == jwt.get_unverified_header(token)["kid"])
    options: Any = {"verify_aud": False, "verify_exp": False, "verify_iat": False}
    claims: dict[str, Any] = jwt.decode(token, key.key, algorithms=["ES256"], options=options)
    return claims


class TestForAnUpstream:
    def test_an_assertion_for_an_upstream_is_an_access_token_of_the_route_for_a_minute(
        self, assertions: Assertions
    ) -> None:
        token = assertions.for_upstream(session(), audience="models-api").token
        assert jwt.get_unverified_header(token)["typ"] == "at+jwt"
        claims = read(assertions, token)
        assert (claims["iss"], claims["aud"], claims["sub"]) == (URL, "models-api", "alice")
        assert (claims["iat"], claims["exp"]) == (NOW, NOW + 60)
        assert (claims["roles"], claims["scope"], claims["client_id"]) == (
            ["analyst"],
            "openid models:read",
            "vestibule",
        )

    def test_an_assertion_does_not_last_longer_than_the_session(self, assertions: Assertions) -> None:
        token = assertions.for_upstream(session(absolute_expires_at=NOW + 10.9), audience="a").token
        assert read(assertions, token)["exp"] == NOW + 10

    def test_an_assertion_has_no_scope_when_the_session_has_none(self, assertions: Assertions) -> None:
        assert "scope" not in read(
            assertions, assertions.for_upstream(session(tokens=tokens(scope="")), audience="a").token
        )

    def test_no_two_assertions_are_the_same(self, assertions: Assertions) -> None:
        identifiers = {
            read(assertions, assertions.for_upstream(session(), audience="a").token)["jti"] for _ in range(50)
        }
        assert len(identifiers) == 50

    def test_an_assertion_contains_no_token_of_the_provider(self, assertions: Assertions) -> None:
        claims = str(read(assertions, assertions.for_upstream(session(), audience="a").token))
        assert not any(secret in claims for secret in ("access-1", "refresh-1", "id-token-1"))

    def test_the_bearer_check_accepts_an_assertion_for_an_upstream(self, assertions: Assertions) -> None:
        token = assertions.for_upstream(session(), audience="models-api").token
        caller = validate_bearer(token, keys=published(assertions), rules=RULES, now=NOW)
        assert (caller.sub, caller.roles, caller.has_scope("models:read")) == ("alice", ("analyst",), True)


class TestForAHandshake:
    def token(self, assertions: Assertions) -> str:
        return assertions.for_handshake(session(), client="dash", routes=ROUTES).token

    def test_a_handshake_assertion_names_the_person_until_the_session_ends(self, assertions: Assertions) -> None:
        token = self.token(assertions)
        assert jwt.get_unverified_header(token)["typ"] == "vestibule-handshake+jwt"
        claims = read(assertions, token)
        assert (claims["iss"], claims["idp"], claims["aud"]) == (URL, ISSUER, "kit:dash")
        assert claims["exp"] == claims["session_expires_at"] == NOW + 43_200
        assert (claims["name"], claims["routes"]) == (ALICE.name, ROUTES)

    def test_the_bearer_check_refuses_a_handshake_assertion_for_every_audience(self, assertions: Assertions) -> None:
        rules = BearerRules(URL, "kit:dash", ("ES256",), 0)
        with pytest.raises(InvalidToken) as refused:
            validate_bearer(self.token(assertions), keys=published(assertions), rules=rules, now=NOW)
        assert refused.value.code == "bearer_typ"


class TestKeys:
    def test_all_assertion_keys_are_published_and_the_first_one_signs(self, assertions: Assertions) -> None:
        document = assertions.jwks()
        assert len(document["keys"]) == 2
        signed = jwt.get_unverified_header(assertions.for_upstream(session(), audience="a").token)["kid"]
        assert signed == document["keys"][0]["kid"]

    def test_only_the_public_parts_of_assertion_keys_are_published(self, assertions: Assertions) -> None:
        for key in assertions.jwks()["keys"]:
            assert key.keys() == {"kty", "crv", "x", "y", "kid", "use", "alg"}

    def test_a_token_signed_before_a_rotation_still_verifies(self, assertions: Assertions, clock: FakeClock) -> None:
        before = (
            Assertions(keyring(OLD_KEY), issuer=URL, clock=clock).for_upstream(session(), audience="models-api").token
        )
        assert validate_bearer(before, keys=published(assertions), rules=RULES, now=NOW).sub == "alice"
