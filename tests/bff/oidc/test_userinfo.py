"""Userinfo: it must be about the same person, may be signed, and never replaces what the ID token says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bff.errors import InvalidToken
from bff.oidc.userinfo import PROTECTED, merge_claims, parse_userinfo
from tests.bff.factories import CLIENT_ID, ISSUER, jwt_of, published, signing_key

CLAIMS = {"sub": "alice", "name": "Alice"}
SIGNED = CLAIMS | {"iss": ISSUER, "aud": CLIENT_ID}


def parse(body: bytes, content_type: str = "application/json") -> dict[str, Any]:
    return parse_userinfo(
        body,
        content_type=content_type,
        keys=published(signing_key()),
        alg="RS256",
        issuer=ISSUER,
        client_id=CLIENT_ID,
        sub="alice",
    )


def code_of(body: bytes, content_type: str = "application/json") -> str:
    with pytest.raises(InvalidToken) as refused:
        parse(body, content_type)
    return refused.value.code


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", "text/plain", ""])
def test_userinfo_of_the_same_person_is_read(content_type: str) -> None:
    assert parse(json.dumps(CLAIMS).encode(), content_type) == CLAIMS


@pytest.mark.parametrize("sub", ["bob", "", "Alice", "alice ", None, 5, ["alice"], "\ud800", "älice", "alice\x00"])
def test_userinfo_of_another_person_is_refused(sub: object) -> None:
    assert code_of(json.dumps(CLAIMS | {"sub": sub}).encode()) == "userinfo_sub"
    assert code_of(json.dumps({"name": "Alice"}).encode()) == "userinfo_sub"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"sub":"alice","sub":"bob"}'])
def test_userinfo_that_is_not_an_object_is_refused(body: bytes) -> None:
    assert code_of(body) == "userinfo_malformed"


@pytest.mark.parametrize("content_type", ["application/jwt", "Application/JWT; charset=utf-8"])
def test_signed_userinfo_is_verified(content_type: str) -> None:
    assert parse(jwt_of(SIGNED).encode() + b"\n", content_type) == SIGNED


@pytest.mark.parametrize(
    ("token", "code"),
    [
        (jwt_of(SIGNED, alg="none"), "userinfo_malformed"),
        (jwt_of(SIGNED, key="secret", alg="HS256"), "userinfo_alg"),
        (jwt_of(SIGNED, header={"typ": "at+jwt"}), "userinfo_typ"),
        (jwt_of(SIGNED, key=signing_key("RS256", "other")), "userinfo_unknown_key"),
        (jwt_of(SIGNED | {"iss": "https://evil.example"}), "userinfo_iss"),
        (jwt_of(SIGNED | {"aud": "other"}), "userinfo_aud"),
        (jwt_of(SIGNED | {"sub": "bob"}), "userinfo_sub"),
        (jwt_of(CLAIMS), "userinfo_iss"),
        ("not a token", "userinfo_malformed"),
        ("\xff", "userinfo_malformed"),
    ],
    ids=[
        "unsigned",
        "a shared secret",
        "another type",
        "another key",
        "another issuer",
        "another audience",
        "another person",
        "no issuer",
        "not a token",
        "a byte that is not UTF-8",
    ],
)
def test_signed_userinfo_that_breaks_a_rule_is_refused(token: str, code: str) -> None:
    assert code_of(token.encode("latin-1"), "application/jwt") == code


def test_signed_userinfo_with_another_content_type_is_not_read_as_json() -> None:
    assert code_of(jwt_of(SIGNED).encode()) == "userinfo_malformed"


def test_userinfo_adds_and_replaces_all_claims_except_the_protected_ones() -> None:
    id_token = {"iss": ISSUER, "sub": "alice", "name": "Old", "acr": "1"}
    hostile = dict.fromkeys(PROTECTED, "evil") | {"name": "New", "unit": "b7"}
    assert merge_claims(id_token, hostile) == id_token | {"name": "New", "unit": "b7"}
