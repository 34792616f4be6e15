"""Discovery documents: endpoints must be on the host of the issuer, and other members are ignored."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from bff.errors import InvalidToken
from bff.oidc.metadata import OPTIONAL, REQUIRED, ProviderMetadata, discovery_url, parse_metadata
from tests.bff.factories import ISSUER

BASE = "https://idp.example.com"
DOCUMENT: dict[str, Any] = {"issuer": ISSUER, **{name: f"{BASE}/{name}" for name in (*REQUIRED, *OPTIONAL)}}


def parsed(*, allowed: Any = frozenset(), **over: Any) -> ProviderMetadata:
    return parse_metadata(DOCUMENT | over, issuer=ISSUER, allowed_hosts=allowed)


def code_of(**over: Any) -> str:
    with pytest.raises(InvalidToken) as refused:
        parsed(**over)
    return refused.value.code


def test_all_endpoints_of_the_document_are_read() -> None:
    metadata = parsed()
    assert metadata.issuer == ISSUER
    for name in (*REQUIRED, *OPTIONAL):
        assert getattr(metadata, name) == f"{BASE}/{name}"
    assert (metadata.requires_par, metadata.sends_iss) == (False, False)


@pytest.mark.parametrize("name", OPTIONAL)
def test_an_endpoint_that_the_provider_does_not_have_is_empty(name: str) -> None:
    assert getattr(parsed(**{name: None}), name) == ""


@pytest.mark.parametrize("name", REQUIRED)
def test_a_document_without_a_necessary_endpoint_is_refused(name: str) -> None:
    assert code_of(**{name: None}) == "discovery_endpoint"


@pytest.mark.parametrize("issuer", [ISSUER + "/", ISSUER.upper(), BASE, "https://evil.example", None, [ISSUER], ""])
def test_a_document_of_another_issuer_is_refused(issuer: object) -> None:
    with pytest.raises(InvalidToken) as refused:
        parse_metadata(DOCUMENT | {"issuer": issuer}, issuer=ISSUER, allowed_hosts=frozenset())
    assert refused.value.code == "discovery_issuer"


BAD_URLS: list[Any] = [
    "http://idp.example.com/x",
    "https://evil.example/x",
    "https://idp.example.com.evil.example/x",
    "https://idp.example.com:8443/x",
    "https://user@idp.example.com/x",
    "https://idp.example.com@evil.example/x",
    "https://evil.example\\@idp.example.com/x",
    "https://idp.example.com\\x",
    "https://idp.example.com/x#fragment",
    "https://idp.example.com:port/x",
    "https://idp.example.com:99999/x",
    "https://[::1]/x",
    "https://[bad/x",
    "https://169.254.169.254/x",
    "https://2130706433/x",
    "https://127.0.0.1/x",
    "https:///x",
    "https:x",
    "//idp.example.com/x",
    "/x",
    "x",
    "javascript:alert(1)",
    "file:///etc/passwd",
    "data:text/html,x",
    "https://idp.example.com/ x",
    "https://idp.example.com/x\r\n",
    "https://idp.example.com/\tx",
    "https://idp.example.com/ü",
    "https://\uff49dp.example.com/x",
    "https://idp.example.com/" + "x" * 2048,
    5,
    [],
    {},
    True,
]


@pytest.mark.parametrize("url", BAD_URLS)
def test_an_endpoint_on_another_host_is_refused(url: Any) -> None:
    for name in (*REQUIRED, *OPTIONAL):
        assert code_of(**{name: url}) == "discovery_endpoint", name


def test_an_endpoint_may_be_on_an_allowed_host() -> None:
    allowed = frozenset({"keys.example.com", "idp.example.com:8443"})
    assert parsed(jwks_uri="https://KEYS.example.com/jwks", allowed=allowed).jwks_uri == "https://KEYS.example.com/jwks"
    assert parsed(token_endpoint="https://idp.example.com:8443/t", allowed=allowed)
    assert code_of(jwks_uri="https://x.keys.example.com/", allowed=allowed) == "discovery_endpoint"
    assert code_of(jwks_uri="http://keys.example.com/", allowed=allowed) == "discovery_endpoint"


def test_an_endpoint_may_have_a_query_and_its_host_any_case() -> None:
    assert parsed(authorization_endpoint="https://IDP.example.com/a?p=b2c").authorization_endpoint.endswith("?p=b2c")


def test_a_plain_http_issuer_on_loopback_may_have_plain_http_endpoints() -> None:
    local = "http://127.0.0.1:9000"
    document = {"issuer": local, **{name: f"{local}/{name}" for name in REQUIRED}}
    metadata = parse_metadata(document, issuer=local, allowed_hosts=frozenset())
    assert metadata.token_endpoint == f"{local}/token_endpoint"
    with pytest.raises(InvalidToken):
        parse_metadata(document | {"jwks_uri": "ftp://127.0.0.1:9000/x"}, issuer=local, allowed_hosts=frozenset())


def test_a_flag_is_set_only_by_the_json_value_true() -> None:
    names = {
        "require_pushed_authorization_requests": "requires_par",
        "authorization_response_iss_parameter_supported": "sends_iss",
    }
    for wire, name in names.items():
        assert getattr(parsed(**{wire: True}), name) is True
        for value in ("true", 1, None, [True]):
            assert getattr(parsed(**{wire: value}), name) is False


def test_other_members_of_the_document_have_no_effect() -> None:
    """A provider cannot switch off PKCE, widen scopes, or choose algorithms and transport options."""
    hostile = {
        "scope": "admin",
        "code_challenge_methods_supported": ["plain"],
        "code_challenge_method": None,
        "id_token_signing_alg_values_supported": ["none"],
        "token_endpoint_auth_method": "none",
        "verify": False,
        "proxy": "http://evil.example",
        "client_secret": "x",
        "allowed_hosts": ["evil.example"],
    }
    assert parsed(**hostile) == parsed()
    assert {field.name for field in fields(ProviderMetadata)} == {
        "issuer",
        *REQUIRED,
        *OPTIONAL,
        "requires_par",
        "sends_iss",
    }


@pytest.mark.parametrize("issuer", [ISSUER, ISSUER + "/"])
def test_the_discovery_address_is_below_the_path_of_the_issuer(issuer: str) -> None:
    assert discovery_url(issuer) == ISSUER + "/.well-known/openid-configuration"
