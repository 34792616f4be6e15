"""IT: one sign-in per bent ID token. The token request is made, then nothing else happens."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.effort import costs_less_than
from tests.fakes import OMIT, FakeClock, FakeProvider, SigningKey, generate_key, is_grant
from tests.front_door import provider_table
from tests.security.house import House
from tests.security.rejection import assert_rejected

Claims = dict[str, Any]
Change = Callable[[Claims], Claims]


def with_claims(**over: Any) -> Change:
    return lambda claims: {**claims, **over}


def assert_login_rejected(house: House, *, reason: str = "", **how: Any) -> None:
    """A whole sign-in whose callback is rejected after exactly one token request, before any userinfo."""
    browser = house.browser()
    url = house.callback_url(browser)
    seen = len(house.provider.hits_of("userinfo"))
    assert_rejected(house, lambda: browser.get(url), reason=reason, token_hits=1, **how)
    assert len(house.provider.hits_of("userinfo")) == seen, "userinfo was asked before the ID token held"
    assert not house.is_signed_in(browser)


def bend_claims(house: House, change: Change) -> None:
    house.provider.bend.id_token.claims(change)


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


def test_it_1_an_id_token_is_mandatory(house: House) -> None:
    house.provider.bend.token.json(lambda answer: {key: value for key, value in answer.items() if key != "id_token"})
    assert_login_rejected(house, reason="id_token_missing")


def test_it_1_a_key_of_somebody_else_with_the_right_kid_does_not_sign(house: House) -> None:
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
def test_it_2_public_values_are_no_hmac_secrets(house: House, secret: str) -> None:
    key = SECRETS[secret](house.provider, house.provider.signing_key)
    house.provider.bend.id_token.key(key, alg="HS256")
    assert_login_rejected(house, reason="id_token_alg")


def test_it_2_algorithms_that_discovery_and_keys_announce_do_not_count(build_house: Callable[..., House]) -> None:
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
def test_it_3_a_key_that_is_not_for_this_algorithm_does_not_verify(
    build_house: Callable[..., House], fault: str
) -> None:
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


def test_it_4_a_header_that_carries_a_key_beside_a_good_signature_is_harmless(house: House) -> None:
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
    ids=str,
)
def test_it_4_critical_extensions_are_refused(house: House, extra: Claims) -> None:
    house.provider.bend.id_token.header(lambda header: {**header, **extra})
    assert_login_rejected(house, reason="id_token_crit")


ISSUER_FAULTS: dict[str, Callable[[str], Any]] = {
    "slash": lambda issuer: issuer + "/",
    "case": lambda issuer: issuer.upper(),
    "port": lambda issuer: issuer + "0",
    "prefix": lambda issuer: issuer[:-1],
    "suffix": lambda issuer: issuer + ".evil.example",
    "list": lambda issuer: [issuer],
    "list of two": lambda issuer: [issuer, "https://evil.example"],
    "object": lambda issuer: {issuer: 1},
    "missing": lambda _: OMIT,
    "null": lambda _: None,
    "empty": lambda _: "",
    "other": lambda _: "https://evil.example",
    "space": lambda issuer: " " + issuer,
}


@pytest.mark.parametrize("fault", ISSUER_FAULTS)
def test_it_5_iss_is_the_configured_issuer_byte_for_byte(house: House, fault: str) -> None:
    bend_claims(house, with_claims(iss=ISSUER_FAULTS[fault](house.provider.issuer)))
    assert_login_rejected(house, reason="id_token_iss")


AUDIENCE_FAULTS: dict[str, Claims] = {
    "other with our azp": {"aud": "other", "azp": "vestibule"},
    "two others with our azp": {"aud": ["a", "b"], "azp": "vestibule"},
    "ours and an unlisted one": {"aud": ["vestibule", "evil"]},
    "ours twice": {"aud": ["vestibule", "vestibule"]},
    "missing": {"aud": OMIT},
    "missing with our azp": {"aud": OMIT, "azp": "vestibule"},
    "null": {"aud": None},
    "empty list": {"aud": []},
    "nested list": {"aud": [["vestibule"]]},
    "object": {"aud": {"vestibule": 1}},
    "longer": {"aud": "vestibule2"},
    "shorter": {"aud": "vestibul"},
    "space-separated": {"aud": "vestibule evil"},
    "case": {"aud": "Vestibule"},
    "foreign azp": {"azp": "evil"},
    "azp list": {"azp": ["vestibule"]},
    "azp null": {"azp": None},
}


@pytest.mark.parametrize("fault", AUDIENCE_FAULTS)
def test_it_6_aud_is_this_client_alone(house: House, fault: str) -> None:
    bend_claims(house, with_claims(**AUDIENCE_FAULTS[fault]))
    assert_login_rejected(house)


@pytest.mark.parametrize("claims", [{"aud": ["vestibule"]}, {"azp": "vestibule"}], ids=str)
def test_it_6_a_list_of_this_client_and_its_azp_are_accepted(house: House, claims: Claims) -> None:
    bend_claims(house, with_claims(**claims))
    house.sign_in()


NO_NUMBERS: dict[str, Any] = {
    "missing": OMIT,
    "null": None,
    "string": "9999999999",
    "bool": True,
    "1e300": 1e300,
    "NaN": float("nan"),
    "infinity": float("inf"),
    "negative": -1,
    "list": [],
    "object": {},
    "2**63": 2**63,
}


@pytest.mark.parametrize("claim", ["exp", "iat"])
@pytest.mark.parametrize("fault", NO_NUMBERS)
def test_it_7_times_are_finite_numbers(house: House, claim: str, fault: str) -> None:
    bend_claims(house, with_claims(**{claim: NO_NUMBERS[fault]}))
    assert_login_rejected(house)


@pytest.mark.parametrize(
    ("claim", "seconds", "accepted"),
    [
        ("exp", -61, False),
        ("exp", -55, True),
        ("iat", 65, False),
        ("iat", 55, True),
        ("iat", -65, False),
        ("iat", -55, True),
        ("iat", -31_536_000, False),
        ("nbf", 65, False),
        ("nbf", 55, True),
    ],
)
def test_it_7_a_minute_of_leeway_and_no_more(
    timed_house: Callable[..., House], clock: FakeClock, claim: str, seconds: float, accepted: bool
) -> None:
    house = timed_house()
    bend_claims(house, with_claims(**{claim: clock() + seconds}))
    if accepted:
        house.sign_in()
    else:
        assert_login_rejected(house, reason=f"id_token_{claim}")


@pytest.mark.parametrize("nonce", [OMIT, "", None, 5, [], {}, "x" * 43, ["{own}"], "{own} ", "{other}"], ids=str)
def test_it_8_nonce_is_this_sign_ins_own(house: House, nonce: Any) -> None:
    other = house.start_login(house.browser()).headers["location"].partition("nonce=")[2].partition("&")[0]

    def change(claims: Claims) -> Claims:
        words = {"{own}": claims["nonce"], "{own} ": claims["nonce"] + " ", "{other}": other}
        value = (
            [words[nonce[0]]] if nonce == ["{own}"] else words.get(nonce, nonce) if isinstance(nonce, str) else nonce
        )
        return {**claims, "nonce": value}

    bend_claims(house, change)
    assert_login_rejected(house, reason="id_token_nonce")


SUBJECTS = ["", 5, None, True, [], "a\r\nb", "a\x00", "a\x7f", "\u00e4", "\u0430", "x" * 256, "x" * 10_240, OMIT]


@pytest.mark.parametrize("sub", SUBJECTS, ids=lambda sub: repr(sub)[:20])
def test_it_9_sub_is_short_printable_ascii(house: House, sub: Any) -> None:
    bend_claims(house, with_claims(sub=sub))
    assert_login_rejected(house, reason="id_token_sub")


@pytest.mark.parametrize("sid", ["", 5, None, ["a"], "a\r\nb", "x" * 256])
def test_it_9_a_sid_that_is_none_is_refused(house: House, sid: Any) -> None:
    bend_claims(house, with_claims(sid=sid))
    assert_login_rejected(house, reason="id_token_sid")


def test_it_9_the_same_sub_of_another_provider_is_another_person(
    build_house: Callable[..., House], provider: FakeProvider
) -> None:
    with FakeProvider(auto_login="alice") as partner:
        tables = {name: provider_table(fake, par="off") for name, fake in (("corp", provider), ("partner", partner))}
        house = build_house(providers=tables)
        seen = {}
        for name in tables:
            browser = house.sign_in(path=f"/auth/login?provider={name}")
            browser.fetch(f"{house.url}/api/me")
            assert house.who(browser) == "alice"
            seen[name] = [house.upstream.last.header(f"x-auth-request-{field}") for field in ("id", "user")]
        assert seen["corp"][0] != seen["partner"][0]
        assert [user for _, user in seen.values()] == ["corp:alice", "partner:alice"]


EMAILS: dict[str, Claims] = {
    "two at signs": {"email": "a@evil.example@corp.example"},
    "list in one": {"email": "a@corp.example,e@evil.example"},
    "list in one, ours last": {"email": "e@evil.example,a@corp.example"},
    "angle brackets": {"email": "<a@evil.example>a@corp.example"},
    "unverified": {"email": "a@corp.example", "email_verified": False},
    "verified in words": {"email": "a@corp.example", "email_verified": "yes"},
    "verified not said": {"email": "a@corp.example", "email_verified": OMIT},
    "homoglyph": {"email": "a@c\u043erp.example"},
    "sub-domain": {"email": "a@evil.corp.example"},
    "longer": {"email": "a@corp.example.evil.example"},
    "shorter": {"email": "a@orp.example"},
    "glued": {"email": "a@evilcorp.example"},
    "space": {"email": "a@evil.example a@corp.example"},
    "trailing dot": {"email": "a@corp.example."},
    "line break": {"email": "a@evil.example\n@corp.example"},
    "list": {"email": ["a@corp.example"]},
    "missing": {"email": OMIT},
    "username": {"email": OMIT, "preferred_username": "a@corp.example"},
}


@pytest.mark.parametrize("case", EMAILS)
def test_it_9_a_doubtful_address_grants_no_domain_rule(house: House, case: str) -> None:
    claims = EMAILS[case]
    bend_claims(house, with_claims(**claims))
    kept = {name: value for name, value in claims.items() if value is not OMIT}
    house.provider.bend.userinfo.json(
        lambda info: {**{key: value for key, value in info.items() if key not in claims}, **kept}
    )
    browser = house.sign_in()
    assert browser.get(f"{house.url}/domain/x").status_code == 403
    assert house.upstream.requests_to("/domain/x") == []


def test_it_9_a_verified_address_of_the_domain_is_let_in(house: House) -> None:
    house.provider.bend.userinfo.json(lambda info: {**info, "email": "Ada@CORP.example"})
    browser = house.sign_in()
    assert browser.get(f"{house.url}/domain/x").status_code == 200


@pytest.mark.parametrize(
    "typ", ["at+jwt", "application/at+jwt", "logout+jwt", "dpop+jwt", "secevent+jwt", "JWE", "vestibule-handshake+jwt"]
)
def test_it_10_tokens_of_another_type_are_refused(house: House, typ: str) -> None:
    house.provider.bend.id_token.header(lambda header: {**header, "typ": typ})
    assert_login_rejected(house, reason="id_token_typ")


@pytest.mark.parametrize("typ", [5, None, ["JWT"]])
def test_it_10_a_type_that_is_no_text_is_refused(house: House, typ: Any) -> None:
    house.provider.bend.id_token.header(lambda header: {**header, "typ": typ})
    assert_login_rejected(house)


@pytest.mark.parametrize("value", ["", "AAAA", 5, None, []])
def test_it_11_at_hash_must_be_of_this_access_token(house: House, value: Any) -> None:
    bend_claims(house, with_claims(at_hash=value))
    assert_login_rejected(house, reason="id_token_at_hash")


@pytest.mark.parametrize("value", ["", "AAAA", 5, None, []])
def test_it_11_c_hash_must_be_of_this_code(house: House, value: Any) -> None:
    bend_claims(house, with_claims(c_hash=value))
    assert_login_rejected(house, reason="id_token_c_hash")


@pytest.mark.parametrize("auth_time", [OMIT, "now", 0, -1, True])
def test_it_11_auth_time_is_enforced_when_max_age_was_asked(house: House, auth_time: Any) -> None:
    bend_claims(house, with_claims(auth_time=auth_time))
    browser = house.browser()
    url = house.callback_url(browser, max_age="60")
    assert_rejected(house, lambda: browser.get(url), reason="id_token_auth_time", token_hits=1)


def test_it_11_a_lower_acr_than_asked_is_refused(build_house: Callable[..., House]) -> None:
    house = build_house()
    routes = [
        {"id": "vault", "path": "/", "upstream": house.upstream.url, "kind": "page", "require": {"acr_any": ["2"]}}
    ]
    strict = build_house(routes=routes)
    browser = strict.browser()
    url = strict.callback_url(browser, return_to="/vault")
    assert_rejected(strict, lambda: browser.get(url), reason="id_token_acr", token_hits=1)


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
def test_it_12_size_and_shape_are_bounded_before_parsing(house: House, fault: str) -> None:
    house.provider.bend.id_token.raw(lambda token: HUGE[fault](house.provider, token))
    with costs_less_than(1):
        assert_login_rejected(house)


def test_it_12_a_token_response_of_ten_megabytes_is_not_read_to_its_end(house: House) -> None:
    house.provider.bend.id_token.raw(lambda token: "A" * 10_000_000)
    assert_login_rejected(house, reason="provider_too_large", statuses=[503])


@pytest.mark.parametrize("sub", ["bob", "", 5, None, ["alice"], "alice ", "Alice"])
def test_it_13_userinfo_of_another_person_is_refused(house: House, sub: Any) -> None:
    house.provider.bend.userinfo.json(lambda info: {**info, "sub": sub})
    browser = house.browser()
    url = house.callback_url(browser)
    assert_rejected(house, lambda: browser.get(url), reason="userinfo_sub", token_hits=1)


def userinfo_jwt(house: House, **how: Any) -> tuple[dict[str, str], str]:
    claims = {"iss": house.provider.issuer, "aud": "vestibule", "sub": "alice", "roles": ["admin"]}
    return {"content-type": "application/jwt"}, house.provider.mint(claims, **how)


@pytest.mark.parametrize("alg", ["none", "HS256", "PS256"])
def test_it_13_a_userinfo_jwt_needs_the_pinned_algorithm(house: House, alg: str) -> None:
    headers, token = userinfo_jwt(house, alg=alg)
    house.provider.bend.userinfo.raw(headers=headers, body=token)
    browser = house.browser()
    url = house.callback_url(browser)
    assert_rejected(house, lambda: browser.get(url), token_hits=1)


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b'{"sub":"alice","sub":"bob"}', b'{"sub":"bob"}', b"null"])
def test_it_13_a_malformed_userinfo_answer_is_refused(house: House, body: bytes) -> None:
    house.provider.bend.userinfo.raw(headers={"content-type": "application/json"}, body=body)
    browser = house.browser()
    url = house.callback_url(browser)
    assert_rejected(house, lambda: browser.get(url), token_hits=1)


def test_it_13_a_userinfo_redirect_is_not_followed(house: House) -> None:
    with FakeProvider() as attacker:
        house.provider.bend.userinfo.raw(302, headers={"location": f"{attacker.url}/userinfo"})
        browser = house.browser()
        url = house.callback_url(browser)
        assert_rejected(house, lambda: browser.get(url), reason="provider_redirect", statuses=[503], token_hits=1)
        assert attacker.hits == []


def test_it_13_userinfo_overrides_nothing_that_the_id_token_says_of_the_sign_in(house: House) -> None:
    lies = {"iss": "https://evil.example", "aud": "evil", "sid": "evil", "azp": "evil", "auth_time": 1, "acr": "9"}
    house.provider.bend.userinfo.json(lambda info: {**info, **lies})
    session = house.session_of(house.sign_in())
    assert session.identity.iss == house.provider.issuer
    assert session.sid == house.provider.logins("alice")[-1].sid
    assert session.identity.acr == "1"
    assert session.identity.auth_time > 1
    assert "evil" not in repr(session.identity)


REFRESH_LIES: dict[str, Claims] = {
    "another person": {"sub": "bob"},
    "another issuer": {"iss": "https://evil.example"},
    "another audience": {"aud": "other"},
    "two audiences": {"aud": ["vestibule", "other"]},
    "no sub": {"sub": OMIT},
    "expired": {"exp": 1},
}


@pytest.mark.parametrize("lie", REFRESH_LIES)
def test_it_14_a_refresh_that_speaks_of_somebody_else_ends_the_session(
    timed_house: Callable[..., House], clock: FakeClock, lie: str
) -> None:
    house = timed_house()
    browser = house.sign_in()
    refreshed = is_grant("refresh_token")
    house.provider.bend.id_token.claims(with_claims(**REFRESH_LIES[lie]), when=refreshed)
    clock.advance(301)
    assert_rejected(house, lambda: browser.fetch(f"{house.url}/api/x"), statuses=[401], token_hits=1)
    assert not house.is_signed_in(browser)
    assert len(house.provider.hits_of("token")) == 2


def test_it_14_an_unsigned_id_token_in_a_refresh_ends_the_session(
    timed_house: Callable[..., House], clock: FakeClock
) -> None:
    house = timed_house()
    browser = house.sign_in()
    house.provider.bend.id_token.key(None, alg="none", when=is_grant("refresh_token"))
    clock.advance(301)
    assert_rejected(house, lambda: browser.fetch(f"{house.url}/api/x"), statuses=[401], token_hits=1)
    assert not house.is_signed_in(browser)
