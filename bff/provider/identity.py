"""Build an `Identity` from a provider's claims: find the name, the roles and the groups. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bff.contract import Identity
from bff.oidc.claims import (
    GROUPS_UNREACHABLE,
    MARKS_OF_GROUPS_LEFT_OUT,
    are_groups_left_out,
    claim_at,
    names_at,
    read_names,
    shape_of,
    text_at,
)
from bff.oidc.members import is_absent
from bff.oidc.tokens import TokenResponse
from bff.oidc.userinfo import merge_claims
from bff.oidc.verified_email import Email, read_email, without_email
from bff.settings.tables import ProviderSettings

PROTOCOL_CLAIMS = frozenset(
    {"nonce", "at_hash", "c_hash", "exp", "iat", "nbf", "jti", "aud", "azp", "iss", "sub", "typ"}
)
TEXT_CLAIMS = ("name", "email", "preferred_username")
MAX_CLAIMS_BYTES = 16_384
Sources = Mapping[str, Mapping[str, Any]]
"""Claims by source: `id_token`, `userinfo`, `access_token`. A missing source has no entry."""


@dataclass(frozen=True, slots=True)
class FoundIn:
    """The sources in which roles, and groups, of this person were found."""

    roles: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()

    def joined(self, other: FoundIn) -> FoundIn:
        roles, groups = (*self.roles, *other.roles), (*self.groups, *other.groups)
        return FoundIn(tuple(dict.fromkeys(roles)), tuple(dict.fromkeys(groups)))


NOWHERE = FoundIn()


def find_names(sources: Sources, *, settings: ProviderSettings) -> FoundIn:
    """Find which of `settings.roles_from` hold roles and groups."""
    present = [name for name in settings.roles_from if name in sources]
    roles, groups = (
        tuple(name for name in present if path and claim_at(sources[name], path) is not None)
        for path in (settings.roles_claim, settings.groups_claim)
    )
    return FoundIn(roles, groups)


@dataclass(frozen=True, slots=True)
class Unread:
    """A claim that arrived and gave nothing, or less than it holds. `says` tells where and what, without its values."""

    claim: str
    source: str
    says: str


def find_unread(sources: Sources, *, settings: ProviderSettings) -> tuple[Unread, ...]:
    """Find the claims of this sign-in that were there and could not be read in full."""
    found = []
    for claim, path in (("roles", settings.roles_claim), ("groups", settings.groups_claim)):
        for source in settings.roles_from:
            read = read_names(sources.get(source, {}), path)
            if read.lost:
                outcome = f"{read.lost} of its values give no name" if read.names else "it gives no name"
                found.append(Unread(claim, source, f"{path} in {source} is {read.shape}: {outcome}"))
    for name in TEXT_CLAIMS:
        for source in ("id_token", "userinfo"):
            claims = sources.get(source, {})
            if not is_absent(claims.get(name)) and not text_at(claims, name):
                shape = shape_of(claims[name])
                found.append(Unread(name, source, f"{name} in {source} is {shape}: it is not one line of text"))
    return tuple(found)


def find_unread_scope(answer: TokenResponse) -> tuple[Unread, ...]:
    """Say what stood in place of a scope in a token response, if it could not be read."""
    if not answer.scope_fault:
        return ()
    return (Unread("scope", "token response", f"scope in the token response is {answer.scope_fault}: it is no scope"),)


def build_identity(
    sources: Sources,
    *,
    provider: str,
    settings: ProviderSettings,
    before: Identity | None = None,
    found_in: FoundIn = NOWHERE,
) -> Identity:
    """Build the person from validated claims.

    Roles and groups are joined from all of `settings.roles_from`. On a refresh, `before` has what the new tokens
    do not contain: names from other sources stay, because userinfo is not called again. If a source had the claim
    before (`found_in`) and no longer has it, the person has no such names any more: some providers leave out empty
    claims.
    """
    id_token, userinfo = sources["id_token"], sources.get("userinfo", {})
    old = _not_outdated(before.claims, id_token, settings) if before else {}
    email = read_email([userinfo, id_token], old, assumed=settings.email_verified == "assume")
    claims = _with_email({**old, **merge_claims(id_token, userinfo)}, email)
    named = sources if email.is_verified else {name: without_email(found) for name, found in sources.items()}
    auth_time = claims.get("auth_time", 0)
    return Identity(
        sub=str(id_token["sub"]),
        iss=str(id_token["iss"]),
        provider=provider,
        name=text_at(claims, "name"),
        email=email.address,
        email_verified=email.is_verified,
        preferred_username=text_at(claims, "preferred_username"),
        roles=_joined(named, settings.roles_claim, settings, _kept_names(before, sources, "roles", found_in.roles)),
        groups=_joined(named, settings.groups_claim, settings, _kept_names(before, sources, "groups", found_in.groups)),
        acr=text_at(claims, "acr"),
        auth_time=int(auth_time) if isinstance(auth_time, int | float) and 0 <= auth_time < 2**40 else 0,
        expires_at=before.expires_at if before else 0,
        claims=_kept(claims),
    )


def _not_outdated(old: Mapping[str, Any], id_token: Mapping[str, Any], settings: ProviderSettings) -> dict[str, Any]:
    """Return the claims of a record without what a new ID token says of groups: there are more, or there are none."""
    is_unknown = are_groups_left_out(id_token)
    outdated = {"groups", settings.groups_claim, GROUPS_UNREACHABLE} if is_unknown else MARKS_OF_GROUPS_LEFT_OUT
    return {name: value for name, value in old.items() if name not in outdated}


def _kept_names(
    before: Identity | None, sources: Sources, kind: Literal["roles", "groups"], found_in: tuple[str, ...]
) -> tuple[str, ...]:
    if before is None or any(name in sources for name in found_in):
        return ()
    return before.roles if kind == "roles" else before.groups


def _joined(sources: Sources, path: str, settings: ProviderSettings, before: tuple[str, ...]) -> tuple[str, ...]:
    present = [sources[name] for name in settings.roles_from if name in sources]
    if path and not any(claim_at(claims, path) is not None for claims in present):
        return before
    return tuple(dict.fromkeys(name for claims in present for name in names_at(claims, path)))


def _with_email(claims: dict[str, Any], email: Email) -> dict[str, Any]:
    """Put the address and `email_verified` into `claims` as a pair from one source. The two are never mixed."""
    rest = {name: value for name, value in claims.items() if name not in ("email", "email_verified")}
    if email.address:
        rest["email"] = email.address
    if email.said is not None:
        rest["email_verified"] = email.said
    return rest


def _kept(claims: Mapping[str, Any]) -> dict[str, Any]:
    """Return the claims to store, without those that make the record too large.

    `sid` comes first, because logout needs it, then the short ones: a long list pushes out nothing but itself.
    """
    sizes = {name: len(name) + len(json.dumps(value)) for name, value in claims.items() if name not in PROTOCOL_CLAIMS}
    kept: dict[str, Any] = {}
    left = MAX_CLAIMS_BYTES
    for name in sorted(sizes, key=lambda name: (name != "sid", sizes[name])):
        if sizes[name] <= left:
            kept[name] = claims[name]
            left -= sizes[name]
    return kept
