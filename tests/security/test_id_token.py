"""IT: one sign-in per changed ID token. It is refused after the token request, and no session is opened."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.effort import costs_less_than
from tests.fakes import OMIT, FakeProvider, SigningKey, generate_key
from tests.front_door import provider_table
from tests.security.house import House
from tests.security.id_token_faults import Change, Claims, assert_login_rejected


def flattened(token: str) -> str:
    header, payload, signature = token.split(".")
    return json.dumps({"protected": header, "payload": payload, "signature": signature})


def with_flipped_signature(token: str) -> str:
    message, _, signature = token.rpartition(".")
    return f"{message}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"


SIGNATURE_FAULTS: dict[str, Callable[[str], Any]] = {
    "empty": lambda token: "",
    "null": lambda token: None,
    "number": lambda token: 5,
    "list": lambda token: [token],
    "bad signature": with_flipped_signature,
    "stripped signature": lambda token: token.rpartition(".")[0] + ".",
    "no third part": lambda token: token.rpartition(".")[0],
    "JSON serialisation": flattened,
    "a dot too many": lambda token: token + ".",
    "a dot before": lambda token: "." + token,
    "four parts": lambda token: token + ".AAAA",
    "padding": lambda token: token + "==",
    "trailing line break": lambda token: token + "\n",
    "other payload": lambda token: ".".join([token.split(".")[0], "e30", token.split(".")[2]]),
    "spare bits": lambda token: token[:-1] + chr(ord(token[-1]) + 1) if token[-1] in "AQgw" else token[:-1] + "B",
}


@pytest.mark.parametrize("fault", SIGNATURE_FAULTS)
def test_it_1_the_signature_is_checked(house: House, fault: str) -> None:
    house.provider.bend.id_token.raw(SIGNATURE_FAULTS[fault])
    assert_login_rejected(house)


def test_it_1_a_sign_in_without_an_id_token_is_refused(house: House) -> None:
    house.provider.bend.token.json(lambda answer: {key: value for key, value in answer.items() if key != "id_token"})
    assert_login_rejected(house, reason="id_token_missing")


def test_it_1_a_signature_by_a_foreign_key_with_the_right_kid_is_refused(house: House) -> None:
    house.provider.bend.id_token.key(generate_key("RS256"))
    assert_login_rejected(house, reason="id_token_signature")


@pytest.mark.parametrize("alg", ["none", "None", "nOnE", "NONE", ""])
def test_it_2_unsigned_tokens_are_refused(house: House, alg: str) -> None:
    house.provider.bend.id_token.key(None, alg="none")
    house.provider.bend.id_token.header(lambda header: {**header, "alg": alg})
    assert_login_rejected(house)
    house.provider.bend.id_token.raw(lambda token: token + "AAAA")
    assert_login_rejected(house, reason="id_token_alg")


def test_it_2_a_token_without_algorithm_is_refused(house: House) -> None:
    house.provider.bend.id_token.header(lambda header: {**header, "alg": OMIT})
    assert_login_rejected(house)


SECRETS: dict[str, Callable[[FakeProvider, SigningKey], str | bytes]] = {
    "client secret": lambda provider, key: provider.client.client_secret,
    "PEM": lambda provider, key: key.public_pem,
    "PEM without its last line break": lambda provider, key: key.public_pem.rstrip(b"\n"),
    "DER": lambda provider, key: key.public_der,
    "JWK": lambda provider, key: json.dumps(key.public_jwk),
    "JWK Set": lambda provider, key: json.dumps(provider.keys.jwks()),
    "modulus": lambda provider, key: key.public_jwk["n"],
    "empty": lambda provider, key: b"",
}


@pytest.mark.parametrize("secret", SECRETS)
def test_it_2_public_values_are_not_accepted_as_hmac_secrets(house: House, secret: str) -> None:
    key = SECRETS[secret](house.provider, house.provider.signing_key)
    house.provider.bend.id_token.key(key, alg="HS256")
    assert_login_rejected(house, reason="id_token_alg")


def test_it_2_algorithms_announced_by_discovery_and_keys_are_ignored(build_house: Callable[..., House]) -> None:
    house = build_house()
    oct_key = {"kty": "oct", "kid": "shared", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I", "alg": "HS256"}
    announced = ["none", "HS256", "RS256"]
    house.provider.bend.discovery.json(lambda doc: {**doc, "id_token_signing_alg_values_supported": announced})
    house.provider.bend.jwks.json(lambda jwks: {"keys": [oct_key, *jwks["keys"]]})
    house.provider.bend.id_token.header(lambda header: {**header, "kid": "shared"})
    house.provider.bend.id_token.key(b"secret-secret-secret-secret-secr", alg="HS256")
    assert_login_rejected(house, reason="id_token_alg")


@pytest.mark.parametrize("alg", ["PS256", "RS384", "RS512"])
def test_it_3_another_algorithm_of_the_same_key_is_refused(house: House, alg: str) -> None:
    house.provider.bend.id_token.key(house.provider.signing_key, alg=alg)
    assert_login_rejected(house, reason="id_token_alg")


KEY_FAULTS: dict[str, Change] = {
    "alg PS256": lambda jwk: {**jwk, "alg": "PS256"},
    "alg RSA-OAEP": lambda jwk: {**jwk, "alg": "RSA-OAEP"},
    "use enc": lambda jwk: {**jwk, "use": "enc"},
    "key_ops sign": lambda jwk: {**jwk, "key_ops": ["sign"]},
    "kty EC": lambda jwk: {**jwk, "kty": "EC"},
}


@pytest.mark.parametrize("fault", KEY_FAULTS)
def test_it_3_a_key_for_another_algorithm_is_not_used(build_house: Callable[..., House], fault: str) -> None:
    house = build_house()
    bystander = generate_key("ES256").public_jwk
    house.provider.bend.jwks.json(lambda jwks: {"keys": [bystander, *map(KEY_FAULTS[fault], jwks["keys"])]})
    assert_login_rejected(house, reason="id_token_unknown_key")


def test_it_3_es256_with_a_key_on_p_384_is_refused(build_house: Callable[..., House], provider: FakeProvider) -> None:
    house = build_house(providers={"corp": provider_table(provider, par="off", id_token_alg="ES256")})
    key = generate_key("ES256", curve="P-384")
    good = generate_key("ES256").public_jwk
    provider.bend.jwks.json(lambda jwks: {"keys": [good, key.public_jwk]})
    provider.bend.id_token.key(key, alg="ES256")
    provider.bend.id_token.header(lambda header: {**header, "kid": key.kid})
    assert_login_rejected(house, reason="id_token_unknown_key")


@pytest.mark.parametrize("member", ["jwk", "jku", "x5u", "x5c"])
def test_it_4_keys_in_the_header_are_ignored(house: House, member: str) -> None:
    key = generate_key("RS256")
    with FakeProvider() as attacker:
        attacker.bend.jwks.raw(json={"keys": [key.public_jwk]})
        value = {"jwk": key.public_jwk, "x5c": ["MIIB"]}.get(member, f"{attacker.issuer}/jwks")
        house.provider.bend.id_token.key(key)
        house.provider.bend.id_token.header(lambda header: {**header, member: value})
        assert_login_rejected(house, reason="id_token_signature")
        house.provider.bend.id_token.header(lambda header: {**header, "kid": OMIT})
        assert_login_rejected(house)
        assert attacker.hits == []


def test_it_4_a_key_in_the_header_of_a_validly_signed_token_is_ignored(house: House) -> None:
    house.provider.bend.id_token.header(lambda header: {**header, "jwk": generate_key("RS256").public_jwk})
    house.sign_in()


@pytest.mark.parametrize(
    "extra",
    [
        {"crit": ["exp"]},
        {"crit": ["unknown"], "unknown": 1},
        {"crit": []},
        {"crit": None},
        {"b64": False, "crit": ["b64"]},
        {"b64": False},
    ],
)
def test_it_4_critical_extensions_are_refused(house: House, extra: Claims) -> None:
    house.provider.bend.id_token.header(lambda header: {**header, **extra})
    assert_login_rejected(house, reason="id_token_crit")


@pytest.mark.parametrize(
    "typ", ["at+jwt", "application/at+jwt", "logout+jwt", "dpop+jwt", "secevent+jwt", "JWE", "vestibule-handshake+jwt"]
)
def test_it_10_tokens_of_another_type_are_refused(house: House, typ: str) -> None:
    house.provider.bend.id_token.header(lambda header: {**header, "typ": typ})
    assert_login_rejected(house, reason="id_token_typ")


@pytest.mark.parametrize("typ", [5, True, ["JWT"]])
def test_it_10_a_type_that_is_not_a_string_is_refused(house: House, typ: Any) -> None:
    house.provider.bend.id_token.header(lambda header: {**header, "typ": typ})
    assert_login_rejected(house)


NESTED = b"[" * 20_000 + b"]" * 20_000
HUGE: dict[str, Callable[[FakeProvider, str], Any]] = {
    "900 KB token": lambda provider, token: token + "A" * 900_000,
    "header of 1 MB": lambda provider, token: "A" * 1_000_000 + token[token.index(".") :],
    "header of 40 KB": lambda provider, token: provider.mint({}, header={"x": "y" * 40_000}),
    "nested claims": lambda provider, token: provider.mint(b'{"a":' + NESTED + b"}"),
    "nested header": lambda provider, token: provider.mint({}, header={"a": json.loads(b"[" * 400 + b"]" * 400)}),
    "integer of 40,000 digits": lambda provider, token: provider.mint(b'{"exp":' + b"9" * 40_000 + b"}"),
    "exponent of 1e999999": lambda provider, token: provider.mint(b'{"exp":1e999999,"iat":1e999999}'),
    "unclosed string of escapes": lambda provider, token: provider.mint(b'\\"' * 20_000),
    "five parts": lambda provider, token: "eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4R0NNIiwiemlwIjoiREVGIn0" + ".AAAA" * 4,
    "PBES2": lambda provider, token: "eyJhbGciOiJQQkVTMi1IUzI1NitBMTI4S1ciLCJwMmMiOjk5OTk5OTk5OX0" + ".AAAA" * 4,
    "kid of 1 KB": lambda provider, token: provider.mint({}, header={"kid": "k" * 1_000}),
    "kid in a list": lambda provider, token: provider.mint({}, header={"kid": ["k"]}),
    "duplicate claims": lambda provider, token: provider.mint(b'{"iss":"a","iss":"b"}'),
    "claims that are no object": lambda provider, token: provider.mint(b'["iss"]'),
    "not UTF-8": lambda provider, token: provider.mint(b'{"iss":"\xff"}'),
}


@pytest.mark.parametrize("fault", HUGE)
def test_it_12_size_and_form_are_checked_before_parsing(house: House, fault: str) -> None:
    house.provider.bend.id_token.raw(lambda token: HUGE[fault](house.provider, token))
    with costs_less_than(1):
        assert_login_rejected(house)


def test_it_12_a_token_response_of_ten_megabytes_is_not_read_completely(house: House) -> None:
    house.provider.bend.id_token.raw(lambda token: "A" * 10_000_000)
    assert_login_rejected(house, reason="provider_too_large", statuses=[503])
