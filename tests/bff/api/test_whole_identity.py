"""What was left out of a token is asked for only with that token, and for a limited number of tokens."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from bff.api.tokens import StandardClaims
from bff.api.whole_identity import MAX_REMEMBERED, IdentityOmitted, WholeIdentities
from bff.fetch.http import Answer

Asked = list[str]


def caller_of(sub: str, jti: str) -> StandardClaims:
    """The caller of a token that could not hold the groups."""
    return StandardClaims(
        sub=sub, iss="i", aud=("a",), exp=60, iat=0, claims={"sub": sub, "jti": jti}, omitted=("groups",)
    )


@pytest.fixture
def asked() -> Asked:
    """The tokens that the front door was asked with."""
    return []


@pytest.fixture
def identities(asked: Asked) -> WholeIdentities:
    """A front door that knows one group for each token: its name. A token is `<sub>.<jti>`."""

    async def ask(_: str, headers: Mapping[str, str]) -> Answer:
        token = headers["Authorization"].removeprefix("Bearer ")
        asked.append(token)
        told = {"sub": token.partition(".")[0], "groups": [f"group of {token}"]}
        return Answer(200, "application/json", json.dumps(told).encode())

    return WholeIdentities("http://door/auth/identity", ask, roles_claim="roles")


TOKENS = [("alice", "1"), ("alice", "2"), ("bob", "1")]


async def test_each_token_is_answered_for_itself(identities: WholeIdentities) -> None:
    """The next token of a person may know of other groups, and two people may have tokens with the same name."""
    for sub, jti in TOKENS:
        identities.remember(f"{sub}.{jti}", caller_of(sub, jti))
    for sub, jti in TOKENS:
        assert (await identities.complete(caller_of(sub, jti))).groups == (f"group of {sub}.{jti}",)


async def test_a_token_is_asked_about_once(identities: WholeIdentities, asked: Asked) -> None:
    for _ in range(3):
        identities.remember("alice.1", caller_of("alice", "1"))
        assert (await identities.complete(caller_of("alice", "1"))).omitted == ()
    assert asked == ["alice.1"]


async def test_the_oldest_of_too_many_tokens_is_forgotten_and_its_rule_denies(identities: WholeIdentities) -> None:
    for number in range(MAX_REMEMBERED + 1):
        identities.remember(f"alice.{number}", caller_of("alice", str(number)))
    assert (await identities.complete(caller_of("alice", "1"))).groups == ("group of alice.1",)
    with pytest.raises(IdentityOmitted) as denied:
        await identities.complete(caller_of("alice", "0"))
    assert denied.value.code == "groups_omitted"
