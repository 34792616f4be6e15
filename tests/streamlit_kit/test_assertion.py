from __future__ import annotations

import time
from typing import Any

import pytest

from streamlit_kit import KitMisconfigured
from streamlit_kit.assertion import AssertionRejected, Expected, PageSession, read_assertion
from streamlit_kit.runtime import Kit
from tests.fakes import OMIT, generate_key, write_jws
from tests.streamlit_kit.front_door import CLIENT, HANDLE, KitFrontDoor, make_claims

NOW = int(time.time())
OTHER_KEY = generate_key("ES256", kid="key-1")
UNPUBLISHED = generate_key("ES256", kid="key-2")


def read(kit: Kit, assertion: str, *, handle: str = HANDLE, issuer: str = "") -> PageSession:
    return read_assertion(
        assertion,
        handle,
        find_key=kit.keys.find,
        expected=Expected(client=CLIENT, issuer=issuer),
        now=time.time(),
    )


def test_a_valid_assertion_gives_the_signed_in_person(door: KitFrontDoor, kit: Kit) -> None:
    session = read(kit, door.mint(), issuer=door.url)
    identity = session.identity
    assert (identity.sub, identity.iss, identity.provider) == ("alice", "https://idp.example.com", "corp")
    assert (identity.name, identity.email, identity.email_verified) == ("Alice Example", "alice@example.com", True)
    assert (identity.roles, identity.groups, identity.acr) == (("analyst",), ("science",), "1")
    assert identity.expires_at > time.time()
    assert identity.claims == {"department": "physics"}
    assert session.routes == {"api": "/api/"}
    assert session.handle == HANDLE


def test_the_handle_is_not_in_the_repr(door: KitFrontDoor, kit: Kit) -> None:
    assert HANDLE not in repr(read(kit, door.mint()))


def test_optional_claims_may_be_missing(door: KitFrontDoor, kit: Kit) -> None:
    absent = ("name", "email", "email_verified", "roles", "groups", "acr", "auth_time", "routes", "session_expires_at")
    changes: dict[str, Any] = dict.fromkeys(absent, OMIT)
    session = read(kit, door.mint(**changes))
    assert session.identity.roles == ()
    assert session.identity.email_verified is False
    assert session.identity.expires_at > time.time()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        pytest.param({"exp": NOW - 1}, "assertion_exp", id="expired"),
        ({"exp": OMIT}, "assertion_claim_missing"),
        ({"iat": OMIT}, "assertion_claim_missing"),
        ({"iss": OMIT}, "assertion_claim_missing"),
        ({"sub": OMIT}, "assertion_claim_missing"),
        ({"aud": OMIT}, "assertion_claim_missing"),
        pytest.param({"iat": NOW + 86_400}, "assertion_iat", id="issued tomorrow"),  # NOW is when the run began
        pytest.param({"nbf": NOW + 86_400}, "assertion_iat", id="valid from tomorrow"),
        ({"sub": ""}, "assertion_claims"),
        ({"sub": 7}, "assertion_invalid"),
        ({"email_verified": "true"}, "assertion_claims"),
        ({"roles": "admin"}, "assertion_claims"),
        ({"roles": [1]}, "assertion_claims"),
        ({"routes": ["/api/"]}, "assertion_claims"),
        ({"routes": {"api": "https://evil.example/"}}, "assertion_routes"),
        ({"routes": {"api": "/api/../auth/"}}, "assertion_routes"),
        ({"header": {"typ": "at+jwt"}}, "assertion_typ"),
        ({"header": {"typ": "JWT"}}, "assertion_typ"),
        ({"header": {"typ": OMIT}}, "assertion_typ"),
        ({"header": {"alg": "none"}, "alg": "none"}, "assertion_alg"),
        ({"header": {"alg": "HS256"}}, "assertion_alg"),
        ({"header": {"kid": OMIT}}, "assertion_kid"),
        ({"header": {"kid": 7}}, "assertion_malformed"),
        ({"header": {"kid": "k" * 300}}, "assertion_kid"),
        ({"header": {"crit": ["x"], "x": 1}}, "assertion_malformed"),
        ({"key": OTHER_KEY}, "assertion_signature"),
        ({"key": UNPUBLISHED, "header": {"kid": "key-2"}}, "assertion_kid"),
        ({"department": "x" * 40_000}, "assertion_malformed"),
    ],
)
def test_one_broken_rule_is_enough_to_refuse_an_assertion(
    door: KitFrontDoor, kit: Kit, changes: dict[str, Any], code: str
) -> None:
    with pytest.raises(AssertionRejected) as caught:
        read(kit, door.mint(**changes))
    assert caught.value.code == code


def test_a_key_in_the_header_is_ignored(door: KitFrontDoor, kit: Kit) -> None:
    header = {"jwk": OTHER_KEY.public_jwk, "jku": f"{door.url}/evil.json"}
    with pytest.raises(AssertionRejected):
        read(kit, door.mint(key=OTHER_KEY, header=header))
    assert not door.server.requests_to("/evil.json")


def test_an_assertion_signed_with_the_public_key_as_a_shared_secret_is_refused(door: KitFrontDoor, kit: Kit) -> None:
    header = {"alg": "HS256", "typ": "vestibule-handshake+jwt", "kid": "key-1"}
    forged = write_jws(make_claims(door.url), header=header, key=door.key.public_pem, alg="HS256")
    with pytest.raises(AssertionRejected):
        read(kit, forged)


@pytest.mark.parametrize("change", ["={}", "{}=", "{}.x", " {}", "{}\n"])
def test_an_assertion_in_another_spelling_is_refused(door: KitFrontDoor, kit: Kit, change: str) -> None:
    with pytest.raises(AssertionRejected):
        read(kit, change.format(door.mint()))


@pytest.mark.parametrize("assertion", ["", "x", "a.b.c", "..", "\x00.\x00.\x00"])
def test_a_text_that_is_not_a_token_signs_nobody_in(kit: Kit, assertion: str) -> None:
    with pytest.raises(AssertionRejected):
        read(kit, assertion)


@pytest.mark.parametrize("handle", ["", "a\nb", "ä"])
def test_an_assertion_with_a_handle_that_a_header_cannot_hold_signs_nobody_in(
    door: KitFrontDoor, kit: Kit, handle: str
) -> None:
    with pytest.raises(AssertionRejected) as caught:
        read(kit, door.mint(), handle=handle)
    assert caught.value.code == "session_handle_missing"


@pytest.mark.parametrize("audience", ["kit:other", "dashboards", "models-api", ["kit:dashboards"]])
def test_a_valid_assertion_for_another_client_is_a_configuration_error(
    door: KitFrontDoor, kit: Kit, audience: object
) -> None:
    with pytest.raises(KitMisconfigured, match="VESTIBULE_KIT__CLIENT"):
        read(kit, door.mint(aud=audience))


def test_a_forged_assertion_for_another_client_is_not_a_configuration_error(door: KitFrontDoor, kit: Kit) -> None:
    with pytest.raises(AssertionRejected):
        read(kit, door.mint(aud="kit:other", key=OTHER_KEY))


def test_the_issuer_is_checked_where_it_is_configured(door: KitFrontDoor, kit: Kit) -> None:
    with pytest.raises(KitMisconfigured, match="PUBLIC_URL"):
        read(kit, door.mint(iss="https://other.example.com"), issuer=door.url)
