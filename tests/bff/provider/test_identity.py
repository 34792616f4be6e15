"""From claims to a person: nothing unverified becomes verified, what logout needs is kept."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import pytest

from bff.contract import Identity
from bff.oidc.jwt_reading import unverified_claims
from bff.provider.identity import MAX_CLAIMS_BYTES, NOWHERE, FoundIn, build_identity, find_names, find_unread
from tests.bff.factories import ISSUER, jwt_of, provider_settings
from tests.fakes.keys import b64url

ID_TOKEN: dict[str, Any] = {
    "iss": ISSUER,
    "sub": "alice",
    "aud": "vestibule",
    "exp": 1,
    "iat": 1,
    "nonce": "n",
    "sid": "sid-1",
    "name": "Alice",
    "email": "alice@example.com",
    "email_verified": True,
    "preferred_username": "alice",
    "acr": "2",
    "auth_time": 5,
    "department": "physics",
}


def identity(
    *,
    before: Identity | None = None,
    settings: dict[str, Any] | None = None,
    found_in: FoundIn = NOWHERE,
    **sources: Any,
) -> Identity:
    sources.setdefault("id_token", ID_TOKEN)
    chosen = provider_settings(**(settings or {}))
    return build_identity(sources, provider="corp", settings=chosen, before=before, found_in=found_in)


def test_the_standard_claims_become_fields_and_the_others_are_kept() -> None:
    person = identity()
    assert (person.sub, person.iss, person.provider) == ("alice", ISSUER, "corp")
    assert (person.name, person.email, person.email_verified) == ("Alice", "alice@example.com", True)
    assert (person.preferred_username, person.acr, person.auth_time) == ("alice", "2", 5)
    assert person.claims["department"] == "physics"
    assert not {"iss", "sub", "aud", "exp", "iat", "nonce"} & person.claims.keys()


@pytest.mark.parametrize("value", [False, None, 1, 1.0, "false", "True", "1", "yes", [True], {"x": 1}])
def test_an_email_is_verified_only_by_the_json_value_true(value: object) -> None:
    assert not identity(id_token=ID_TOKEN | {"email_verified": value}).email_verified


@pytest.mark.parametrize("value", [True, "true"])
def test_an_email_is_verified_by_true_and_by_the_text_true_where_that_is_allowed(value: object) -> None:
    assert identity(id_token=ID_TOKEN | {"email_verified": value}).email_verified


ASSUMING = {"email_verified": "assume"}
SILENT = {name: value for name, value in ID_TOKEN.items() if name != "email_verified"}


@pytest.mark.parametrize("claims", [SILENT, SILENT | {"email_verified": None}, SILENT | {"email_verified": ""}])
def test_an_email_without_email_verified_is_verified_only_where_the_settings_assume_it(claims: dict[str, Any]) -> None:
    assert not identity(id_token=claims).email_verified
    assert identity(id_token=claims, settings=ASSUMING).email_verified


@pytest.mark.parametrize("value", [False, 0, 1, "false", "True", "yes", [True]])
def test_an_email_that_the_provider_calls_unverified_is_unverified_even_where_the_settings_assume_verification(
    value: object,
) -> None:
    assert not identity(id_token=ID_TOKEN | {"email_verified": value}, settings=ASSUMING).email_verified


def test_an_identity_without_an_email_has_no_verified_email() -> None:
    claims = {name: value for name, value in ID_TOKEN.items() if name != "email"}
    for settings in ({}, ASSUMING):
        person = identity(id_token=claims, settings=settings)
        assert (person.email, person.email_verified) == ("", False)


OTHER = "ceo@example.com"


@pytest.mark.parametrize(
    ("userinfo", "expected"),
    [
        ({"email": OTHER}, (OTHER, False)),
        ({"email": OTHER, "email_verified": True}, (OTHER, True)),
        ({"email": "alice@example.com"}, ("alice@example.com", True)),
        ({"email": "alice@example.com", "email_verified": False}, ("alice@example.com", False)),
        ({"email_verified": False}, ("alice@example.com", False)),
        ({"email_verified": True}, ("alice@example.com", True)),
        ({"email": [OTHER], "email_verified": True}, ("alice@example.com", True)),
    ],
    ids=[
        "another-address-of-which-nothing-is-said",
        "another-address-with-its-own-word",
        "the-same-address",
        "the-same-address-denied",
        "a-denial-alone",
        "a-word-alone",
        "no-address",
    ],
)
def test_email_verified_of_one_source_does_not_count_for_the_email_of_another_source(
    userinfo: dict[str, Any], expected: tuple[str, bool]
) -> None:
    person = identity(userinfo=userinfo)
    assert (person.email, person.email_verified) == expected
    assert person.claims["email"] == expected[0]
    assert person.claims.get("email_verified", False) is expected[1]


@pytest.mark.parametrize(
    ("renewed", "expected"),
    [
        ({"email": OTHER}, (OTHER, False)),
        ({"email": OTHER, "email_verified": True}, (OTHER, True)),
        ({"email": "alice@example.com"}, ("alice@example.com", True)),
        ({}, ("alice@example.com", True)),
        ({"email_verified": False}, ("alice@example.com", False)),
        ({"email": "alice@example.com", "email_verified": False}, ("alice@example.com", False)),
    ],
    ids=["changed", "changed-and-verified", "same", "not-spoken-of", "denied", "same-and-denied"],
)
def test_a_refresh_keeps_email_verified_only_for_the_same_email(
    renewed: dict[str, Any], expected: tuple[str, bool]
) -> None:
    bare = {name: value for name, value in ID_TOKEN.items() if not name.startswith("email")}
    person = identity(id_token=bare | renewed, before=identity())
    assert (person.email, person.email_verified) == expected


def test_email_verified_in_a_later_refresh_does_not_verify_an_older_email() -> None:
    bare = {name: value for name, value in ID_TOKEN.items() if not name.startswith("email")}
    unverified = identity(id_token=ID_TOKEN | {"email_verified": False})
    assert not identity(id_token=bare | {"email_verified": True}, before=unverified).email_verified


def test_an_unverified_email_is_not_used_as_a_role_or_group() -> None:
    settings = {"roles_claim": "email", "groups_claim": "email", "roles_from": ["id_token"]}
    assert identity(settings=settings).groups == ("alice@example.com",)
    person = identity(id_token=ID_TOKEN | {"email_verified": False}, settings=settings)
    assert (person.roles, person.groups) == ((), ())


@pytest.mark.parametrize("value", [-1, 2**40, 10**400, float("nan"), float("inf"), "5", None, [5]])
def test_an_impossible_auth_time_is_ignored(value: object) -> None:
    assert identity(id_token=ID_TOKEN | {"auth_time": value}).auth_time == 0


def test_userinfo_adds_to_the_id_token_but_never_replaces_who_it_is() -> None:
    userinfo = {"sub": "mallory", "iss": "evil", "sid": "x", "acr": "9", "auth_time": 9, "name": "Ada", "unit": "b"}
    person = identity(userinfo=userinfo)
    assert (person.sub, person.iss, person.acr, person.auth_time) == ("alice", ISSUER, "2", 5)
    assert person.claims["sid"] == "sid-1"
    assert (person.name, person.claims["unit"]) == ("Ada", "b")


def test_roles_of_all_configured_sources_are_joined() -> None:
    def roles(*names: str) -> dict[str, Any]:
        return {"realm_access": {"roles": list(names)}}

    sources: dict[str, Any] = {
        "id_token": ID_TOKEN | roles("a", "b"),
        "userinfo": roles("b", "c"),
        "access_token": roles("d"),
    }
    assert identity(**sources).roles == ("b", "c", "a", "d")
    assert identity(settings={"roles_from": ("id_token",)}, **sources).roles == ("a", "b")
    assert identity(settings={"roles_claim": ""}, **sources).roles == ()


class TestOnARefresh:
    BEFORE = Identity(
        sub="alice",
        iss=ISSUER,
        provider="corp",
        email="old@example.com",
        roles=("analyst",),
        groups=("science",),
        expires_at=99,
        claims={"department": "physics", "email": "old@example.com", "unit": "a"},
    )
    BARE: ClassVar[dict[str, Any]] = {"iss": ISSUER, "sub": "alice"}

    def test_roles_and_groups_that_the_new_token_does_not_mention_are_kept(self) -> None:
        person = identity(id_token=self.BARE, before=self.BEFORE)
        assert (person.roles, person.groups, person.email) == (("analyst",), ("science",), "old@example.com")
        assert (person.expires_at, person.claims["unit"]) == (99, "a")

    def test_roles_in_the_new_token_replace_the_old_ones_and_an_empty_list_removes_all(self) -> None:
        spoken = self.BARE | {"realm_access": {"roles": []}, "groups": ["ops"], "email": "new@example.com"}
        person = identity(id_token=spoken, before=self.BEFORE)
        assert (person.roles, person.groups, person.email) == ((), ("ops",), "new@example.com")

    @pytest.mark.parametrize("source", ["id_token", "access_token"])
    def test_roles_are_removed_when_their_source_no_longer_has_the_claim(self, source: str) -> None:
        """Some providers leave a claim out if it is empty. The last role must go then too."""
        found = FoundIn(roles=(source,))
        person = identity(id_token=self.BARE, access_token={"sub": "alice"}, before=self.BEFORE, found_in=found)
        assert (person.roles, person.groups) == ((), ("science",))

    def test_roles_from_a_source_that_is_not_asked_again_are_kept(self) -> None:
        found = FoundIn(roles=("userinfo",), groups=("access_token",))
        person = identity(id_token=self.BARE, before=self.BEFORE, found_in=found)
        assert (person.roles, person.groups) == (("analyst",), ("science",))

    def test_the_source_of_roles_is_found_by_the_claim_path_among_the_configured_sources(self) -> None:
        sources: dict[str, dict[str, Any]] = {
            "id_token": {"groups": []},
            "userinfo": {"realm_access": {"roles": ["a"]}},
            "access_token": {},
        }
        settings = provider_settings(roles_from=["userinfo", "id_token"])
        found = find_names(sources, settings=settings)
        assert found == FoundIn(roles=("userinfo",), groups=("id_token",))
        assert found.joined(FoundIn(roles=("id_token", "userinfo"))) == FoundIn(("userinfo", "id_token"), ("id_token",))

    def test_without_a_claim_path_for_roles_no_roles_are_kept(self) -> None:
        assert identity(id_token=self.BARE, before=self.BEFORE, settings={"roles_claim": ""}).roles == ()


def test_a_claim_that_is_too_large_is_left_out_and_the_others_are_kept() -> None:
    """A person with very many groups can still be signed out by `sid`."""
    large = {"iss": ISSUER, "sub": "alice", "groups": ["g" * 200] * 200, "unit": "a", "sid": "sid-1"}
    person = identity(id_token=large)
    assert person.claims == {"sid": "sid-1", "unit": "a"}
    assert len(person.groups) == 1


def test_claims_are_kept_up_to_the_limit_and_sid_is_always_kept() -> None:
    many = {f"claim{number}": "x" * 100 for number in range(400)}
    bare = {"iss": ISSUER, "sub": "alice"}
    filling = {"unit": "x" * (MAX_CLAIMS_BYTES - len("unit") - 2)}
    assert identity(id_token=bare | filling).claims == filling
    assert identity(id_token=bare | filling | {"sid": "sid-1"}).claims == {"sid": "sid-1"}
    claims = identity(id_token=bare | many | {"sid": "sid-1"}).claims
    assert claims["sid"] == "sid-1"
    size = sum(len(name) + len(json.dumps(value)) for name, value in claims.items())
    assert MAX_CLAIMS_BYTES - 200 < size <= MAX_CLAIMS_BYTES


def test_the_raw_list_of_groups_is_the_first_claim_that_is_left_out() -> None:
    """The groups are stored separately from the other claims, so their raw list may be dropped first."""
    groups = [f"00000000-0000-4000-8000-{number:012d}" for number in range(400)]
    more = {"groups": groups, "department": "physics", "office": "x" * 1_000}
    found = identity(id_token={"iss": ISSUER, "sub": "alice", **more})
    assert found.groups == tuple(groups)
    assert (found.claims["department"], found.claims["office"]) == ("physics", "x" * 1_000)
    assert "groups" not in found.claims


class TestUnverifiedClaims:
    def test_unverified_claims_are_read_from_a_jwt(self) -> None:
        assert unverified_claims(jwt_of({"realm_access": {"roles": ["a"]}})) == {"realm_access": {"roles": ["a"]}}

    @pytest.mark.parametrize(
        "token",
        [
            "",
            "opaque",
            "a.b",
            "a.b.c",
            "a.b.c.d.e",
            "a.ü.c",
            f"a.{b64url(b'[1]')}.c",
            f"a.{b64url(b'not json')}.c",
            f"a.{b64url(b'[' * 20_000)}.c",
            f"a.{b64url(b'1' * 20_000)}.c",
            f"a.{b64url(b'{}' + b' ' * 65_536)}.c",
        ],
    )
    def test_a_text_that_is_not_a_jwt_has_no_unverified_claims(self, token: str) -> None:
        assert unverified_claims(token) == {}


UNREAD: list[tuple[dict[str, Any], list[tuple[str, str]]]] = [
    ({"roles": ["a"], "groups": {"g": {"x": 1}}, "name": "Ada"}, []),
    ({"roles": [], "groups": {}, "name": None, "email": ""}, []),
    ({"roles": {"a": False}}, []),
    ({"roles": True}, [("roles", "roles in id_token is true or false: it gives no name")]),
    ({"groups": ["g", {}]}, [("groups", "groups in id_token is a list of 2: 1 of its values give no name")]),
    ({"email": ["a@b.example"]}, [("email", "email in id_token is a list of 1: it is not one line of text")]),
    ({"name": {"first": "Ada"}}, [("name", "name in id_token is a map of 1: it is not one line of text")]),
]


@pytest.mark.parametrize(("claims", "expected"), UNREAD, ids=lambda value: repr(value)[:40])
def test_a_claim_without_readable_names_is_reported_without_its_value(
    claims: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    settings = provider_settings(roles_claim="roles", groups_claim="groups")
    found = find_unread({"id_token": claims}, settings=settings)
    assert [(one.claim, one.says) for one in found] == expected
    assert not any("example" in one.says or "Ada" in one.says for one in found)


def test_unread_roles_are_reported_only_for_configured_sources() -> None:
    settings = provider_settings(roles_claim="roles", roles_from=["userinfo"])
    assert find_unread({"id_token": {"roles": True}}, settings=settings) == ()
    (one,) = find_unread({"id_token": {}, "userinfo": {"roles": True}}, settings=settings)
    assert (one.claim, one.source) == ("roles", "userinfo")
