"""Sign-out messages: the way to the provider, and its logout tokens."""

from __future__ import annotations

from typing import Any

import pytest

from bff.errors import InvalidToken
from bff.oidc.logout import EVENT, MAX_AGE_SECONDS, LogoutToken, validate_logout_token
from tests.bff.factories import CLIENT_ID, ISSUER, NOW, jwt_of, published, signing_key
from tests.fakes import OMIT

CLAIMS: dict[str, Any] = {
    "iss": ISSUER,
    "aud": CLIENT_ID,
    "iat": NOW,
    "exp": NOW + 120,
    "jti": "j-1",
    "sub": "alice",
    "sid": "sid-1",
    "events": {EVENT: {}},
}


def claims(**over: Any) -> dict[str, Any]:
    return {name: value for name, value in (CLAIMS | over).items() if value is not OMIT}


def validate(token: str) -> LogoutToken:
    return validate_logout_token(
        token,
        keys=published(signing_key()),
        alg="RS256",
        issuer=ISSUER,
        client_id=CLIENT_ID,
        now=NOW,
        clock_skew=60,
    )


def token(*, typ: str = "logout+jwt", **over: Any) -> str:
    return jwt_of(claims(**over), header={"typ": typ})


def code_of(text: str) -> str:
    with pytest.raises(InvalidToken) as refused:
        validate(text)
    return refused.value.code


def test_a_valid_logout_token_gives_the_person_or_session_to_sign_out() -> None:
    assert validate(token()) == LogoutToken("j-1", "alice", "sid-1", NOW + 120)
    assert validate(token(sub=OMIT)) == LogoutToken("j-1", "", "sid-1", NOW + 120)
    assert validate(token(sid=OMIT)) == LogoutToken("j-1", "alice", "", NOW + 120)


@pytest.mark.parametrize("typ", ["logout+jwt", "application/logout+jwt", "JWT", ""])
def test_the_token_types_that_conforming_providers_send_are_accepted(typ: str) -> None:
    assert validate(token(typ=typ)).sub == "alice"


@pytest.mark.parametrize("typ", ["at+jwt", "secevent+jwt", "dpop+jwt", "logout"])
def test_a_logout_token_of_another_type_is_refused(typ: str) -> None:
    assert code_of(token(typ=typ)) == "logout_token_typ"


def test_the_expiry_of_a_logout_token_is_limited() -> None:
    assert validate(token(exp=NOW + 10**8)).expires_at == NOW + 2 * MAX_AGE_SECONDS


BAD_EVENTS: tuple[object, ...] = (
    OMIT,
    None,
    [],
    [EVENT],
    EVENT,
    {},
    {EVENT: None},
    {EVENT: []},
    {EVENT: "{}"},
    {EVENT + "x": {}},
    {"https" + EVENT[4:]: {}},
    '{"' + EVENT + '":{}}',
)
BROKEN: list[tuple[str, dict[str, Any]]] = [
    *(("iss", {"iss": value}) for value in (OMIT, ISSUER + "/", "https://evil.example", [ISSUER])),
    *(("aud", {"aud": value}) for value in (OMIT, "other", [CLIENT_ID, "evil"], [])),
    *(("exp", {"exp": value}) for value in (OMIT, NOW - 60, "5", None)),
    *(("iat", {"iat": value}) for value in (OMIT, NOW + 61, NOW - MAX_AGE_SECONDS - 61, "5", None)),
    *(("jti", {"jti": value}) for value in (OMIT, "", None, 5, ["j"], "x" * 256, "a\nb")),
    *(("events", {"events": value}) for value in BAD_EVENTS),
    *(("nonce", {"nonce": value}) for value in ("n", "", None, 0, False)),
    *(
        ("subject", {"sub": sub, "sid": sid})
        for sub, sid in (
            (OMIT, OMIT),
            ("", OMIT),
            (OMIT, ""),
            (None, None),
            (5, "sid-1"),
            ("alice", ["sid-1"]),
            (["alice"], OMIT),
            (5, OMIT),
            ("x" * 10_240, OMIT),
            ("ü", OMIT),
        )
    ),
]


@pytest.mark.parametrize(("code", "change"), BROKEN)
def test_one_wrong_claim_is_enough_to_refuse_a_logout_token(code: str, change: dict[str, Any]) -> None:
    assert code_of(token(**change)) == f"logout_token_{code}"


@pytest.mark.parametrize("wild", ["*", "?", "[a]", "%", "ali*"])
def test_wildcard_characters_in_names_are_plain_text(wild: str) -> None:
    assert validate(token(sub=wild, sid=OMIT)).sub == wild


def test_logout_tokens_must_meet_the_signature_rules_of_id_tokens() -> None:
    assert code_of(jwt_of(claims(), alg="none")) == "logout_token_malformed"
    assert code_of(jwt_of(claims(), key="secret", alg="HS256")) == "logout_token_alg"
    assert code_of(jwt_of(claims(), key=signing_key("RS256", "other"))) == "logout_token_unknown_key"
    attacker = signing_key("RS256", "attacker")
    assert code_of(jwt_of(claims(), key=attacker, header={"kid": "k1", "jwk": attacker.public_jwk})) == (
        "logout_token_signature"
    )
    assert code_of(jwt_of(claims(), header={"crit": ["x"]})) == "logout_token_crit"


def test_an_id_token_is_refused_as_a_logout_token() -> None:
    id_token = {"iss": ISSUER, "aud": CLIENT_ID, "sub": "alice", "sid": "s", "iat": NOW, "exp": NOW + 60, "nonce": "n"}
    assert code_of(jwt_of(id_token)) == "logout_token_events"
