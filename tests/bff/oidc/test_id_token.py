"""ID tokens: every rule of Core 3.1.3.7, broken one at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.errors import InvalidToken
from bff.oidc.id_token import MAX_EARLY_SECONDS, IdTokenExpectation, check_same_person, is_subject, validate_id_token
from bff.oidc.jwt_reading import UnknownKey
from tests.bff.factories import CLIENT_ID, ISSUER, NOW, jwt_of, published, signing_key
from tests.fakes import OMIT, generate_key
from tests.fakes.keys import half_hash
from tests.payloads.id_tokens import FAULTS, broken_claims

NONCE = "n" * 43
EXPECTED = IdTokenExpectation(
    issuer=ISSUER,
    client_id=CLIENT_ID,
    alg="RS256",
    now=NOW,
    clock_skew=60,
    nonce=NONCE,
    asked_at=NOW - 5,
    access_token="access-1",
)
CLAIMS: dict[str, Any] = {
    "iss": ISSUER,
    "sub": "alice",
    "aud": CLIENT_ID,
    "exp": NOW + 300,
    "iat": NOW,
    "nonce": NONCE,
    "sid": "sid-1",
}


def claims(**over: Any) -> dict[str, Any]:
    return {name: value for name, value in (CLAIMS | over).items() if value is not OMIT}


def validate(token: str, *, alg: str = "RS256", **over: Any) -> dict[str, Any]:
    expected = replace(EXPECTED, alg=alg, **over)
    return validate_id_token(token, keys=published(signing_key(alg)), expected=expected)


def code_of(token: str, **over: Any) -> str:
    with pytest.raises(InvalidToken) as refused:
        validate(token, **over)
    assert refused.value.status == 400
    return refused.value.code


def test_a_valid_id_token_gives_its_claims() -> None:
    assert validate(jwt_of(claims())) == CLAIMS


class TestSignature:
    """IT-1 to IT-4."""

    def test_a_signature_by_another_key_with_the_same_kid_is_refused(self) -> None:
        stranger = generate_key("RS256", kid="k1")
        assert code_of(jwt_of(claims(), key=stranger)) == "id_token_signature"

    def test_a_signature_by_an_unknown_key_is_refused(self) -> None:
        with pytest.raises(UnknownKey):
            validate(jwt_of(claims(), header={"kid": "k9"}))

    def test_a_missing_or_stripped_signature_is_refused(self) -> None:
        head, body, _ = jwt_of(claims()).split(".")
        for token in ("", f"{head}.{body}.", f"{head}.{body}", jwt_of(claims(), alg="none")):
            assert code_of(token) == "id_token_malformed"

    def test_a_signature_with_a_shared_secret_is_refused(self) -> None:
        assert code_of(jwt_of(claims(), key="unit-test-secret", alg="HS256")) == "id_token_alg"

    def test_a_signature_with_another_algorithm_than_the_pinned_one_is_refused(self) -> None:
        assert code_of(jwt_of(claims(), alg="PS256", key=signing_key())) == "id_token_alg"
        key = signing_key("ES256")
        with pytest.raises(InvalidToken) as refused:
            validate_id_token(jwt_of(claims(), key=key), keys=published(key), expected=EXPECTED)
        assert refused.value.code == "id_token_alg"

    def test_a_signature_with_a_false_algorithm_in_the_header_is_refused(self) -> None:
        assert (
            code_of(jwt_of(claims(), alg="PS256", key=signing_key(), header={"alg": "RS256"})) == "id_token_signature"
        )

    def test_a_signature_by_a_key_on_another_curve_is_refused(self) -> None:
        key = generate_key("ES256", kid="k1", curve="P-384")
        with pytest.raises(UnknownKey):
            validate_id_token(jwt_of(claims(), key=key), keys=published(key), expected=replace(EXPECTED, alg="ES256"))

    def test_an_id_token_with_critical_extensions_is_refused(self) -> None:
        assert code_of(jwt_of(claims(), header={"crit": ["x"], "x": 1})) == "id_token_crit"
        assert code_of(jwt_of(claims(), header={"b64": False})) == "id_token_crit"


BROKEN = broken_claims(issuer=ISSUER, client_id=CLIENT_ID, nonce=NONCE, now=NOW)


@pytest.mark.parametrize("fault", FAULTS)
def test_one_wrong_claim_is_enough_to_refuse_an_id_token(fault: str) -> None:
    """IT-5 to IT-9."""
    code, change = BROKEN[fault]
    assert code_of(jwt_of(claims(**change))) == code


@pytest.mark.parametrize("seconds", [-5 - MAX_EARLY_SECONDS - 1, 61])
def test_iat_may_be_at_most_ten_minutes_before_the_sign_in_and_a_minute_in_the_future(
    seconds: int,
) -> None:
    assert code_of(jwt_of(claims(iat=NOW + seconds))) == "id_token_iat"


@pytest.mark.parametrize("seconds", [300, 305, MAX_EARLY_SECONDS + 5])
def test_a_provider_may_issue_tokens_with_an_earlier_iat(seconds: int) -> None:
    """Entra ID dates `iat` and `nbf` five minutes back."""
    assert validate(jwt_of(claims(iat=NOW - seconds, nbf=NOW - seconds)))


def test_a_token_is_expired_at_the_last_second_of_the_leeway() -> None:
    assert code_of(jwt_of(claims(exp=NOW - 60))) == "id_token_exp"
    assert code_of(jwt_of(claims(nbf=NOW + 61))) == "id_token_nbf"


@pytest.mark.parametrize("value", ["AAAA", 5, half_hash("RS256", "access-2"), [half_hash("RS256", "access-1")]])
def test_at_hash_must_match_the_access_token(value: Any) -> None:
    """IT-11."""
    assert code_of(jwt_of(claims(at_hash=value))) == "id_token_at_hash"


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "1e400"])
def test_a_time_that_is_not_a_number_is_refused(literal: str) -> None:
    payload = f'{{"iss":"{ISSUER}","aud":"{CLIENT_ID}","sub":"a","iat":{NOW},"exp":{literal}}}'.encode()
    assert code_of(jwt_of(payload)) in ("id_token_malformed", "id_token_exp")


@pytest.mark.parametrize("typ", ["at+jwt", "logout+jwt", "dpop+jwt", "secevent+jwt", "vestibule-handshake+jwt"])
def test_a_token_of_another_type_is_not_an_id_token(typ: str) -> None:
    """IT-10."""
    assert code_of(jwt_of(claims(), header={"typ": typ})) == "id_token_typ"


@pytest.mark.parametrize(
    "change",
    [
        {"aud": [CLIENT_ID]},
        {"azp": CLIENT_ID},
        {"exp": NOW - 59},
        {"iat": NOW + 60},
        {"iat": NOW - 65},
        {"nbf": NOW + 60},
        {"sub": "x" * 255},
        {"sub": "auth0|5f7c x"},
        {"sid": OMIT},
        {"at_hash": half_hash("RS256", "access-1")},
        {"extra": {"nested": [1, None]}},
    ],
)
def test_unusual_but_allowed_claims_are_accepted(change: dict[str, Any]) -> None:
    assert validate(jwt_of(claims(**change)))["iss"] == ISSUER


@pytest.mark.parametrize("alg", ["RS256", "PS256", "ES256", "EdDSA"])
def test_at_hash_uses_the_hash_of_the_signing_algorithm(alg: str) -> None:
    key = signing_key(alg)
    good = jwt_of(claims(at_hash=half_hash(alg, "access-1")), key=key)
    assert validate(good, alg=alg)
    assert code_of(good, alg=alg, access_token="access-2") == "id_token_at_hash"


@pytest.mark.parametrize("alg", ["RS256", "EdDSA"])
def test_c_hash_uses_the_hash_of_the_signing_algorithm_and_is_checked_where_there_is_a_code(alg: str) -> None:
    good = jwt_of(claims(c_hash=half_hash(alg, "code-1")), key=signing_key(alg))
    assert validate(good, alg=alg, code="code-1")
    assert code_of(good, alg=alg, code="code-2") == "id_token_c_hash"
    assert validate(good, alg=alg, code=""), "a refresh has none"


def test_a_hash_claim_that_cannot_be_checked_is_refused() -> None:
    assert code_of(jwt_of(claims(at_hash=half_hash("RS256", ""))), access_token="") == "id_token_at_hash"


class TestAuthentication:
    """IT-11: what was asked for is enforced."""

    @pytest.mark.parametrize("auth_time", [OMIT, None, "5", True, NOW - 161])
    def test_an_auth_time_that_is_too_old_or_missing_is_refused(self, auth_time: object) -> None:
        assert code_of(jwt_of(claims(auth_time=auth_time)), max_age=100) == "id_token_auth_time"

    def test_a_recent_auth_time_is_accepted(self) -> None:
        assert validate(jwt_of(claims(auth_time=NOW - 160)), max_age=100)
        assert validate(jwt_of(claims(auth_time=NOW)), max_age=0)

    def test_auth_time_and_acr_are_not_checked_when_not_requested(self) -> None:
        assert validate(jwt_of(claims(auth_time=1, acr="0")))

    @pytest.mark.parametrize("acr", [OMIT, None, "1", ["2"], 2])
    def test_another_acr_than_requested_is_refused(self, acr: object) -> None:
        assert code_of(jwt_of(claims(acr=acr)), acr_values=("2", "3")) == "id_token_acr"

    def test_the_requested_acr_is_accepted(self) -> None:
        assert validate(jwt_of(claims(acr="3")), acr_values=("2", "3"))


class TestRefreshedTokens:
    """IT-14."""

    def test_a_refreshed_id_token_needs_no_nonce(self) -> None:
        assert validate(jwt_of(claims(nonce=OMIT)), nonce=None)

    def test_a_refreshed_id_token_may_come_long_after_the_sign_in(self) -> None:
        later = NOW + 50_000
        for iat in (later, later - MAX_EARLY_SECONDS):
            assert validate(jwt_of(claims(iat=iat, exp=later + 60)), nonce=None, asked_at=later, now=later)

    def test_a_refreshed_id_token_may_be_issued_at_most_ten_minutes_before_the_request(self) -> None:
        old = jwt_of(claims(iat=NOW - MAX_EARLY_SECONDS - 1))
        assert code_of(old, nonce=None, asked_at=NOW) == "id_token_iat"

    @pytest.mark.parametrize("change", [{"sub": "bob"}, {"iss": "https://evil.example"}, {"sub": OMIT}])
    def test_a_refreshed_id_token_of_another_person_is_refused(self, change: dict[str, Any]) -> None:
        with pytest.raises(InvalidToken) as refused:
            check_same_person(claims(**change), issuer=ISSUER, sub="alice")
        assert refused.value.code == "refresh_subject"

    def test_a_refreshed_id_token_of_the_same_person_is_accepted(self) -> None:
        check_same_person(CLAIMS, issuer=ISSUER, sub="alice")


@pytest.mark.parametrize(
    ("value", "expected"),
    [("a", True), ("x" * 255, True), ("~ !", True), ("", False), ("x" * 256, False), ("é", False), ("\x7f", False)],
)
def test_a_sub_must_be_printable_ascii_of_limited_length(value: str, expected: bool) -> None:
    assert is_subject(value) is expected


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)
KEY = signing_key("EdDSA")
KEYS = published(KEY)


@given(st.sampled_from([*CLAIMS, "azp", "nbf", "at_hash", "auth_time", "acr"]), JSON)
def test_any_signed_claim_gives_at_most_invalid_token(name: str, value: Any) -> None:
    expected = replace(EXPECTED, alg="EdDSA", max_age=60, acr_values=("1",))
    token = jwt_of(claims(auth_time=NOW, acr="1") | {name: value}, key=KEY)
    code = ""
    try:
        validated = validate_id_token(token, keys=KEYS, expected=expected)
    except InvalidToken as refused:
        code = refused.code
    assert code.startswith("id_token_") or (validated["iss"], validated["nonce"]) == (ISSUER, NONCE)
