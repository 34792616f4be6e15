"""Token endpoint messages: what is sent, and how strictly the answer is read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.errors import InvalidToken
from bff.oidc.tokens import (
    MAX_LIFETIME,
    MAX_TOKEN,
    GrantRefused,
    TokenResponse,
    UnusableTokenResponse,
    build_client_credentials_grant,
    build_code_grant,
    build_exchange_grant,
    build_refresh_grant,
    build_revocation,
    parse_token_answer,
)
from tests.bff.factories import jwt_of, transaction

GOOD: dict[str, Any] = {
    "access_token": "access-1",
    "token_type": "Bearer",
    "expires_in": 300,
    "refresh_token": "refresh-1",
    "id_token": "id-1",
    "scope": "openid email",
}


def parsed(**over: Any) -> TokenResponse:
    response = parse_token_answer(200, json.dumps(GOOD | over).encode())
    assert isinstance(response, TokenResponse)
    return response


def code_of(body: bytes) -> str:
    with pytest.raises(InvalidToken) as refused:
        parse_token_answer(200, body)
    return refused.value.code


class TestRequests:
    def test_a_code_request_has_the_verifier_and_the_redirect_uri(self) -> None:
        assert build_code_grant("c-1", transaction()) == {
            "grant_type": "authorization_code",
            "code": "c-1",
            "redirect_uri": "https://apps.example.com/auth/callback/corp",
            "code_verifier": "v" * 43,
        }

    def test_a_refresh_never_asks_for_a_scope(self) -> None:
        assert build_refresh_grant("r-1") == {"grant_type": "refresh_token", "refresh_token": "r-1"}

    def test_a_client_credentials_request_has_scope_and_audience_where_they_are_set(self) -> None:
        assert build_client_credentials_grant(scope="", audience="") == {"grant_type": "client_credentials"}
        assert build_client_credentials_grant(scope="a b", audience="api") == {
            "grant_type": "client_credentials",
            "scope": "a b",
            "audience": "api",
        }

    def test_a_token_exchange_has_the_subject_token_and_its_type(self) -> None:
        form = build_exchange_grant("t-1", audience="api", resource="", scope="")
        kind = "urn:ietf:params:oauth:token-type:access_token"
        assert form == {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "subject_token": "t-1",
            "subject_token_type": kind,
            "requested_token_type": kind,
            "audience": "api",
        }

    def test_a_revocation_says_the_type_of_the_token(self) -> None:
        assert build_revocation("r-1") == {"token": "r-1", "token_type_hint": "refresh_token"}


class TestSuccess:
    def test_a_token_response_is_read_completely(self) -> None:
        assert parsed() == TokenResponse(
            access_token="access-1", expires_in=300, refresh_token="refresh-1", id_token="id-1", scope="openid email"
        )

    def test_a_token_response_needs_only_a_token_and_its_type(self) -> None:
        body = b'{"access_token":"a","token_type":"bearer"}'
        assert parse_token_answer(200, body) == TokenResponse(access_token="a")

    @pytest.mark.parametrize("kind", ["Bearer", "bearer", "bEaReR"])
    def test_the_token_type_may_have_any_case(self, kind: str) -> None:
        assert parsed(token_type=kind).access_token == "access-1"

    @pytest.mark.parametrize("kind", ["DPoP", "mac", "", "Bearer ", None, ["Bearer"], 5, "N_A"])
    def test_a_token_response_with_another_type_is_refused(self, kind: object) -> None:
        assert code_of(json.dumps(GOOD | {"token_type": kind}).encode()) == "token_response_type"

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (0, 0),
            (60, 60),
            (60.9, 60),
            ("60", 60),
            (MAX_LIFETIME + 1, MAX_LIFETIME),
            (10**9, MAX_LIFETIME),
            (2**63, MAX_LIFETIME),
            (10**400, MAX_LIFETIME),
            (None, None),
            (-1, None),
            ("-1", None),
            ("²", None),
            ("9" * 13, None),
            ("soon", None),
            (True, None),
            ([60], None),
            ({}, None),
        ],
    )
    def test_an_implausible_lifetime_in_a_token_response_is_ignored(self, value: object, expected: int | None) -> None:
        assert parsed(expires_in=value).expires_in == expected

    def test_an_infinite_lifetime_in_a_token_response_is_ignored(self) -> None:
        body = b'{"access_token":"a","token_type":"bearer","expires_in":1e400}'
        assert parse_token_answer(200, body) == TokenResponse(access_token="a")

    @pytest.mark.parametrize("name", ["access_token", "refresh_token", "id_token"])
    @pytest.mark.parametrize(
        "value",
        ["a\r\nX: 1", "a\x00", "a\t", "a\x7f", "ü", "\u2028", 5, [], {}, True, "x" * (MAX_TOKEN + 1)],
        ids=["crlf", "nul", "tab", "del", "umlaut", "u2028", "number", "list", "object", "true", "large"],
    )
    def test_a_token_response_with_a_token_that_cannot_be_sent_is_refused(self, name: str, value: object) -> None:
        assert code_of(json.dumps(GOOD | {name: value}).encode()) == "token_response_token"

    @pytest.mark.parametrize("name", ["access_token", "id_token"])
    def test_an_access_token_or_id_token_with_a_space_is_refused(self, name: str) -> None:
        assert code_of(json.dumps(GOOD | {name: "a b"}).encode()) == "token_response_token"

    @pytest.mark.parametrize("value", ["a b", " ", " a", "a ", "~!"])
    def test_a_token_response_may_have_a_refresh_token_with_spaces(self, value: str) -> None:
        """RFC 6749 A.17."""
        assert parsed(refresh_token=value).refresh_token == value

    def test_a_token_response_with_an_error_and_without_a_token_is_a_refusal(self) -> None:
        body = b'{"error":"invalid_grant","error_description":"x"}'
        assert parse_token_answer(200, body) == GrantRefused("invalid_grant", 200)
        assert parse_token_answer(200, b'{"error":"NOT A CODE"}') == GrantRefused("", 200)
        assert parsed(error="invalid_grant").access_token == "access-1"

    @pytest.mark.parametrize(
        ("over", "refresh_token", "is_rotated"),
        [
            ({"access_token": "a b"}, "refresh-1", True),
            ({"access_token": None, "refresh_token": "r 2"}, "r 2", True),
            ({"token_type": "mac"}, "refresh-1", True),
            ({"id_token": 5}, "refresh-1", True),
            ({"refresh_token": "a\nb"}, "", True),
            ({"refresh_token": 5, "access_token": 5}, "", True),
            ({"access_token": "a b", "refresh_token": None}, "", False),
        ],
    )
    def test_an_unusable_token_response_still_gives_its_refresh_token(
        self, over: dict[str, Any], refresh_token: str, is_rotated: bool
    ) -> None:
        with pytest.raises(UnusableTokenResponse) as refused:
            parse_token_answer(200, json.dumps(GOOD | over).encode())
        assert (refused.value.refresh_token, refused.value.is_rotated) == (refresh_token, is_rotated)
        assert not refresh_token or refresh_token not in str(refused.value)

    def test_a_token_response_without_an_access_token_is_refused(self) -> None:
        assert code_of(b'{"token_type":"bearer"}') == "token_response_token"
        assert code_of(b'{"token_type":"bearer","access_token":null}') == "token_response_token"

    def test_a_token_of_the_maximal_size_is_read(self) -> None:
        assert len(parsed(access_token="x" * MAX_TOKEN).access_token) == MAX_TOKEN

    @pytest.mark.parametrize(
        "scope",
        [5, True, ["openid"], {"openid": True}, "a\nb", "a\tb", 'a"b', "a\\b", "ä", "a\u00a0b", "\x7f"],
        ids=repr,
    )
    def test_a_scope_that_cannot_be_read_grants_nothing(self, scope: object) -> None:
        answer = parsed(scope=scope)
        assert answer.scope == ""
        assert answer.scope_fault

    @pytest.mark.parametrize("scope", [None, "", "openid", " a  b ", "a,b", "https://x.example/y.z!#[]~"], ids=repr)
    def test_a_scope_that_is_absent_empty_or_readable_stays_as_it_is(self, scope: str | None) -> None:
        answer = parsed(scope=scope)
        assert (answer.scope, answer.scope_fault) == (scope, "")

    @pytest.mark.parametrize(
        "body", [b"", b"<html>", b"[]", b'{"access_token":"a","access_token":"b","token_type":"bearer"}', b"\xff"]
    )
    def test_a_token_response_that_is_not_an_object_is_refused(self, body: bytes) -> None:
        assert code_of(body) == "token_response_malformed"

    def test_a_printed_token_response_shows_no_token(self) -> None:
        assert "access-1" not in repr(parsed())
        assert "refresh-1" not in repr(parsed())
        assert "id-1" not in repr(parsed())


class TestRefusal:
    @pytest.mark.parametrize("status", [201, 204, 302, 400, 401, 403])
    def test_a_token_response_with_a_status_other_than_200_is_a_refusal(self, status: int) -> None:
        assert parse_token_answer(status, json.dumps(GOOD).encode()) == GrantRefused("", status)

    def test_a_refusal_has_the_error_code_of_the_provider(self) -> None:
        body = b'{"error":"invalid_grant","error_description":"token r-1 is dead"}'
        assert parse_token_answer(400, body) == GrantRefused("invalid_grant", 400)

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"<html>",
            b"[]",
            b'{"error":5}',
            b'{"error":"<b>"}',
            b'{"error":"' + b"a" * 65 + b'"}',
            b'{"error":"A"}',
        ],
    )
    def test_a_refusal_without_a_readable_error_code_has_no_code(self, body: bytes) -> None:
        assert parse_token_answer(400, body) == GrantRefused("", 400)


@given(st.sampled_from([200, 400]), st.binary(max_size=200))
def test_any_token_response_gives_at_most_a_refusal(status: int, body: bytes) -> None:
    code = "token_response_"
    try:
        parse_token_answer(status, body)
    except InvalidToken as refused:
        code = refused.code
    assert code.startswith("token_response_")


@given(st.sampled_from(list(GOOD)), st.recursive(st.none() | st.floats() | st.integers() | st.text(), st.lists))
def test_any_member_of_a_token_response_gives_at_most_a_refusal(name: str, value: Any) -> None:
    try:
        response = parse_token_answer(200, json.dumps(GOOD | {name: value}).encode())
    except InvalidToken:
        return
    assert isinstance(response, TokenResponse)
    for token in (response.access_token, response.refresh_token, response.id_token):
        assert token.isascii()
        assert token.isprintable()


EXPIRING: dict[str, tuple[str, float | None]] = {
    "an opaque one": ("opaque", None),
    "a JWT with its end": (jwt_of({"exp": 1300}), 1299.0),
    "a JWT with its end and its beginning": (jwt_of({"exp": 1300, "iat": 1000}), 1299.0),
    "one of a clock that is ahead": (jwt_of({"exp": 1900, "iat": 1600}), 1299.0),
    "one that the provider made earlier": (jwt_of({"exp": 1300, "iat": 100}), 1299.0),
    "one that is over already": (jwt_of({"exp": 1000, "iat": 700}), None),
    "one that ends in a thousand years": (jwt_of({"exp": 30_000_000_000}), 1000.0 + MAX_LIFETIME - 1),
    "one whose end is null": (jwt_of({"exp": None}), None),
    "one whose end is text": (jwt_of({"exp": "1300"}), None),
    "one whose end is true": (jwt_of({"exp": True}), None),
    "one whose end is infinite": (jwt_of(b'{"exp": 1e999}'), None),
    "one whose beginning is text": (jwt_of({"exp": 1300, "iat": "1000"}), 1299.0),
    "one without an end": (jwt_of({"iat": 1000}), None),
}


@pytest.mark.parametrize("case", EXPIRING)
def test_the_lifetime_is_read_from_the_token_when_the_response_has_none(case: str) -> None:
    token, ends = EXPIRING[case]
    assert TokenResponse(access_token=token, asked_at=1000.0).expires_at(assumed=None) == ends
    assert TokenResponse(access_token=token, asked_at=1000.0).expires_at(assumed=50.0) == (ends or 1049.0)
    assert TokenResponse(access_token=token, expires_in=20, asked_at=1000.0).expires_at(assumed=None) == 1019.0


@pytest.mark.parametrize(("expires_in", "ends"), [(300, 1299.0), (5, 1004.0), (2, 1001.6), (0, 1000.0), (None, None)])
def test_a_token_expires_here_before_it_expires_at_a_provider_that_rounds_to_seconds(
    expires_in: int | None, ends: float | None
) -> None:
    assert TokenResponse(access_token="a", expires_in=expires_in, asked_at=1000.0).expires_at(assumed=None) == ends
