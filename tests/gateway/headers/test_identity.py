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
from gateway.headers.identity import IdentityHeaders, build_identity_headers, encode_list, encode_value
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
    headers = build_identity_headers(preset, identity, **options).headers
    assert len({name for name, _ in headers}) == len(headers)
    return {name.decode(): value.decode("ascii") for name, value in headers}


def test_the_default_preset_has_all_identity_headers() -> None:
    assert build("x-auth-request", subject_key="key_-1") == {
        "x-auth-request-user": "248289761001",
        "x-auth-request-email": "ada@example.com",
        "x-auth-request-groups": "science,a%2Cb",
        "x-auth-request-roles": "analyst,admin",
        "x-auth-request-preferred-username": "ada",
        "x-auth-request-name": "Ada L%C3%B6velace",
        "x-auth-request-provider": "corp",
        "x-auth-request-id": "key_-1",
        "x-auth-request-omitted": "",
    }


def test_the_oauth2_proxy_and_authelia_presets_use_their_names() -> None:
    assert set(build("x-forwarded")) == {
        "x-forwarded-user",
        "x-forwarded-email",
        "x-forwarded-groups",
        "x-forwarded-preferred-username",
        "x-auth-request-id",
        "x-auth-request-omitted",
    }
    remote = {"remote-user", "remote-groups", "remote-email", "remote-name"}
    assert set(build("remote")) == remote | {"x-auth-request-id", "x-auth-request-omitted"}
    assert build("none") == {}


@pytest.mark.parametrize("preset", PRESETS)
def test_an_unverified_email_is_not_sent(preset: HeaderPreset) -> None:
    """An application may identify people by this address, so anybody could be anybody."""
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


def test_with_several_providers_the_user_header_contains_the_provider() -> None:
    assert build("remote", several_providers=True)["remote-user"] == "corp:248289761001"


@pytest.mark.parametrize("preset", PRESETS)
def test_all_identity_headers_are_empty_when_nobody_is_signed_in(preset: HeaderPreset) -> None:
    claims = {"X-Department": "department"}
    nobody = build(preset, None, subject_key="key", claim_headers=claims)
    assert set(nobody) == set(build(preset, ADA, claim_headers=claims))
    assert set(nobody.values()) <= {""}


@pytest.mark.parametrize("preset", PRESETS)
def test_headers_that_are_set_here_are_removed_from_client_requests(preset: HeaderPreset) -> None:
    assert RequestHygiene().clean(build_identity_headers(preset, ADA, subject_key="key").headers) == []


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
def test_a_value_with_a_separator_does_not_add_a_member_to_a_list(values: list[str]) -> None:
    encoded = encode_list(values)
    assert all(0x20 <= byte <= 0x7E for byte in encoded)
    members = encoded.decode("ascii").split(",") if values else []
    assert [unquote(member) for member in members] == values


LONG = tuple(f"00000000-0000-4000-8000-{number:012d}" for number in range(200))


def omitted_and_sizes(built: IdentityHeaders) -> tuple[list[str], list[int]]:
    marked = dict(built.headers).get(b"x-auth-request-omitted", b"").decode()
    assert marked == ",".join(built.omitted)
    return list(built.omitted), [len(name) + len(value) + 4 for name, value in built.headers]


@pytest.mark.parametrize("preset", ["x-auth-request", "x-forwarded", "remote"])
def test_a_list_that_does_not_fit_into_a_header_is_left_out_completely_and_named(preset: HeaderPreset) -> None:
    built = build_identity_headers(preset, replace(ADA, groups=LONG), subject_key="key")
    assert omitted_and_sizes(built)[0] == ["groups"]
    assert dict(built.headers)[next(name for name, _ in built.headers if name.endswith(b"groups"))] == b""
    assert dict(built.headers)[next(name for name, _ in built.headers if name.endswith(b"user"))] == ADA.sub.encode()


def test_a_list_that_just_fits_is_sent_completely() -> None:
    one_line = 4096 - len("x-auth-request-groups: \r\n")
    fitting = build_identity_headers("x-auth-request", replace(ADA, groups=("g" * one_line,)))
    assert fitting.omitted == ()
    assert build_identity_headers("x-auth-request", replace(ADA, groups=("g" * (one_line + 1),))).omitted == ("groups",)


def test_a_claim_that_does_not_fit_is_named_as_the_claim() -> None:
    person = replace(ADA, claims={"projects": ["p" * 100] * 60, "unit": "models"})
    built = build_identity_headers("none", person, claim_headers={"X-Projects": "projects", "X-Unit": "unit"})
    assert built.omitted == ("projects",)
    assert (dict(built.headers)[b"x-projects"], dict(built.headers)[b"x-unit"]) == (b"", b"models")


texts = st.text(st.characters(codec="utf-8"), max_size=30).map(lambda text: text * 60)
lists = st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=40), max_size=12).map(lambda few: few * 30)


@given(
    preset=st.sampled_from(PRESETS),
    sub=st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=255),
    values=st.tuples(texts, texts, texts),
    roles=lists,
    groups=lists,
    claims=st.lists(lists, max_size=4),
    most=st.integers(2560, 8192),
)
def test_no_identity_exceeds_the_size_limits(
    preset: HeaderPreset,
    sub: str,
    values: tuple[str, str, str],
    roles: list[str],
    groups: list[str],
    claims: list[list[str]],
    most: int,
) -> None:
    name, email, username = values
    person = Identity(
        sub=sub,
        iss="https://idp.example.com",
        provider="p" * 63,
        name=name,
        email=email,
        email_verified=True,
        preferred_username=username,
        roles=tuple(roles),
        groups=tuple(groups),
        claims={f"claim-{number}": value for number, value in enumerate(claims)},
    )
    named = {f"X-Claim-{number}-{'x' * 100}": f"claim-{number}" for number in range(len(claims))}
    built = build_identity_headers(
        preset, person, subject_key="k" * 43, several_providers=True, claim_headers=named, most_bytes=most
    )
    omitted, sizes = omitted_and_sizes(built)
    assert sum(sizes) <= most
    assert max(sizes, default=0) <= 4096
    for field, whole in (("groups", groups), ("roles", roles)):
        sent = [value for header, value in built.headers if header.endswith(field.encode())]
        assert sent in ([], [b""] if field in omitted else [encode_list(whole)])
