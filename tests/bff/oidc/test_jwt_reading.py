"""Compact JWS: shape, header, signature and times. Every fault raises `InvalidToken` and nothing else."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.errors import InvalidToken
from bff.oidc.jwt_reading import (
    MAX_HEADER,
    MAX_TOKEN,
    UnknownKey,
    check_audience,
    check_issuer,
    check_times,
    number_at,
    read_header,
    verify_signature,
)
from bff.oidc.members import MAX_WRITTEN
from tests.bff.factories import jwt_of, published, signing_key
from tests.fakes import OMIT
from tests.fakes.keys import b64url
from tests.payloads.audiences import AUDIENCES, audience_cases

KEYS = published(signing_key())
TYPES = frozenset({"", "jwt"})


def verify(token: str, *, alg: str = "RS256", keys: Any = KEYS) -> dict[str, Any]:
    return verify_signature(token, keys=keys, alg=alg, prefix="p", types=TYPES)


def code_of(token: str, **over: Any) -> str:
    with pytest.raises(InvalidToken) as refused:
        verify(token, **over)
    return refused.value.code


def raw(header: bytes, payload: bytes = b"{}", signature: bytes = b"sig") -> str:
    return ".".join(b64url(part) for part in (header, payload, signature))


def test_a_signed_token_gives_its_claims() -> None:
    assert verify(jwt_of({"sub": "alice"})) == {"sub": "alice"}


@pytest.mark.parametrize("alg", ["RS256", "PS256", "ES256", "EdDSA"])
def test_each_algorithm_verifies_only_its_own_tokens(alg: str) -> None:
    key = signing_key(alg)
    token = jwt_of({"sub": "alice"}, key=key)
    assert verify(token, alg=alg, keys=published(key)) == {"sub": "alice"}
    for other in {"RS256", "PS256", "ES256", "EdDSA"} - {alg}:
        assert code_of(token, alg=other, keys=published(key)) == "p_alg"


class TestShape:
    @pytest.mark.parametrize(
        "token",
        [
            "",
            ".",
            "..",
            "...",
            "a.b",
            "a.b.c.d",
            "a.b.c.d.e",
            "a.b.",
            ".b.c",
            "a..c",
            "ü.b.c",
            "a b.c.d",
            "\n",
            json.dumps({"payload": "e30", "protected": "e30", "signature": "x"}),
        ],
    )
    def test_a_text_that_is_not_a_compact_jws_is_malformed(self, token: str) -> None:
        assert code_of(token) == "p_malformed"

    def test_a_jwt_in_another_spelling_is_malformed(self) -> None:
        """Padding, white space, foreign alphabets and stray bits name the same bytes: refused."""
        good = jwt_of({"sub": "alice"})
        head, body, signature = good.split(".")
        assert verify(good)
        for other in (good + "=", good + "==", " " + good, good + "\n", f"{head}=.{body}.{signature}", good + "."):
            assert code_of(other) == "p_malformed"
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        stray = alphabet[alphabet.index(signature[-1]) + 1]
        assert code_of(good[:-1] + stray) == "p_malformed"
        assert code_of(good.replace("-", "+").replace("_", "/")) == "p_malformed"

    @pytest.mark.parametrize("length", [1, 5])
    def test_a_segment_of_impossible_length_is_malformed(self, length: int) -> None:
        assert code_of("A" * length + ".e30.AAAA") == "p_malformed"

    def test_a_json_serialised_token_is_malformed(self) -> None:
        head, body, signature = jwt_of({"sub": "alice"}).split(".")
        assert code_of(json.dumps({"protected": head, "payload": body, "signature": signature})) == "p_malformed"

    @pytest.mark.parametrize(
        "header",
        [
            b"",
            b"[]",
            b"null",
            b"not json",
            b"\xff",
            b'{"alg":"RS256","alg":"none"}',
            b"{}",
            b'{"alg":null}',
            b'{"alg":["RS256"]}',
            b'{"alg":"RS256","typ":5}',
            b'{"alg":"RS256","kid":5}',
            b'{"alg":"RS256","kid":["k1"]}',
            b'{"alg":"RS256","kid":"' + b"k" * 257 + b'"}',
            b'{"alg":"RS256","x":' + b"[" * 500 + b"]" * 500 + b"}",
            b'{"alg":"RS256","x":"' + b"x" * MAX_HEADER + b'"}',
        ],
    )
    def test_a_jwt_header_of_another_form_is_malformed(self, header: bytes) -> None:
        assert code_of(raw(header)) == "p_malformed"

    @pytest.mark.parametrize("payload", [b"[]", b"null", b"text", b"\xff", b'{"a":1,"a":2}', b'{"a":NaN}'])
    def test_a_signed_payload_that_is_not_an_object_is_malformed(self, payload: bytes) -> None:
        assert code_of(jwt_of(payload)) == "p_malformed"

    @pytest.mark.parametrize(
        "token",
        [
            "A" * 10_000_000,
            "." * 10_000_000,
            "e30." + "A" * 1_000_000 + ".AAAA",
            "A" * 60_000 + ".e30.AAAA",
            raw(b'{"alg":"RS256","x":' + b"[" * 2_900),
            raw(b'{"alg":"RS256","x":"' + b'\\"' * 1_450),
        ],
        ids=["one-segment", "dots", "payload", "header", "depth", "escapes"],
    )
    def test_very_large_tokens_are_refused_at_once(self, token: str) -> None:
        before = time.thread_time()
        assert code_of(token) == "p_malformed"
        assert time.thread_time() - before < 0.2

    def test_a_token_at_the_limit_is_read(self) -> None:
        padding = "x" * 40_000
        token = jwt_of({"pad": padding})
        assert len(token) < MAX_TOKEN
        assert verify(token)["pad"] == padding


class TestHeader:
    @pytest.mark.parametrize("alg", ["none", "None", "nOnE", "NONE"])
    def test_unsigned_tokens_are_refused(self, alg: str) -> None:
        assert code_of(jwt_of({"sub": "alice"}, alg=alg)) == "p_malformed"
        assert code_of(raw(json.dumps({"alg": alg}).encode())) == "p_alg"

    @pytest.mark.parametrize("alg", ["HS256", "RS384", "rs256", "RS256 ", "ES256", "PS256", ""])
    def test_a_header_with_another_algorithm_than_the_pinned_one_is_refused(self, alg: str) -> None:
        assert code_of(raw(json.dumps({"alg": alg}).encode())) == "p_alg"

    @pytest.mark.parametrize("form", ["pem", "der", "jwk", "jwks"])
    def test_a_jwt_signed_with_the_public_key_as_a_shared_secret_is_refused(self, form: str) -> None:
        key = signing_key()
        jwk = json.dumps(key.public_jwk).encode()
        secret = {"pem": key.public_pem, "der": key.public_der, "jwk": jwk, "jwks": b'{"keys":[' + jwk + b"]}"}[form]
        token = jwt_of({"sub": "alice"}, key=secret, alg="HS256", header={"kid": "k1"})
        assert code_of(token) == "p_alg"
        lying = jwt_of({"sub": "alice"}, key=secret, alg="HS256", header={"kid": "k1", "alg": "RS256"})
        assert code_of(lying) == "p_signature"

    @pytest.mark.parametrize(
        "extension", [{"crit": ["exp"]}, {"crit": []}, {"b64": False}, {"b64": True}, {"crit": None}]
    )
    def test_critical_extensions_are_refused(self, extension: dict[str, Any]) -> None:
        assert code_of(jwt_of({"sub": "alice"}, header=extension)) == "p_crit"

    @pytest.mark.parametrize("typ", ["at+jwt", "logout+jwt", "dpop+jwt", "secevent+jwt", "application/at+jwt", "JWT2"])
    def test_another_type_is_refused(self, typ: str) -> None:
        assert code_of(jwt_of({"sub": "alice"}, header={"typ": typ})) == "p_typ"

    @pytest.mark.parametrize("typ", ["JWT", "jwt", "Application/JWT", ""])
    def test_the_type_is_read_without_case_and_prefix(self, typ: str) -> None:
        assert verify(jwt_of({"sub": "alice"}, header={"typ": typ}))
        assert verify(jwt_of({"sub": "alice"}, drop=("typ",)))

    def test_keys_in_the_header_are_never_used(self) -> None:
        attacker = signing_key("RS256", "attacker")
        embedded = {"jwk": attacker.public_jwk, "jku": "https://evil.example/jwks", "x5u": "https://evil.example/x"}
        assert code_of(jwt_of({"sub": "alice"}, key=attacker, header=embedded | {"kid": "k1"})) == "p_signature"

    def test_other_members_of_the_header_are_ignored(self) -> None:
        header = read_header(jwt_of({}, header={"x5c": ["x"], "cty": "x"}), prefix="p")
        assert (header.alg, header.typ, header.kid) == ("RS256", "jwt", "k1")


class TestKeyChoice:
    def test_an_unknown_kid_is_reported_as_an_unknown_key(self) -> None:
        with pytest.raises(UnknownKey) as refused:
            verify(jwt_of({}, header={"kid": "k2"}))
        assert refused.value.code == "p_unknown_key"
        with pytest.raises(UnknownKey):
            verify(jwt_of({}), keys=())

    @pytest.mark.parametrize("kid", ["../../dev/null", "' OR 1", "*", "k\u00fc", "K1", "k1 "])
    def test_a_strange_kid_is_only_an_unknown_name(self, kid: str) -> None:
        assert code_of(jwt_of({}, header={"kid": kid})) == "p_unknown_key"

    def test_without_a_kid_every_suitable_key_is_tried(self) -> None:
        keys = published(signing_key("RS256", "other"), signing_key())
        assert verify(jwt_of({"sub": "alice"}, drop=("kid",)), keys=keys)
        assert code_of(jwt_of({}, drop=("kid",)), keys=keys[:1]) == "p_signature"

    def test_a_key_for_another_algorithm_or_use_is_not_used(self) -> None:
        for over in ({"alg": "PS256"}, {"use": "enc"}, {"alg": "RSA-OAEP-256"}):
            assert code_of(jwt_of({}), keys=published(signing_key(), **over)) == "p_unknown_key"

    @pytest.mark.parametrize("part", [0, 1, 2])
    def test_any_change_breaks_the_signature(self, part: int) -> None:
        parts = jwt_of({"sub": "alice", "pad": "xxx"}).split(".")
        other = jwt_of({"sub": "mallory", "pad": "xxx"}, header={"kid": "k1", "typ": ""}).split(".")
        parts[part] = other[part]
        assert code_of(".".join(parts)) == "p_signature"

    def test_an_ecdsa_signature_of_zeros_does_not_verify(self) -> None:
        key = signing_key("ES256")
        head, body, _ = jwt_of({"sub": "alice"}, key=key).split(".")
        for size in (64, 63, 1):
            token = f"{head}.{body}.{b64url(bytes(size))}"
            assert code_of(token, alg="ES256", keys=published(key)) == "p_signature"


NUMBERS: list[object] = [None, "5", True, False, [], {}, -1, -0.5, 2**40, 1e300, float("inf"), float("nan"), 10**400]


@pytest.mark.parametrize("value", NUMBERS)
def test_only_a_plausible_number_is_read_as_a_time(value: object) -> None:
    with pytest.raises(InvalidToken) as refused:
        number_at({"exp": value}, "exp", prefix="p")
    assert refused.value.code == "p_exp"


@pytest.mark.parametrize("value", [0, 1, 1.5, 2**40 - 1])
def test_a_plausible_number_is_read_as_that_time(value: float) -> None:
    assert number_at({"exp": value}, "exp", prefix="p") == value


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"exp": 1060, "iat": 940}, ""),
        ({"exp": 941, "iat": 1060, "nbf": 1060}, ""),
        ({"exp": 940, "iat": 900}, "p_exp"),
        ({"exp": 2000, "iat": 1061}, "p_iat"),
        ({"exp": 2000, "iat": 1000, "nbf": 1061}, "p_nbf"),
        ({"exp": 2000, "iat": 1000, "nbf": "x"}, "p_nbf"),
        ({"exp": 2000}, "p_iat"),
        ({"iat": 1000}, "p_exp"),
    ],
)
def test_times_are_checked_with_the_clock_skew_and_not_a_second_more(claims: dict[str, Any], code: str) -> None:
    if not code:
        check_times(claims, now=1000, skew=60, prefix="p")
        return
    with pytest.raises(InvalidToken) as refused:
        check_times(claims, now=1000, skew=60, prefix="p")
    assert refused.value.code == code


@pytest.mark.parametrize("iss", ["https://idp/", "HTTPS://idp", "https://idp:443", "https://id", None, ["https://idp"]])
def test_the_issuer_is_compared_byte_for_byte(iss: object) -> None:
    check_issuer({"iss": "https://idp"}, issuer="https://idp", prefix="p")
    with pytest.raises(InvalidToken) as refused:
        check_issuer({"iss": iss}, issuer="https://idp", prefix="p")
    assert refused.value.code == "p_iss"


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"aud": "cid"}, ""),
        ({"aud": ["cid"]}, ""),
        ({"aud": "cid", "azp": "cid"}, ""),
        ({"aud": "other", "azp": "cid"}, "p_aud"),
        ({"aud": ["other"]}, "p_aud"),
        ({"aud": ["a", "b"], "azp": "cid"}, "p_aud"),
        ({"aud": ["cid", "evil"]}, "p_aud"),
        ({"aud": ["cid", "cid"]}, "p_aud"),
        ({"aud": []}, "p_aud"),
        ({"aud": "cid-other"}, "p_aud"),
        ({"aud": "ci"}, "p_aud"),
        ({"aud": {"cid": 1}}, "p_aud"),
        ({}, "p_aud"),
        ({"aud": "cid", "azp": "other"}, "p_azp"),
        ({"aud": "cid", "azp": 5}, "p_azp"),
    ],
)
def test_the_audience_must_be_this_client_only(claims: dict[str, Any], code: str) -> None:
    if not code:
        check_audience(claims, audience="cid", prefix="p")
        return
    with pytest.raises(InvalidToken) as refused:
        check_audience(claims, audience="cid", prefix="p")
    assert refused.value.code == code


@pytest.mark.parametrize("case", AUDIENCES)
def test_an_additional_audience_is_accepted_only_where_it_is_trusted(case: str) -> None:
    trusted, change, code = audience_cases("cid")[case]
    claims = {name: value for name, value in change.items() if value is not OMIT}
    how: dict[str, Any] = {"audience": "cid", "trusted": trusted, "prefix": "p", "needs_azp": True}
    if not code:
        check_audience(claims, **how)
        return
    with pytest.raises(InvalidToken) as refused:
        check_audience(claims, **how)
    assert refused.value.code == f"p_{code}"


def test_a_refused_jwt_gives_expected_and_found_values_in_printable_characters() -> None:
    """a log line of an operator must stay one line, whatever a token says."""
    with pytest.raises(InvalidToken) as refused:
        check_audience({"aud": ["cid", "pro\njéct"]}, audience="cid", prefix="p")
    assert "pro\\nj\\xe9ct" in refused.value.detail
    assert "trusted_audiences" in refused.value.detail
    assert refused.value.expected == "cid"
    with pytest.raises(InvalidToken) as refused:
        check_issuer({"iss": "https://idp.example.com/"}, issuer="https://idp.example.com", prefix="p")
    assert (refused.value.expected, refused.value.found) == ("https://idp.example.com", "https://idp.example.com/")
    with pytest.raises(InvalidToken) as refused:
        check_issuer({"iss": "x" * 10_000}, issuer="https://idp.example.com", prefix="p")
    assert len(refused.value.found) <= MAX_WRITTEN
    with pytest.raises(InvalidToken) as refused:
        check_issuer({}, issuer="https://idp.example.com", prefix="p")
    assert refused.value.found == "nothing"


@given(st.one_of(st.text(max_size=60), st.lists(st.binary(max_size=30).map(b64url), max_size=5).map(".".join)))
def test_any_text_as_a_jwt_gives_at_most_invalid_token(token: str) -> None:
    with pytest.raises(InvalidToken):
        verify(token)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
HEADERS = st.dictionaries(st.sampled_from(["alg", "typ", "kid", "crit", "b64", "jwk", "cty"]), JSON, max_size=4)


@given(HEADERS)
def test_any_jwt_header_gives_at_most_invalid_token(header: dict[str, Any]) -> None:
    with pytest.raises(InvalidToken):
        verify(raw(json.dumps(header).encode()))
