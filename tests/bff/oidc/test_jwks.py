"""JWK Sets: good keys found among bad ones, chosen strictly."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.oidc.jwks import MAX_KEYS, choose_keys, parse_jwks
from tests.bff.factories import published, signing_key
from tests.fakes import generate_key
from tests.fakes.keys import b64url, decoy_jwks

RSA = signing_key().public_jwk
EC = signing_key("ES256").public_jwk
OKP = signing_key("EdDSA").public_jwk


def kids(*members: Any) -> list[str]:
    return [key.kid for key in parse_jwks({"keys": list(members)})]


def without(member: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in member.items() if name not in names}


@pytest.mark.parametrize("member", [RSA, EC, OKP], ids=["RSA", "EC", "OKP"])
def test_a_signing_key_is_found(member: dict[str, Any]) -> None:
    assert kids(member) == ["k1"]
    assert kids(without(member, "kid", "alg", "use")) == [""]
    assert kids(member | {"key_ops": ["verify"], "x5c": ["x"], "anything": {}}) == ["k1"]


UNSUITABLE: dict[str, Any] = {
    "for encryption": RSA | {"use": "enc"},
    "of unknown use": RSA | {"use": "sig enc"},
    "for other operations": RSA | {"key_ops": ["encrypt"]},
    "private": RSA | {"d": "AQAB"},
    "shared secret": {"kty": "oct", "k": b64url(b"x" * 32)},
    "short RSA": generate_key("RS256", rsa_bits=1024).public_jwk,
    "huge RSA": {"kty": "RSA", "e": "AQAB", "n": b64url(b"\xff" * 2049)},
    "endless RSA": {"kty": "RSA", "e": "AQAB", "n": "_" * 1_000_000},
    "RSA without modulus": without(RSA, "n"),
    "RSA without exponent": without(RSA, "e"),
    "RSA with a number": RSA | {"n": 5},
    "RSA with a list": RSA | {"n": []},
    "RSA with no base64": RSA | {"n": "!!!"},
    "RSA with exponent 1": RSA | {"e": "AQ"},
    "RSA with an even exponent": RSA | {"e": "Ag"},
    "RSA with an endless exponent": RSA | {"e": "_" * 100_000},
    "P-384": generate_key("ES384").public_jwk,
    "secp256k1": generate_key("ES256K").public_jwk,
    "EC of another name": EC | {"crv": "P-384"},
    "EC off its curve": EC | {"x": EC["y"]},
    "EC without y": without(EC, "y"),
    "EC with a list": EC | {"x": []},
    "Ed448": OKP | {"crv": "Ed448"},
    "X25519": OKP | {"crv": "X25519"},
    "Ed25519 of another length": OKP | {"x": "AAAA"},
    "of no type": without(RSA, "kty"),
    "of unknown type": RSA | {"kty": "PQ"},
    "of type in lower case": RSA | {"kty": "rsa"},
    "with a kid that is a number": RSA | {"kid": 5},
    "with an endless kid": RSA | {"kid": "k" * 257},
    "with an alg that is a list": RSA | {"alg": ["RS256"]},
    "no object": "text",
    "null": None,
    "list": [RSA],
}


@pytest.mark.parametrize("name", UNSUITABLE)
def test_an_unusable_key_is_skipped_and_the_others_are_kept(name: str) -> None:
    assert kids(UNSUITABLE[name]) == []
    assert kids(UNSUITABLE[name], RSA, UNSUITABLE[name], EC) == ["k1", "k1"]


def test_a_key_set_with_keys_for_other_purposes_is_read() -> None:
    assert set(kids(*decoy_jwks(), RSA)) == {"k1", "decoy-ed25519"}


@pytest.mark.parametrize("document", [{}, {"keys": None}, {"keys": {}}, {"keys": "x"}, {"keys": []}])
def test_a_document_without_keys_gives_no_keys(document: dict[str, Any]) -> None:
    assert parse_jwks(document) == ()


def test_only_the_first_hundred_keys_are_read() -> None:
    assert len(kids(*[EC] * (MAX_KEYS + 50))) == MAX_KEYS


class TestChoice:
    KEYS = (*published(signing_key(), signing_key("RS256", "k2")), *published(signing_key("ES256"), alg=""))

    def chosen(self, kid: str | None, alg: str) -> list[tuple[str, str]]:
        return [(key.kid, key.kty) for key in choose_keys(self.KEYS, kid=kid, alg=alg)]

    def test_a_key_is_chosen_by_kid_and_algorithm(self) -> None:
        assert self.chosen("k1", "RS256") == [("k1", "RSA")]
        assert self.chosen("k1", "ES256") == [("k1", "EC")]
        assert self.chosen("k2", "ES256") == []
        assert self.chosen("k3", "RS256") == []

    def test_without_a_kid_keys_are_chosen_by_algorithm(self) -> None:
        assert self.chosen(None, "RS256") == [("k1", "RSA"), ("k2", "RSA")]

    def test_a_key_with_a_stated_algorithm_is_chosen_only_for_that_algorithm(self) -> None:
        assert self.chosen("k1", "PS256") == []

    @pytest.mark.parametrize("alg", ["none", "HS256", "RS512", "", "RSA"])
    def test_no_key_is_chosen_for_another_algorithm(self, alg: str) -> None:
        assert self.chosen("k1", alg) == []


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=40), st.lists, max_leaves=3)
NAMES = st.sampled_from(["kty", "crv", "n", "e", "x", "y", "kid", "alg", "use", "key_ops", "d"])


@given(st.sampled_from([RSA, EC, OKP]), st.dictionaries(NAMES, JSON, min_size=1, max_size=3))
def test_no_member_of_a_key_set_causes_an_error(member: dict[str, Any], over: dict[str, Any]) -> None:
    assert "good" in kids(member | over, EC | {"kid": "good"})
