"""Authorization request and response: always with PKCE, and each response belongs to one request."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.errors import CallbackRejected
from bff.oidc.authorization import (
    MAX_CODE,
    AuthorizationCode,
    AuthorizationDenied,
    build_authorization_parameters,
    build_authorization_url,
    new_secret,
    parse_authorization_response,
    validate_authorization_response,
)
from tests.bff.factories import CLIENT_ID, ISSUER, transaction

STATE = "s" * 43
OK = [("code", "c-1"), ("state", STATE)]


def rejected(pairs: list[tuple[str, str]]) -> str:
    with pytest.raises(CallbackRejected) as refused:
        parse_authorization_response(pairs)
    return refused.value.code


class TestRequest:
    def parameters(self, **over: Any) -> dict[str, str]:
        return build_authorization_parameters(
            over.pop("transaction", transaction()), client_id=CLIENT_ID, scopes=("openid", "email"), **over
        )

    def test_a_request_asks_for_a_code_with_state_nonce_and_s256(self) -> None:
        challenge = base64.urlsafe_b64encode(hashlib.sha256(b"v" * 43).digest()).rstrip(b"=").decode()
        assert self.parameters() == {
            "response_type": "code",
            "client_id": CLIENT_ID,
            "redirect_uri": "https://apps.example.com/auth/callback/corp",
            "scope": "openid email",
            "state": STATE,
            "nonce": "n" * 43,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }

    def test_a_request_has_additional_parameters_that_never_replace_its_own(self) -> None:
        further = {"access_type": "offline", "prompt": "consent", "state": "mine", "scope": "everything"}
        found = self.parameters(further=further)
        assert found == self.parameters() | {"access_type": "offline", "prompt": "consent"}
        assert self.parameters(further=further, prompt="login")["prompt"] == "login"

    def test_a_request_does_not_contain_the_verifier_or_the_return_target(self) -> None:
        sent = str(self.parameters(prompt="login", login_hint="a", ui_locales="de"))
        assert "v" * 43 not in sent
        assert "team=red" not in sent

    def test_a_request_contains_the_additional_parameters(self) -> None:
        demanding = transaction(max_age=59.9, acr_values=("2", "3"))
        extra = self.parameters(
            transaction=demanding, response_mode="form_post", prompt="login", login_hint="a@b", ui_locales="de en"
        )
        assert (
            extra.items()
            >= {
                "max_age": "59",
                "acr_values": "2 3",
                "response_mode": "form_post",
                "prompt": "login",
                "login_hint": "a@b",
                "ui_locales": "de en",
            }.items()
        )

    def test_a_max_age_of_zero_is_sent(self) -> None:
        assert self.parameters(transaction=transaction(max_age=0))["max_age"] == "0"

    @pytest.mark.parametrize(
        "endpoint",
        ["https://idp.example/authorize", "https://idp.example/a?tenant=x%20y", "https://idp.example/a?p={$'"],
    )
    def test_a_request_keeps_the_query_of_the_endpoint(self, endpoint: str) -> None:
        url = urlsplit(build_authorization_url(endpoint, {"state": "a&b=c", "x": "ü"}))
        before = parse_qsl(urlsplit(endpoint).query)
        assert parse_qsl(url.query) == [*before, ("state", "a&b=c"), ("x", "ü")]
        assert (url.scheme, url.netloc, url.path) == urlsplit(endpoint)[:3]

    def test_state_nonce_and_verifier_have_256_bits_and_never_repeat(self) -> None:
        secrets = {new_secret(os.urandom) for _ in range(1000)}
        assert len(secrets) == 1000
        assert all(re.fullmatch(r"[A-Za-z0-9_-]{43}", secret) for secret in secrets)


class TestResponse:
    def test_a_response_with_a_code_is_read(self) -> None:
        assert parse_authorization_response(OK) == AuthorizationCode("c-1", STATE)
        with_more = [*OK, ("iss", ISSUER), ("session_state", "x"), ("scope", "openid"), ("unknown", "")]
        assert parse_authorization_response(with_more) == AuthorizationCode("c-1", STATE, ISSUER)

    def test_a_response_with_an_error_is_read(self) -> None:
        pairs = [("error", "access_denied"), ("state", STATE), ("error_description", "<script>")]
        assert parse_authorization_response(pairs) == AuthorizationDenied("access_denied", STATE)

    @pytest.mark.parametrize("error", ["a b", 'a"b', "x" * 65, "a\\b", "ü"])
    def test_a_response_with_a_malformed_error_code_is_denied_without_repeating_the_code(self, error: str) -> None:
        assert parse_authorization_response([("error", error), ("state", STATE)]) == AuthorizationDenied("", STATE)

    @pytest.mark.parametrize("name", ["code", "state", "iss", "error", "session_state", "anything"])
    def test_a_response_with_a_repeated_parameter_is_refused(self, name: str) -> None:
        assert rejected([*OK, (name, "x"), (name, "x")]) == "callback_duplicate"

    @pytest.mark.parametrize("name", ["id_token", "access_token", "token", "refresh_token"])
    def test_a_response_with_a_token_in_the_front_channel_is_refused(self, name: str) -> None:
        assert rejected([*OK, (name, "x")]) == "callback_front_channel_token"

    @pytest.mark.parametrize("state", ["s" * 42, "s" * 44, "s" * 42 + "=", "s" * 42 + "\n", "ü" * 43, "s" * 10_000])
    def test_a_response_with_a_malformed_state_is_refused(self, state: str) -> None:
        assert rejected([("code", "c"), ("state", state)]) == "callback_state"
        assert rejected([("error", "access_denied"), ("state", state)]) == "callback_state"

    def test_a_response_without_a_state_is_refused(self) -> None:
        assert rejected([("code", "c")]) == "callback_state"
        assert rejected([("code", "c"), ("state", "")]) == "callback_state"
        assert rejected([]) == "callback_state"

    def test_an_error_response_without_a_state_has_a_reason_of_its_own(self) -> None:
        """Some providers leave the state out when a person cancels. Then it is only known that the sign-in failed."""
        assert rejected([("error", "access_denied")]) == "callback_denied"
        assert rejected([("error", "<script>"), ("state", "")]) == "callback_denied"

    @pytest.mark.parametrize(
        "pairs",
        [
            [],
            [("code", "")],
            [("error", "")],
            [("code", "c"), ("error", "e")],
            [("code", "c"), ("error", "")],
            [("code", ""), ("error", "e")],
            [("code", "c"), ("iss", "")],
            [("code", "c\r\n")],
            [("code", "c" * (MAX_CODE + 1))],
            [("error", "e\x00")],
        ],
    )
    def test_a_response_must_have_either_a_code_or_an_error(self, pairs: list[tuple[str, str]]) -> None:
        assert rejected([("state", STATE), *pairs]) == "callback_malformed"

    def test_a_printed_response_shows_no_secret(self) -> None:
        shown = repr(parse_authorization_response(OK)) + repr(transaction())
        assert "c-1" not in shown
        assert "n" * 43 not in shown
        assert "v" * 43 not in shown

    NAMES = st.sampled_from(["code", "state", "iss", "error", "id_token", "x"])

    @given(st.lists(st.tuples(NAMES, st.one_of(st.just(STATE), st.text(max_size=10))), max_size=5))
    def test_any_response_is_read_or_refused(self, pairs: list[tuple[str, str]]) -> None:
        try:
            outcome = parse_authorization_response(pairs).state
        except CallbackRejected as refused:
            outcome = refused.code
        assert outcome == STATE or outcome.startswith("callback_")


class TestValidation:
    def reason(self, *, iss_required: bool = False, provider: str = "corp", **over: str) -> str:
        response = AuthorizationCode(over.get("code", "c"), over.get("state", STATE), over.get("iss", ""))
        try:
            validate_authorization_response(response, transaction(), provider=provider, iss_required=iss_required)
        except CallbackRejected as refused:
            return refused.code
        return ""

    def test_a_response_that_belongs_to_the_request_is_accepted(self) -> None:
        assert self.reason() == ""
        assert self.reason(iss=ISSUER, iss_required=True) == ""

    def test_a_response_with_the_state_of_another_sign_in_is_refused(self) -> None:
        assert self.reason(state="t" * 43) == "callback_state"

    def test_a_response_at_the_callback_of_another_provider_is_refused(self) -> None:
        assert self.reason(provider="partner") == "callback_provider"

    @pytest.mark.parametrize("iss", ["https://evil.example", ISSUER + "/", ISSUER.upper(), ISSUER[:-1]])
    def test_a_response_of_another_issuer_is_refused(self, iss: str) -> None:
        assert self.reason(iss=iss) == "callback_issuer"

    def test_a_response_without_iss_is_refused_where_the_provider_announces_iss(self) -> None:
        assert self.reason(iss_required=True) == "callback_issuer"

    def test_an_error_response_must_meet_the_same_rules(self) -> None:
        denied = AuthorizationDenied("access_denied", STATE, "https://evil.example")
        with pytest.raises(CallbackRejected) as refused:
            validate_authorization_response(denied, transaction(), provider="corp", iss_required=False)
        assert refused.value.code == "callback_issuer"
