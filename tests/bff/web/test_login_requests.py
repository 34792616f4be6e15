"""Reading a request to sign in: which parameters count, and who may ask."""

from __future__ import annotations

import json
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.browser.csrf import FetchMetadata
from bff.errors import AuthError, BadRequest, Forbidden, LoginRequired
from bff.web.login_requests import WantedTarget, check_navigation, parse_login_request, query_pairs
from tests.fakes.keys import b64url
from tests.payloads.return_targets import FOREIGN_SPELLINGS, REPEATED_PARAMETERS

PROVIDERS = ("corp", "partner")


def parsed(**parameters: str) -> tuple[str, str]:
    """Provider and raw return target of a request."""
    request, target = parse_login_request(urlencode(parameters).encode(), providers=PROVIDERS)
    return request.provider, target.address


def streamlit_provider(payload: bytes) -> str:
    return f"{b64url(b'{}')}.{b64url(payload)}.{b64url(b'signature')}"


class TestParameters:
    def test_every_known_parameter_is_read(self) -> None:
        query = urlencode(
            {
                "return_to": "/report?x=1",
                "provider": "corp",
                "prompt": "login",
                "login_hint": "ada@example.com",
                "max_age": "60",
                "ui_locales": "de-AT en",
                "kit": "dash",
                "binding": "b",
            }
        )
        request, target = parse_login_request(query.encode(), providers=PROVIDERS)
        assert target.address == "/report?x=1"
        assert (request.provider, request.prompt, request.login_hint) == ("corp", "login", "ada@example.com")
        assert (request.max_age, request.ui_locales) == (60.0, "de-AT en")
        assert (request.kit_client, request.kit_binding) == ("dash", "b")

    def test_a_request_without_parameters_is_accepted(self) -> None:
        request, target = parse_login_request(b"", providers=PROVIDERS)
        assert (request.provider, request.prompt, request.max_age, target) == ("", "", None, WantedTarget())

    def test_empty_parameters_are_ignored(self) -> None:
        assert parsed(provider="", prompt="", max_age="", return_to="") == ("", "")

    def test_protocol_parameters_from_the_browser_are_ignored(self) -> None:
        evil = {
            "scope": "admin",
            "client_id": "x",
            "redirect_uri": "//e",
            "response_type": "token",
            "request_uri": "http://e",
            "nonce": "1",
            "state": "1",
            "acr_values": "0",
        }
        request, _ = parse_login_request(urlencode(evil).encode(), providers=PROVIDERS)
        plain, _ = parse_login_request(b"", providers=PROVIDERS)
        assert request == plain

    @pytest.mark.parametrize("query", [*REPEATED_PARAMETERS, "prompt=bogus&prompt=none", "provider=corp&provider="])
    def test_a_repeated_parameter_is_refused(self, query: str) -> None:
        with pytest.raises(BadRequest) as refused:
            parse_login_request(query.encode(), providers=PROVIDERS)
        assert refused.value.code == "login_parameters"

    @pytest.mark.parametrize("query", FOREIGN_SPELLINGS)
    def test_other_names_for_the_return_target_are_ignored(self, query: str) -> None:
        assert parse_login_request(query.encode(), providers=PROVIDERS)[1] == WantedTarget()

    def test_the_name_of_a_kept_target_is_read(self) -> None:
        _, target = parse_login_request(b"return_id=abc", providers=PROVIDERS)
        assert target == WantedTarget(kept_as="abc")

    def test_two_targets_are_refused(self) -> None:
        with pytest.raises(BadRequest) as refused:
            parse_login_request(b"return_to=/a&return_id=abc", providers=PROVIDERS)
        assert refused.value.code == "login_parameters"

    @pytest.mark.parametrize(
        "parameters",
        [
            {"prompt": "bogus"},
            {"prompt": "login none"},
            {"login_hint": "a\nb"},
            {"login_hint": "ü"},
            {"login_hint": "a" * 201},
            {"ui_locales": "de;en"},
            {"ui_locales": "x" * 36},
            {"ui_locales": " ".join(["en"] * 11)},
            {"max_age": "-1"},
            {"max_age": "1.5"},
            {"max_age": "1e3"},
            {"max_age": "²"},
            {"max_age": "123456789"},
        ],
    )
    def test_a_value_that_is_too_long_or_malformed_is_refused(self, parameters: dict[str, str]) -> None:
        with pytest.raises(BadRequest) as refused:
            parsed(**parameters)
        assert refused.value.code == "login_parameters"

    @pytest.mark.parametrize(
        "query",
        [b"return_to=%ff", "return_to=ü".encode(), b"&".join(b"a=1" for _ in range(101)), b"\xff\xfe"],
    )
    def test_a_query_that_is_not_form_encoded_is_refused(self, query: bytes) -> None:
        with pytest.raises(BadRequest) as refused:
            query_pairs(query, code="login_parameters")
        assert refused.value.code == "login_parameters"

    def test_form_pairs_keep_their_order_and_blank_values(self) -> None:
        assert query_pairs(b"b=2&a=&b=%C3%BC+x", code="x") == [("b", "2"), ("a", ""), ("b", "ü x")]


class TestProvider:
    def test_an_unknown_provider_is_refused(self) -> None:
        with pytest.raises(BadRequest) as refused:
            parsed(provider="evil")
        assert refused.value.code == "unknown_provider"

    def test_the_provider_named_in_the_streamlit_token_is_used(self) -> None:
        assert parsed(provider=streamlit_provider(b'{"provider":"partner"}')) == ("partner", "")

    @pytest.mark.parametrize(
        "payload",
        [
            b'{"provider":"evil"}',
            b'{"provider":["corp"]}',
            b'{"provider":{"corp":1}}',
            b'{"other":"corp"}',
            b'"corp"',
            b"[]",
            b"5",
            b"null",
            b"not json",
            b"\xff\xfe",
            b"[" * 3000,
            b'{"a":' * 1000,
        ],
    )
    def test_a_streamlit_token_without_a_provider_is_refused(self, payload: bytes) -> None:
        with pytest.raises(BadRequest) as refused:
            parsed(provider=streamlit_provider(payload))
        assert refused.value.code == "unknown_provider"

    @pytest.mark.parametrize("text", ["a.b", "..", "a.!.c", "a.ü.c", "a.A.c", "." * 500])
    def test_a_broken_streamlit_token_is_refused(self, text: str) -> None:
        with pytest.raises(BadRequest):
            parsed(provider=text)

    @given(st.binary(max_size=80))
    def test_any_streamlit_token_payload_gives_at_most_a_refusal(self, payload: bytes) -> None:
        try:
            provider, _ = parsed(provider=streamlit_provider(payload))
        except BadRequest:
            return
        assert provider == str(json.loads(payload)["provider"])


@given(st.binary(max_size=200))
def test_any_query_gives_at_most_a_refusal(query: bytes) -> None:
    try:
        request, _ = parse_login_request(query, providers=PROVIDERS)
    except BadRequest:
        return
    assert request.provider in ("", *PROVIDERS)


def asks(*headers: tuple[bytes, bytes], **fetch: str) -> type[AuthError] | None:
    try:
        check_navigation(FetchMetadata(**fetch), headers)
    except AuthError as refused:
        return type(refused)
    return None


class TestWhoMayAsk:
    @pytest.mark.parametrize(
        "fetch",
        [
            {"mode": "navigate", "dest": "document", "site": "none"},
            {"mode": "navigate", "dest": "document", "site": "cross-site"},
            {"mode": "navigate"},
            {},
        ],
    )
    def test_a_top_level_navigation_can_start_a_sign_in(self, fetch: dict[str, str]) -> None:
        assert asks(**fetch) is None

    @pytest.mark.parametrize(
        "fetch",
        [{"mode": "cors", "dest": "empty"}, {"mode": "same-origin", "dest": "empty"}, {"mode": "cors"}],
    )
    def test_a_script_gets_login_required(self, fetch: dict[str, str]) -> None:
        assert asks(**fetch) is LoginRequired

    @pytest.mark.parametrize("value", [b"XMLHttpRequest", b"xmlhttprequest"])
    def test_a_script_in_an_old_browser_gets_login_required(self, value: bytes) -> None:
        assert asks((b"x-requested-with", value)) is LoginRequired

    @pytest.mark.parametrize(
        "fetch",
        [
            {"mode": "no-cors", "dest": "image"},
            {"mode": "navigate", "dest": "iframe"},
            {"mode": "navigate", "dest": "frame"},
            {"mode": "navigate", "dest": "embed"},
            {"mode": "no-cors", "dest": "script"},
            {"mode": "no-cors", "dest": "empty"},
            {"mode": "websocket", "dest": "empty"},
            {"mode": "?", "dest": "document"},
            {"mode": "navigate", "dest": "?"},
        ],
    )
    def test_embedded_content_cannot_start_a_sign_in(self, fetch: dict[str, str]) -> None:
        assert asks(**fetch) is Forbidden

    @pytest.mark.parametrize(
        "header", [(b"sec-purpose", b"prefetch"), (b"sec-purpose", b"prefetch;prerender"), (b"purpose", b"prefetch")]
    )
    def test_a_prefetch_cannot_start_a_sign_in(self, header: tuple[bytes, bytes]) -> None:
        assert asks(header, mode="navigate", dest="document") is Forbidden
