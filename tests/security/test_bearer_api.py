"""RS: bearer tokens at an API that uses `bff.bearer`, over a real socket."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from bff.bearer import JWTBearer
from tests.fakes import OMIT, FakeProvider, generate_key
from tests.security.bearer_calls import AUDIENCE, Api, Claims, running_api


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with FakeProvider() as provider:
        provider.keys.active("ES256")
        bearer = JWTBearer(provider.issuer, AUDIENCE, jwks_url=f"{provider.issuer}/jwks")
        with running_api(bearer, provider) as api:
            yield api


def test_rs_1_a_valid_token_is_accepted(api: Api) -> None:
    assert json.loads(api.send(api.token()).body) == {"sub": "alice"}
    es256 = api.provider.mint(api.claims(), header={"typ": "at+jwt"}, alg="ES256")
    assert api.send(es256).status == 200


@pytest.mark.parametrize("alg", ["none", "None", "nOnE", "NONE"])
def test_rs_1_unsigned_tokens_are_refused(api: Api, alg: str) -> None:
    unsigned = api.provider.mint(api.claims(), header={"typ": "at+jwt", "alg": alg}, alg="none")
    for token in (unsigned, unsigned + "AAAA", unsigned.rstrip(".")):
        api.assert_refused(token)


def test_rs_1_public_values_are_not_accepted_as_hmac_secrets(api: Api) -> None:
    key = api.provider.signing_key
    jwks = api.provider.keys.jwks()
    bom = b"\xef\xbb\xbf"
    secrets: list[bytes] = [
        b"",
        key.public_pem,
        key.public_pem.rstrip(),
        bom + key.public_pem,
        key.public_der,
        key.public_jwk["n"].encode(),
        *(json.dumps(each).encode() for each in (jwks, key.public_jwk, jwks["keys"])),
        f"{api.provider.issuer}/jwks".encode(),
    ]
    for secret in secrets:
        for alg in ("HS256", "HS384", "HS512"):
            for kid in (OMIT, key.kid):
                forged = api.provider.mint(api.claims(), header={"typ": "at+jwt", "kid": kid}, key=secret, alg=alg)
                api.assert_refused(forged)


@pytest.mark.parametrize("alg", ["PS256", "RS384", "RS512", "EdDSA", "ES384"])
def test_rs_1_algorithms_that_are_not_configured_are_refused(api: Api, alg: str) -> None:
    key = api.provider.signing_key if alg[:2] in ("PS", "RS") else generate_key(alg)
    api.assert_refused(api.provider.mint(api.claims(), header={"typ": "at+jwt"}, key=key, alg=alg))


KIDS = [
    "../../dev/null",
    "' OR 1",
    "*",
    "k" * 10_000,
    "sch\u00fcssel",
    5,
    None,
    ["a"],
    {"a": 1},
    "",
    "\x00",
    "http://e/",
]


@pytest.mark.parametrize("kid", KIDS)
def test_rs_2_a_strange_kid_is_only_an_unknown_key_name(api: Api, kid: Any) -> None:
    answer = api.send(api.token(header={"kid": kid}))
    if kid in (None, ""):  # the same as no kid: any key that fits is used
        assert answer.status in (200, 401)
        return
    assert answer.status == 401
    assert b"Traceback" not in answer.received


@pytest.mark.parametrize("member", ["jwk", "jku", "x5u", "x5c"])
def test_rs_2_keys_in_the_header_are_ignored(api: Api, member: str) -> None:
    key = generate_key("RS256")
    with FakeProvider() as attacker:
        attacker.bend.jwks.raw(json={"keys": [key.public_jwk]})
        value = {"jwk": key.public_jwk, "x5c": ["MIIB"]}.get(member, f"{attacker.issuer}/jwks")
        for kid in (OMIT, key.kid, api.provider.signing_key.kid):
            header = {"typ": "at+jwt", "kid": kid, member: value}
            api.assert_refused(api.provider.mint(api.claims(), header=header, key=key))
        assert attacker.hits == []


@pytest.mark.parametrize("header", [{"crit": ["exp"]}, {"crit": []}, {"b64": False}, {"b64": False, "crit": ["b64"]}])
def test_rs_2_critical_extensions_are_refused(api: Api, header: Claims) -> None:
    api.assert_refused(api.token(header=header))


def test_rs_2_random_kids_cause_only_a_few_fetches(api: Api) -> None:
    api.send(api.token())
    api.provider.clear_hits()
    for number in range(100):
        api.assert_refused(api.token(header={"kid": f"random-{number}"}))
    assert len(api.provider.hits_of("jwks")) <= 3
    assert api.send(api.token()).status == 200


TYPES = [
    "JWT",
    "",
    OMIT,
    "logout+jwt",
    "dpop+jwt",
    "secevent+jwt",
    "vestibule-handshake+jwt",
    "id+jwt",
    "at+jwt ",
    5,
    None,
]


@pytest.mark.parametrize("typ", TYPES)
def test_rs_3_tokens_of_other_types_are_refused(api: Api, typ: Any) -> None:
    api.assert_refused(api.token(header={"typ": typ}))


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt"])
def test_rs_3_the_token_type_is_compared_as_a_media_type(api: Api, typ: str) -> None:
    assert api.send(api.token(header={"typ": typ})).status == 200


@pytest.mark.parametrize(
    "claims",
    [
        {"at_hash": "x"},
        {"c_hash": ""},
        {"events": {}},
        {"htu": "https://api/"},
        {"cnf": {"jkt": "x"}},
        {"cnf": None},
    ],
)
def test_rs_3_tokens_for_something_else_are_refused(api: Api, claims: Claims) -> None:
    api.assert_refused(api.token(**claims))


def test_rs_3_real_id_and_logout_tokens_are_refused(api: Api) -> None:
    provider = api.provider
    login = provider.open_login(provider.people["alice"])
    id_claims = provider.id_token_claims(login, client_id=AUDIENCE, nonce="n", access_token="t")
    for header in ({"typ": "JWT"}, {"typ": "at+jwt"}):
        api.assert_refused(provider.mint(id_claims, header=header))
        api.assert_refused(provider.logout_token(sub="alice", aud=AUDIENCE, header=header))


WRONG: dict[str, Claims] = {
    "iss with a slash": {"iss": "{iss}/"},
    "iss upper case": {"iss": "{ISS}"},
    "iss longer": {"iss": "{iss}.evil.example"},
    "iss list": {"iss": ["{iss}"]},
    "iss missing": {"iss": OMIT},
    "iss other": {"iss": "https://evil.example"},
    "aud of another API": {"aud": "other-api"},
    "aud longer": {"aud": AUDIENCE + "2"},
    "aud shorter": {"aud": AUDIENCE[:-1]},
    "aud missing": {"aud": OMIT},
    "aud null": {"aud": None},
    "aud empty": {"aud": []},
    "aud nested": {"aud": [[AUDIENCE]]},
    "aud object": {"aud": {AUDIENCE: 1}},
    "aud of the kit": {"aud": "kit:dashboards"},
    "exp missing": {"exp": OMIT},
    "exp text": {"exp": "9999999999"},
    "exp bool": {"exp": True},
    "exp 1e300": {"exp": 1e300},
    "exp NaN": {"exp": float("nan")},
    "exp infinite": {"exp": float("inf")},
    "exp negative": {"exp": -1},
    "exp past": {"exp": 1_000_000_000},
    "iat missing": {"iat": OMIT},
    "iat future": {"iat": 9_999_999_999},
    "nbf future": {"nbf": 9_999_999_999},
    "nbf text": {"nbf": "0"},
    "sub missing": {"sub": OMIT},
    "sub empty": {"sub": ""},
    "sub number": {"sub": 5},
    "sub with a line break": {"sub": "a\r\nb"},
}


@pytest.mark.parametrize("fault", WRONG)
def test_rs_4_issuer_audience_times_and_subject_are_checked(api: Api, fault: str) -> None:
    words = {"{iss}/": api.provider.issuer + "/", "{ISS}": api.provider.issuer.upper()}
    words["{iss}.evil.example"] = api.provider.issuer + ".evil.example"
    claims: Claims = {
        name: [api.provider.issuer]
        if value == ["{iss}"]
        else words.get(value, value)
        if isinstance(value, str)
        else value
        for name, value in WRONG[fault].items()
    }
    api.assert_refused(api.token(**claims))


@pytest.mark.parametrize(("seconds", "status"), [(-15, 401), (-5, 200)])
def test_rs_4_expired_tokens_are_accepted_for_ten_seconds(api: Api, seconds: int, status: int) -> None:
    assert api.send(api.token(exp=time.time() + seconds)).status == status


MATRIX: list[tuple[str, Claims, int]] = [
    ("/analysts", {"roles": ["analyst"]}, 200),
    ("/analysts", {"roles": ["viewer"]}, 403),
    ("/analysts", {"roles": []}, 403),
    ("/analysts", {}, 403),
    ("/analysts", {"roles": "analyst-in-training"}, 403),
    ("/analysts", {"roles": {"analyst": 1}}, 200),
    ("/analysts", {"roles": {"analyst": 0}}, 403),
    ("/analysts", {"roles": {"analyst": False}}, 403),
    ("/analysts", {"roles": {"viewer": "analyst"}}, 403),
    ("/analysts", {"roles": [["analyst"]]}, 403),
    ("/analysts", {"scope": "analyst"}, 403),
    ("/analysts", {"realm_access": {"roles": ["analyst"]}}, 403),
    ("/readers", {"scope": "models:read models:list"}, 200),
    ("/readers", {"scope": "models:read"}, 403),
    ("/readers", {"scope": "models:reads models:list"}, 403),
    ("/readers", {"scope": ["models:read", "models:list"]}, 200),
    ("/readers", {"scope": [["models:read", "models:list"]]}, 403),
    ("/readers", {"scope": 5}, 403),
    ("/readers", {}, 403),
]


@pytest.mark.parametrize(("path", "claims", "status"), MATRIX)
def test_rs_5_required_roles_and_scopes_are_checked(api: Api, path: str, claims: Claims, status: int) -> None:
    answer = api.send(api.token(**claims), path=path)
    assert answer.status == status
    if status == 403:
        assert 'error="insufficient_scope"' in answer.header("www-authenticate")


@pytest.mark.parametrize("path", ["/analysts", "/readers", "/me"])
def test_rs_5_a_request_without_a_token_gets_401_before_roles_are_checked(api: Api, path: str) -> None:
    answer = api.get(path=path)
    assert answer.status == 401
    assert answer.header("www-authenticate").startswith("Bearer ")
    assert "error=" not in answer.header("www-authenticate")
