"""Client authentication: the configured method and no other."""

from __future__ import annotations

import os
from base64 import b64decode
from dataclasses import replace
from urllib.parse import unquote_plus

import jwt
import pytest

from bff.oidc.client_auth import ASSERTION_TYPE, ClientCredentials, authenticate_form
from tests.bff.factories import ISSUER, NOW, signing_key
from tests.fakes.keys import read_jws

FORM = {"grant_type": "refresh_token"}
BASIC = ClientCredentials(client_id="cl:ient", method="client_secret_basic", issuer=ISSUER, secret="s e/c:r+e%t~ü")


def authenticated(credentials: ClientCredentials) -> tuple[dict[str, str], dict[str, str]]:
    result = authenticate_form(FORM, credentials, now=NOW + 0.9, random=os.urandom)
    return result.form, result.headers


def test_client_secret_basic_encodes_id_and_secret_before_joining_them() -> None:
    """RFC 6749 section 2.3.1: otherwise a colon or a plus sign in one of them breaks the pair."""
    form, headers = authenticated(BASIC)
    client_id, _, secret = b64decode(headers["Authorization"].removeprefix("Basic ")).decode().partition(":")
    assert (unquote_plus(client_id), unquote_plus(secret)) == (BASIC.client_id, BASIC.secret)
    assert form == FORM


def test_client_secret_post_sends_id_and_secret_in_the_form_without_a_header() -> None:
    form, headers = authenticated(replace(BASIC, method="client_secret_post"))
    assert form == FORM | {"client_id": BASIC.client_id, "client_secret": BASIC.secret}
    assert headers == {}


def test_a_public_client_sends_only_its_id() -> None:
    form, headers = authenticated(replace(BASIC, method="none"))
    assert (form, headers) == (FORM | {"client_id": BASIC.client_id}, {})


@pytest.mark.parametrize("alg", ["RS256", "PS256", "ES256", "EdDSA"])
def test_tk_2_a_client_with_a_key_signs_a_short_lived_assertion_for_the_issuer_only(alg: str) -> None:
    key = signing_key({"PS256": "RS256"}.get(alg, alg))
    credentials = replace(
        BASIC, method="private_key_jwt", private_key_pem=key.private_pem.decode(), key_id="k-9", key_alg=alg
    )
    form, headers = authenticated(credentials)
    assert headers == {}
    assert "client_secret" not in form
    assert form["client_assertion_type"] == ASSERTION_TYPE
    claims = read_jws(form["client_assertion"], key.public_jwk | {"alg": alg})
    assert claims is not None
    assert (claims["iss"], claims["sub"], claims["aud"]) == (BASIC.client_id, BASIC.client_id, ISSUER)
    assert (claims["iat"], claims["exp"]) == (NOW, NOW + 60)
    again = read_jws(authenticated(credentials)[0]["client_assertion"], key.public_jwk | {"alg": alg})
    assert again is not None
    assert claims["jti"] != again["jti"]


def test_an_assertion_names_its_key_only_when_it_has_a_name() -> None:
    key = signing_key("ES256")
    for key_id, expected in (("k-9", "k-9"), ("", None)):
        credentials = replace(
            BASIC, method="private_key_jwt", private_key_pem=key.private_pem.decode(), key_id=key_id, key_alg="ES256"
        )
        assertion = authenticated(credentials)[0]["client_assertion"]
        assert jwt.get_unverified_header(assertion).get("kid") == expected


def test_an_unknown_authentication_method_is_an_error_and_not_a_weaker_method() -> None:
    with pytest.raises(ValueError, match="tls_client_auth"):
        authenticated(replace(BASIC, method="tls_client_auth"))


def test_the_form_of_the_caller_is_not_changed_and_no_secret_is_printed() -> None:
    assert "client_id" not in FORM
    assert BASIC.secret not in repr(BASIC) + repr(authenticate_form(FORM, BASIC, now=NOW, random=os.urandom))
