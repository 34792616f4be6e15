"""Bearer tokens an API accepts: for it, of this issuer, an access token and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.api.tokens import BearerRules, StandardClaims, validate_bearer, validate_development_bearer
from bff.errors import InvalidToken
from bff.oidc.jwt_reading import UnknownKey
from tests.bff.factories import ISSUER, NOW, jwt_of, published, signing_key
from tests.fakes import OMIT
from tests.fakes.keys import b64url

RULES = BearerRules(ISSUER, "api", ("ES256", "RS256"), 10)
SECRET = "unit-test-hs256-secret-0123456789"
CLAIMS: dict[str, Any] = {
    "iss": ISSUER,
    "sub": "alice",
    "aud": ["api", "other"],
    "exp": NOW + 60,
    "iat": NOW,
    "scope": "models:read models:list",
    "roles": ["analyst"],
    "groups": ["science"],
    "email": "alice@example.com",
    "email_verified": True,
    "name": "Alice",
}
KEYS = (*published(signing_key("RS256")), *published(signing_key("ES256", "e1")))


def token(*, key: Any = None, alg: str = "", header: dict[str, Any] | None = None, **over: Any) -> str:
    claims = {name: value for name, value in (CLAIMS | over).items() if value is not OMIT}
    return jwt_of(claims, key=key, alg=alg, header={"typ": "at+jwt", **(header or {})})


def validate(text: str, *, rules: BearerRules = RULES) -> StandardClaims:
    return validate_bearer(text, keys=KEYS, rules=rules, now=NOW)


def code_of(text: str, *, rules: BearerRules = RULES) -> str:
    with pytest.raises(InvalidToken) as refused:
        validate(text, rules=rules)
    return refused.value.code


def test_a_valid_token_gives_its_caller() -> None:
    caller = validate(token())
    assert (caller.sub, caller.iss, caller.aud) == ("alice", ISSUER, ("api", "other"))
    assert (caller.exp, caller.iat, caller.name) == (NOW + 60, NOW, "Alice")
    assert (caller.email, caller.email_verified) == ("alice@example.com", True)
    assert (caller.roles, caller.groups) == (("analyst",), ("science",))
    assert caller.scopes == {"models:read", "models:list"}
    assert caller.claims["scope"] == "models:read models:list"


def test_one_role_of_several_is_enough_and_every_scope_is_needed() -> None:
    caller = validate(token())
    assert caller.has_role("admin", "analyst")
    assert not caller.has_role("admin")
    assert not caller.has_role()
    assert caller.has_scope("models:read", "models:list")
    assert not caller.has_scope("models:read", "models:write")


@pytest.mark.parametrize("aud", ["api", ["api"], ["api", 5]])
def test_the_own_audience_may_be_one_of_several_in_the_token(aud: object) -> None:
    assert "api" in validate(token(aud=aud)).aud


def test_a_token_signed_by_any_key_of_an_allowed_algorithm_is_accepted() -> None:
    assert validate(token(key=signing_key("ES256", "e1"))).sub == "alice"
    assert code_of(token(), rules=replace(RULES, algorithms=("ES256",))) == "bearer_alg"


BROKEN: list[tuple[str, dict[str, Any]]] = [
    *(("iss", {"iss": value}) for value in (OMIT, ISSUER + "/", ISSUER[:-1], [ISSUER], None)),
    *(("aud", {"aud": value}) for value in (OMIT, "other", ["other"], [], "api2", "ap", {"api": 1}, None, [["api"]])),
    *(("exp", {"exp": value}) for value in (OMIT, NOW - 10, str(NOW + 60), True, 1e300, 10**400, -1, None)),
    *(("iat", {"iat": value}) for value in (OMIT, NOW + 11, "now", None)),
    ("nbf", {"nbf": NOW + 11}),
    *(("sub", {"sub": value}) for value in (OMIT, "", None, 5, "a\n", "x" * 256)),
    *(("kind", {name: "x"}) for name in ("at_hash", "c_hash", "s_hash", "events", "htu", "cnf")),
    ("kind", {"cnf": {"jkt": "x"}}),
    *(("kind", {"typ": kind}) for kind in ("ID", "Refresh", "Offline", "Logout")),
    *(("kind", {"typ": "Bearer", "token_use": kind}) for kind in ("id", "ID", "refresh")),
]


@pytest.mark.parametrize(("code", "change"), BROKEN)
def test_one_wrong_claim_is_enough_to_refuse_an_access_token(code: str, change: dict[str, Any]) -> None:
    assert code_of(token(**change)) == f"bearer_{code}"


ANY_TYPE = replace(RULES, token_types=("at+jwt", "jwt"))
KINDS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "RFC 9068 type": ({"typ": "at+jwt"}, {"nonce": "n"}, ""),
    "RFC 9068 type in full": ({"typ": "application/AT+JWT"}, {"nonce": "n"}, ""),
    "Keycloak up to 24": ({"typ": "JWT"}, {"nonce": "n", "typ": "Bearer"}, ""),
    "no type in the header, bearer in the payload": ({"typ": None}, {"nonce": "n", "typ": "bearer"}, ""),
    "Cognito": ({"typ": None}, {"nonce": "n", "token_use": "access"}, ""),
    "no word of its kind, no nonce": ({"typ": "JWT"}, {}, ""),
    "no word of its kind": ({"typ": "JWT"}, {"nonce": "n"}, "bearer_kind"),
    "no word of its kind, an empty nonce": ({"typ": "JWT"}, {"nonce": ""}, "bearer_kind"),
    "no word of its kind, null as nonce": ({"typ": "JWT"}, {"nonce": None}, "bearer_kind"),
    "a word that is no kind": ({"typ": "JWT"}, {"nonce": "n", "typ": ["Bearer"]}, "bearer_kind"),
    "ID token of Keycloak": ({"typ": "JWT"}, {"nonce": "n", "typ": "ID"}, "bearer_kind"),
    "ID token of Keycloak under the type of access tokens": ({"typ": "at+jwt"}, {"typ": "ID"}, "bearer_kind"),
    "ID token of Cognito": ({"typ": None}, {"token_use": "id"}, "bearer_kind"),
    "an ID token's hash under the type of access tokens": ({"typ": "at+jwt"}, {"at_hash": "h"}, "bearer_kind"),
    "an ID token's hash in a bearer token": ({"typ": "JWT"}, {"typ": "Bearer", "c_hash": "h"}, "bearer_kind"),
    "a logout token that says bearer": ({"typ": "JWT"}, {"typ": "Bearer", "events": {}}, "bearer_kind"),
    "a token bound to a key": ({"typ": "at+jwt"}, {"cnf": {"jkt": "x"}}, "bearer_kind"),
}


@pytest.mark.parametrize("case", KINDS)
def test_the_type_of_a_token_counts_more_than_a_nonce(case: str) -> None:
    header, over, code = KINDS[case]
    made = token(header=header, **over)
    if code:
        assert code_of(made, rules=ANY_TYPE) == code
    else:
        assert validate(made, rules=ANY_TYPE).sub == "alice"


def test_a_refused_access_token_gives_expected_and_found_values() -> None:
    with pytest.raises(InvalidToken) as refused:
        validate(token(aud=["other", "third"]))
    assert (refused.value.expected, refused.value.found) == ("api", '["other", "third"]')
    with pytest.raises(InvalidToken) as refused:
        validate(token(iss=ISSUER + "/"))
    assert (refused.value.expected, refused.value.found) == (ISSUER, ISSUER + "/")


@pytest.mark.parametrize(
    "typ", ["", "JWT", "logout+jwt", "dpop+jwt", "id+jwt", "vestibule-handshake+jwt", "at+jwt2", "secevent+jwt"]
)
def test_only_access_token_types_are_accepted_by_default(typ: str) -> None:
    assert code_of(token(header={"typ": typ})) == "bearer_typ"


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt"])
def test_the_type_is_read_without_case_and_prefix(typ: str) -> None:
    assert validate(token(header={"typ": typ})).sub == "alice"


@pytest.mark.parametrize("alg", ["none", "None", "nOnE"])
def test_unsigned_tokens_are_refused(alg: str) -> None:
    assert code_of(token(alg=alg)) == "bearer_malformed"


@pytest.mark.parametrize("form", ["pem", "der", "empty", "bom"])
def test_a_token_signed_with_the_public_key_as_a_shared_secret_is_refused(form: str) -> None:
    key = signing_key("RS256")
    secret = {"pem": key.public_pem, "der": key.public_der, "empty": b"", "bom": b"\xef\xbb\xbf" + key.public_pem}[form]
    assert code_of(token(key=secret, alg="HS256", header={"kid": "k1"})) == "bearer_alg"
    assert code_of(token(key=secret, alg="HS256", header={"kid": "k1", "alg": "RS256"})) == "bearer_signature"


def test_allowing_a_shared_secret_algorithm_does_not_accept_tokens_signed_with_public_keys() -> None:
    rules = replace(RULES, algorithms=("HS256", "none"))
    with pytest.raises(UnknownKey):
        validate(token(key=signing_key("RS256").public_pem, alg="HS256", header={"kid": "k1"}), rules=rules)


@pytest.mark.parametrize("kid", ["../../dev/null", "' OR 1", "*", "k" * 256, "\u00fc"])
def test_a_strange_kid_is_only_an_unknown_key_name(kid: str) -> None:
    with pytest.raises(UnknownKey):
        validate(token(header={"kid": kid}))


@pytest.mark.parametrize("kid", ["k" * 257, 5, ["k1"]])
def test_a_token_whose_kid_is_not_a_usable_text_is_malformed(kid: object) -> None:
    assert code_of(token(header={"kid": kid})) == "bearer_malformed"


@pytest.mark.parametrize("extension", [{"crit": ["exp"]}, {"b64": False}])
def test_critical_extensions_are_refused(extension: dict[str, Any]) -> None:
    assert code_of(token(header=extension)) == "bearer_crit"


@pytest.mark.parametrize(
    "change",
    [lambda t: t + "=", lambda t: " " + t, lambda t: t + ".", lambda t: t + "\n", lambda t: t.split(".")[0]],
    ids=["padded", "a space before it", "a dot after it", "a line end after it", "the header alone"],
)
def test_a_token_in_another_spelling_is_malformed(change: Any) -> None:
    assert code_of(change(token())) == "bearer_malformed"


def test_exp_and_nbf_are_checked_with_the_leeway() -> None:
    assert validate(token(exp=NOW - 9, iat=NOW + 10, nbf=NOW + 10)).sub == "alice"


def test_roles_are_read_from_the_claim_in_the_rules() -> None:
    nested = token(roles=OMIT, realm_access={"roles": ["admin"]})
    assert validate(nested, rules=replace(RULES, roles_claim="realm_access.roles")).roles == ("admin",)
    assert validate(nested).roles == ()


@pytest.mark.parametrize("scope", [5, None, {"a": 1}, ""])
def test_an_unreadable_scope_claim_gives_no_scopes(scope: object) -> None:
    assert validate(token(scope=scope)).scopes == frozenset()


def test_an_email_is_verified_only_when_the_claim_is_true() -> None:
    for value in ("true", 1, None):
        assert not validate(token(email_verified=value)).email_verified


class TestDevelopment:
    def validate(self, text: str, *, secret: str = SECRET) -> StandardClaims:
        return validate_development_bearer(text, secret=secret, rules=RULES, now=NOW)

    def code_of(self, text: str, *, secret: str = SECRET) -> str:
        with pytest.raises(InvalidToken) as refused:
            self.validate(text, secret=secret)
        return refused.value.code

    def test_a_token_signed_with_the_development_secret_is_accepted(self) -> None:
        assert self.validate(token(key=SECRET, alg="HS256")).roles == ("analyst",)

    def test_a_token_signed_with_another_key_is_refused_in_development(self) -> None:
        assert self.code_of(token(key=SECRET[:-1] + "x", alg="HS256")) == "bearer_signature"
        assert self.code_of(token()) == "bearer_alg"
        assert self.code_of(token(key=SECRET, alg="HS512")) == "bearer_alg"
        assert self.code_of(token(alg="none")) == "bearer_malformed"

    def test_a_development_token_must_meet_the_same_rules(self) -> None:
        assert self.code_of(token(key=SECRET, alg="HS256", aud="other")) == "bearer_aud"
        assert self.code_of(token(key=SECRET, alg="HS256", exp=NOW - 10)) == "bearer_exp"
        assert self.code_of(token(key=SECRET, alg="HS256", header={"typ": "vestibule-handshake+jwt"})) == "bearer_typ"
        assert self.code_of(token(key=SECRET, alg="HS256", header={"crit": ["x"]})) == "bearer_crit"

    def test_a_development_token_whose_payload_is_not_an_object_is_malformed(self) -> None:
        listed = jwt_of(b"[1]", key=SECRET, alg="HS256", header={"typ": "at+jwt"})
        assert self.code_of(listed) == "bearer_malformed"

    def test_a_public_key_as_the_development_secret_verifies_no_token(self) -> None:
        pem = signing_key("RS256").public_pem
        assert self.code_of(token(key=pem, alg="HS256"), secret=pem.decode()) == "bearer_signature"


@given(
    st.one_of(st.text(max_size=80), st.lists(st.binary(max_size=40).map(b64url), min_size=3, max_size=3).map(".".join))
)
def test_any_text_as_a_token_gives_at_most_invalid_token(text: str) -> None:
    with pytest.raises(InvalidToken):
        validate(text)
    with pytest.raises(InvalidToken):
        validate_development_bearer(text, secret=SECRET, rules=RULES, now=NOW)
