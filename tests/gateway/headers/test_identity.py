"""Identity headers: whole sets, safe values."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.contract import Identity
from bff.settings.tables import HeaderPreset
from gateway.headers.identity import build_identity_headers, encode_list, encode_value
from gateway.headers.request import RequestHygiene

ADA = Identity(
    sub="248289761001",
    iss="https://idp.example.com",
    provider="corp",
    name="Ada Lövelace",
    email="ada@example.com",
    email_verified=True,
    preferred_username="ada",
    roles=("analyst", "admin"),
    groups=("science", "a,b"),
    claims={"department": "R&D", "org": {"unit": "models", "floor": 3}, "https://x.example/y": ["p", "q"], "on": True},
)
PRESETS: list[HeaderPreset] = ["x-auth-request", "x-forwarded", "remote", "none"]


def build(preset: HeaderPreset, identity: Identity | None = ADA, **options: Any) -> dict[str, str]:
    headers = build_identity_headers(preset, identity, **options)
    assert len({name for name, _ in headers}) == len(headers)
    return {name.decode(): value.decode("ascii") for name, value in headers}


def test_the_default_preset_carries_everything() -> None:
    assert build("x-auth-request", subject_key="key_-1") == {
        "x-auth-request-user": "248289761001",
        "x-auth-request-email": "ada@example.com",
        "x-auth-request-groups": "science,a%2Cb",
        "x-auth-request-roles": "analyst,admin",
        "x-auth-request-preferred-username": "ada",
        "x-auth-request-name": "Ada L%C3%B6velace",
        "x-auth-request-provider": "corp",
        "x-auth-request-id": "key_-1",
    }


def test_the_oauth2_proxy_and_authelia_presets_use_their_names() -> None:
    assert set(build("x-forwarded")) == {
        "x-forwarded-user",
        "x-forwarded-email",
        "x-forwarded-groups",
        "x-forwarded-preferred-username",
        "x-auth-request-id",
    }
    assert set(build("remote")) == {"remote-user", "remote-groups", "remote-email", "remote-name", "x-auth-request-id"}
    assert build("none") == {}


@pytest.mark.parametrize("preset", PRESETS)
def test_an_unverified_address_is_sent_to_nobody(preset: HeaderPreset) -> None:
    """An application takes the address for the person: anybody could be anybody."""
    claims = {**ADA.claims, "email": "ada@example.com"}
    mallory = replace(ADA, email_verified=False, claims=claims)
    named = {"X-Mail": "email", "X-Verified": "email_verified", "X-Department": "department"}
    headers = build(preset, mallory, claim_headers=named)
    assert "ada@example.com" not in headers.values()
    assert (headers["x-mail"], headers["x-verified"], headers["x-department"]) == ("", "false", "R&D")
    assert [value for name, value in headers.items() if name.endswith("email")] == ([""] if preset != "none" else [])
    assert build(preset, replace(ADA, claims=claims), claim_headers=named)["x-mail"] == "ada@example.com"
    assert build(preset, replace(ADA, claims={}), claim_headers=named)["x-mail"] == "ada@example.com"
    assert build(preset, replace(mallory, claims={}), claim_headers=named)["x-mail"] == ""


def test_with_several_providers_the_user_names_his() -> None:
    assert build("remote", several_providers=True)["remote-user"] == "corp:248289761001"


@pytest.mark.parametrize("preset", PRESETS)
def test_the_whole_set_is_there_and_empty_when_nobody_is_signed_in(preset: HeaderPreset) -> None:
    claims = {"X-Department": "department"}
    nobody = build(preset, None, subject_key="key", claim_headers=claims)
    assert set(nobody) == set(build(preset, ADA, claim_headers=claims))
    assert set(nobody.values()) <= {""}


@pytest.mark.parametrize("preset", PRESETS)
def test_what_is_set_here_is_removed_from_clients(preset: HeaderPreset) -> None:
    assert RequestHygiene().clean(build_identity_headers(preset, ADA, subject_key="key")) == []


def test_claims_become_headers_by_name_path_or_standard_name() -> None:
    headers = build(
        "none",
        claim_headers={
            "X-Department": "department",
            "X-Unit": "org.unit",
            "X-Floor": "org.floor",
            "X-List": "https://x.example/y",
            "X-On": "on",
            "X-Mail": "email",
            "X-Missing": "nothing.here",
            "X-Object": "org",
        },
    )
    assert headers == {
        "x-department": "R&D",
        "x-unit": "models",
        "x-floor": "3",
        "x-list": "p,q",
        "x-on": "true",
        "x-mail": "ada@example.com",
        "x-missing": "",
        "x-object": "",
    }


@given(st.text())
def test_any_value_is_printable_ascii_and_can_be_read_back(value: str) -> None:
    encoded = encode_value(value)
    assert all(0x20 <= byte <= 0x7E for byte in encoded)
    assert encoded == encoded.strip()
    if not any("\ud800" <= character <= "\udfff" for character in value):
        assert unquote(encoded.decode("ascii")) == value


@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1), max_size=5))
def test_a_list_never_grows_a_member(values: list[str]) -> None:
    encoded = encode_list(values)
    assert all(0x20 <= byte <= 0x7E for byte in encoded)
    members = encoded.decode("ascii").split(",") if values else []
    assert [unquote(member) for member in members] == values
