"""Null and empty text count as absent wherever a member may be left out.

Forbidden members are refused with any value.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from bff.api.tokens import BearerRules, validate_bearer
from bff.errors import InvalidToken
from bff.oidc.id_token import IdTokenExpectation, validate_id_token
from bff.oidc.jwks import parse_jwks
from bff.oidc.jwt_reading import UnknownKey, read_header, unverified_claims
from bff.oidc.logout import EVENT, validate_logout_token
from bff.oidc.members import is_absent, present, written
from bff.oidc.metadata import parse_metadata
from bff.oidc.tokens import GrantRefused, TokenResponse, parse_token_answer
from bff.oidc.userinfo import merge_claims, parse_userinfo
from tests.bff.factories import CLIENT_ID, ISSUER, NOW, jwt_of, published, signing_key
from tests.payloads import absent_members as members

KEYS = published(signing_key())
STANDARD: dict[str, Any] = {"iss": ISSUER, "aud": CLIENT_ID, "sub": "alice", "iat": NOW, "exp": NOW + 60}
LOGOUT = STANDARD | {"jti": "j-1", "events": {EVENT: {}}}
ABSENT = pytest.mark.parametrize("value", members.WAYS_TO_BE_ABSENT.values(), ids=members.WAYS_TO_BE_ABSENT)


def id_token(**over: Any) -> dict[str, Any]:
    expected = IdTokenExpectation(
        issuer=ISSUER, client_id=CLIENT_ID, alg="RS256", now=NOW, clock_skew=60, nonce="n-1", access_token="a-1"
    )
    return validate_id_token(jwt_of(STANDARD | {"nonce": "n-1"} | over), keys=KEYS, expected=expected)


def logout_token(**over: Any) -> Any:
    return validate_logout_token(
        jwt_of(LOGOUT | over), keys=KEYS, alg="RS256", issuer=ISSUER, client_id=CLIENT_ID, now=NOW, clock_skew=60
    )


def access_token(*, header: dict[str, Any] | None = None, **over: Any) -> Any:
    rules = BearerRules(ISSUER, CLIENT_ID, ("RS256",), 10, token_types=("at+jwt", "jwt"))
    token = jwt_of(STANDARD | over, header={"typ": "at+jwt"} | (header or {}))
    return validate_bearer(token, keys=KEYS, rules=rules, now=NOW)


@ABSENT
class TestEachMessage:
    @pytest.mark.parametrize("name", members.ID_TOKEN)
    def test_empty_members_of_an_id_token_are_ignored(self, value: Any, name: str) -> None:
        assert name not in id_token(**{name: value})

    @pytest.mark.parametrize("name", members.LOGOUT_TOKEN)
    def test_empty_members_of_a_logout_token_are_ignored(self, value: Any, name: str) -> None:
        assert (logout_token(**{name: value}).sub, logout_token(**{name: value}).sid) == ("alice", "")

    def test_a_logout_token_with_an_empty_sub_is_for_the_session_of_its_sid(self, value: Any) -> None:
        assert (logout_token(sub=value, sid="s-1").sub, logout_token(sub=value, sid="s-1").sid) == ("", "s-1")

    @pytest.mark.parametrize("name", members.ACCESS_TOKEN)
    def test_empty_members_of_an_access_token_are_ignored(self, value: Any, name: str) -> None:
        assert access_token(**{name: value}).sub == "alice"

    @pytest.mark.parametrize("name", members.JOSE_HEADER)
    def test_empty_members_of_a_token_header_are_ignored(self, value: Any, name: str) -> None:
        header = read_header(jwt_of({}, header={name: value}), prefix="p")
        assert (header.kid, header.typ) == (None if name == "kid" else "k1", "" if name == "typ" else "jwt")

    @pytest.mark.parametrize("name", members.TOKEN_RESPONSE)
    def test_empty_members_of_a_token_response_are_ignored(self, value: Any, name: str) -> None:
        body = {"access_token": "a-1", "token_type": "Bearer", "refresh_token": "r-1", "expires_in": 5, name: value}
        answer = parse_token_answer(200, json.dumps(body).encode())
        assert isinstance(answer, TokenResponse)
        assert answer.refresh_token == ("" if name == "refresh_token" else "r-1")
        assert answer.expires_in == (None if name == "expires_in" else 5)

    def test_an_empty_id_token_in_a_token_response_is_ignored(self, value: Any) -> None:
        body = {"access_token": "a-1", "token_type": "Bearer", "id_token": value}
        answer = parse_token_answer(200, json.dumps(body).encode())
        assert isinstance(answer, TokenResponse)
        assert answer.id_token == ""

    def test_empty_members_of_an_error_response_are_ignored(self, value: Any) -> None:
        assert parse_token_answer(400, json.dumps({"error": value}).encode()) == GrantRefused("", 400)

    @pytest.mark.parametrize("name", members.USERINFO)
    def test_empty_members_of_json_userinfo_are_ignored(self, value: Any, name: str) -> None:
        body = json.dumps({"sub": "alice", "nickname": "al", name: value}).encode()
        assert self.userinfo(body, "application/json") == {"sub": "alice", "nickname": "al"}

    @pytest.mark.parametrize("name", [name for name in members.USERINFO if name not in STANDARD])
    def test_empty_members_of_signed_userinfo_are_ignored(self, value: Any, name: str) -> None:
        assert name not in self.userinfo(jwt_of(STANDARD | {name: value}).encode(), "application/jwt")

    @pytest.mark.parametrize("name", ["name", "email", "groups"])
    def test_an_empty_claim_in_userinfo_does_not_remove_the_claim_of_the_id_token(self, value: Any, name: str) -> None:
        body = json.dumps({"sub": "alice", name: value}).encode()
        merged = merge_claims({"sub": "alice", name: "said"}, self.userinfo(body, "application/json"))
        assert merged[name] == "said"

    @pytest.mark.parametrize("name", members.DISCOVERY)
    def test_empty_members_of_a_discovery_document_are_ignored(self, value: Any, name: str) -> None:
        endpoints = dict.fromkeys(("authorization_endpoint", "token_endpoint", "jwks_uri"), f"{ISSUER}/x")
        found = parse_metadata({"issuer": ISSUER, **endpoints, name: value}, issuer=ISSUER, allowed_hosts=frozenset())
        assert not getattr(found, name, "")

    @pytest.mark.parametrize("name", members.JWK)
    def test_empty_members_of_a_key_are_ignored(self, value: Any, name: str) -> None:
        (key,) = parse_jwks({"keys": [signing_key().public_jwk | {name: value}]})
        assert key.kid == ("" if name == "kid" else "k1")

    def test_an_empty_required_member_is_treated_as_missing(self, value: Any) -> None:
        """The codes are the same as for missing members."""
        for name in ("iss", "sub", "aud", "exp", "iat", "nonce"):
            with pytest.raises(InvalidToken) as refused:
                id_token(**{name: value})
            assert refused.value.code == f"id_token_{name}"
        for name in ("iss", "aud", "exp", "iat", "jti", "events"):
            with pytest.raises(InvalidToken) as refused:
                logout_token(**{name: value})
            assert refused.value.code == f"logout_token_{name}"
        for name in ("iss", "aud", "exp", "iat", "sub"):
            with pytest.raises(InvalidToken) as refused:
                access_token(**{name: value})
            assert refused.value.code == f"bearer_{name}"
        with pytest.raises(InvalidToken) as refused:
            logout_token(sub=value, sid=value)
        assert refused.value.code == "logout_token_subject"
        for name, code in (("access_token", "token"), ("token_type", "type")):
            body = {"access_token": "a-1", "token_type": "Bearer", name: value}
            with pytest.raises(InvalidToken) as refused:
                parse_token_answer(200, json.dumps(body).encode())
            assert refused.value.code == f"token_response_{code}"

    def userinfo(self, body: bytes, content_type: str) -> dict[str, Any]:
        return parse_userinfo(
            body,
            content_type=content_type,
            keys=KEYS,
            alg="RS256",
            issuer=ISSUER,
            client_id=CLIENT_ID,
            sub="alice",
        )


ANYTHING: list[Any] = [None, "", 0, False, [], {}, "n"]


@pytest.mark.parametrize("value", ANYTHING)
def test_a_forbidden_member_is_refused_with_any_value(value: Any) -> None:
    """LO-10, RS-3."""
    with pytest.raises(InvalidToken) as refused:
        logout_token(nonce=value)
    assert refused.value.code == "logout_token_nonce"
    for name in ("at_hash", "c_hash", "s_hash", "events", "htu", "cnf"):
        with pytest.raises(InvalidToken) as refused:
            access_token(**{name: value})
        assert (refused.value.code, refused.value.found) == ("bearer_kind", name)
    for name in ("crit", "b64"):
        with pytest.raises(InvalidToken) as refused:
            read_header(jwt_of({}, header={name: value}), prefix="p")
        assert refused.value.code == "p_crit"


@pytest.mark.parametrize(("said", "scope"), [("", ""), (None, None), ("a", "a"), (" ", " ")])
def test_an_empty_scope_in_a_token_response_grants_no_scope(said: object, scope: str | None) -> None:
    answer = parse_token_answer(200, json.dumps({"access_token": "a", "token_type": "Bearer", "scope": said}).encode())
    assert isinstance(answer, TokenResponse)
    assert answer.scope == scope


@pytest.mark.parametrize(
    ("scope", "names"), [("", set()), (None, {"from-scp"}), ("a b", {"a", "b"}), ([], set()), (["a"], {"a"})]
)
def test_an_empty_scope_in_an_access_token_is_not_replaced_by_another_claim(scope: object, names: set[str]) -> None:
    assert access_token(scope=scope, scp="from-scp").scopes == names


def test_nested_members_and_other_empty_values_are_kept() -> None:
    message: dict[str, Any] = {"a": 0, "b": False, "c": [], "d": {}, "e": {"f": None}, "g": " ", "h": None, "i": ""}
    assert present(message) == {"a": 0, "b": False, "c": [], "d": {}, "e": {"f": None}, "g": " "}
    values: list[Any] = [None, "", 0, False, []]
    assert [is_absent(value) for value in values] == [True, True, False, False, False]


def test_empty_members_of_an_unverified_token_are_ignored() -> None:
    assert unverified_claims(jwt_of({"exp": None, "iss": "", "sub": "a"})) == {"sub": "a"}


class TestKeysWithoutAName:
    """Core 10.1: a set with one key needs no `kid`."""

    def claims_of(self, token: str, *keys: Any) -> dict[str, Any]:
        expected = IdTokenExpectation(
            issuer=ISSUER, client_id=CLIENT_ID, alg="RS256", now=NOW, clock_skew=60, nonce=None
        )
        return validate_id_token(token, keys=keys, expected=expected)

    def test_keys_without_a_kid_verify_a_token_with_a_kid(self) -> None:
        assert self.claims_of(jwt_of(STANDARD, header={"kid": "today"}), *published(signing_key(), kid=None))

    def test_keys_without_a_kid_do_not_disturb_keys_with_a_kid(self) -> None:
        named, other = signing_key(), signing_key("RS256", "other")
        keys = (*published(other, kid=None), *published(named))
        assert self.claims_of(jwt_of(STANDARD), *keys)
        assert self.claims_of(jwt_of(STANDARD, key=other, header={"kid": "unknown"}), *keys)

    def test_a_key_without_a_kid_is_not_used_when_the_key_with_the_kid_refuses_the_signature(self) -> None:
        keys = (*published(signing_key("RS256", "other"), kid=None), *published(signing_key()))
        with pytest.raises(InvalidToken) as refused:
            self.claims_of(jwt_of(STANDARD, key=signing_key("RS256", "other"), header={"kid": "k1"}), *keys)
        assert refused.value.code == "id_token_signature"
        assert not isinstance(refused.value, UnknownKey)

    def test_keys_without_a_kid_that_do_not_verify_cause_a_new_fetch(self) -> None:
        """Otherwise every sign-in after a rotation would fail until the set is fetched again."""
        with pytest.raises(UnknownKey) as refused:
            self.claims_of(jwt_of(STANDARD, header={"kid": "new"}), *published(signing_key("RS256", "other"), kid=None))
        assert refused.value.code == "id_token_unknown_key"


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "nothing"), ("", "nothing"), ("a", "a"), (["a", 5], '["a", 5]'), ("a\r\nb\x1b[2J", "a\\r\\nb\\x1b[2J")],
)
def test_a_value_in_an_error_message_is_one_printable_line(value: Any, text: str) -> None:
    assert written(value) == text


LONG: list[Any] = ["x" * 1000, "\ud800" * 1000, ["\u202e" * 1000], 10**300]


@pytest.mark.parametrize("value", LONG, ids=["text", "half a surrogate pair", "direction marks", "number"])
def test_a_value_in_an_error_message_is_shortened(value: Any) -> None:
    assert len(written(value)) <= 200
    assert written(value).isascii()
