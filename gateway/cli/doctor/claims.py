"""Describe what a real sign-in brought, claim by claim: where it was found, or what to add at the provider. Pure.

This module sees no token: `Arrived` holds only claims, and facts about tokens.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bff.contract import Identity
from bff.oidc.claims import (
    GROUPS_UNREACHABLE,
    NamesRead,
    are_groups_left_out,
    claim_at,
    names_at,
    read_names,
    shape_of,
    text_at,
)
from bff.oidc.userinfo import merge_claims
from bff.provider.identity import TEXT_CLAIMS
from bff.settings.tables import ProviderSettings, Requirements, Settings
from gateway.cli.doctor.fixes import fix_for
from gateway.logs import one_line

SOURCES = {"id_token": "ID token", "userinfo": "userinfo", "access_token": "access token"}
PROVIDER_TOKENS = ("access_token", "id_token", "exchange")
MAX_SHOWN = 120
LIKELY_ROLES = ("roles", "realm_access.roles", "role", "groups", "cognito:groups")
"""Claims in which products put roles, the most likely first."""
UNSEEN = frozenset({"sid"})
"""Claims that name a session: their values are not shown."""
WORDS = {"found": "found", "missing": "not sent", "warning": "warning"}
FOR_ROUTES_ALONE = frozenset({"acr", "auth_time"})
"""Claims that are of use only where a rule of a route asks for them."""
Uses = Mapping[str, tuple[str, ...]]
"""Claim → the settings that ask for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """One validated sign-in. `sources` are claims by their source; `lifetime` is in seconds, None if not stated."""

    identity: Identity
    sources: Mapping[str, Mapping[str, Any]]
    access_token_typ: str
    lifetime: float | None
    scope: str
    has_refresh_token: bool

    @property
    def claims(self) -> dict[str, Any]:
        """Return the claims of ID token and userinfo together, as a session has them."""
        return merge_claims(self.sources.get("id_token", {}), self.sources.get("userinfo", {}))


@dataclass(frozen=True, slots=True)
class Shown:
    """One line. `level` is `warning` if something that the configuration uses is missing."""

    level: Literal["found", "missing", "warning"]
    claim: str
    text: str

    def __str__(self) -> str:
        """Write the line for a terminal. A claim that was not sent looks like a fault only if something needs it."""
        return f"{WORDS[self.level]:<8} {self.claim}: {self.text}"


def describe_arrival(arrived: Arrived, settings: Settings, provider: ProviderSettings) -> list[Shown]:
    """Describe the usual claims of a sign-in and those that the configuration names, in a fixed order."""
    uses = uses_of(settings)
    return [
        *(_plain(name, arrived, uses, provider=provider) for name in ("sub", "name", "email")),
        _email_verified(arrived, uses, provider=provider),
        _names("roles", provider.roles_claim, arrived, uses, provider=provider),
        _names("groups", provider.groups_claim, arrived, uses, provider=provider),
        *(_plain(name, arrived, uses, provider=provider) for name in ("sid", "auth_time", "acr")),
        *(_other(name, arrived, uses) for name in uses if name.startswith("claim ")),
        _refresh_token(arrived, uses, provider=provider),
        _access_token(arrived, uses, provider=provider),
    ]


def uses_of(settings: Settings) -> Uses:
    """Return which claims and tokens the routes and local roles need from the provider."""
    found: dict[str, list[str]] = {}
    places = [(f"routes.{route.id}.require", route.require) for route in settings.routes]
    places += [(f"roles.{name}", rule) for name, rule in settings.roles.items()]
    for place, wanted in places:
        for claim in _asked(wanted, local_roles=frozenset(settings.roles)):
            found.setdefault(claim, []).append(place)
    for route in settings.routes:
        for claim in route.claim_headers.values():
            found.setdefault(f"claim {claim}", []).append(f"routes.{route.id}.claim_headers")
        if route.token in PROVIDER_TOKENS:
            for name in ("refresh token", "access token"):
                found.setdefault(name, []).append(f"routes.{route.id}.token")
    return {claim: tuple(dict.fromkeys(where)) for claim, where in found.items()}


def _asked(wanted: Requirements, *, local_roles: frozenset[str]) -> list[str]:
    asked = {
        "roles": not {*wanted.roles_any, *wanted.roles_all} <= local_roles,
        "groups": bool(wanted.groups_any or wanted.groups_all),
        "email": bool(wanted.emails or wanted.email_domains),
        "email_verified": bool(wanted.emails or wanted.email_domains),
        "acr": bool(wanted.acr_any),
        "auth_time": wanted.max_age_seconds is not None,
    }
    return [claim for claim, is_asked in asked.items() if is_asked] + [f"claim {name}" for name in wanted.claims]


def _plain(name: str, arrived: Arrived, uses: Uses, *, provider: ProviderSettings) -> Shown:
    where = [SOURCES[source] for source in ("id_token", "userinfo") if name in arrived.sources.get(source, {})]
    if where:
        value = arrived.claims.get(name)
        if name in TEXT_CLAIMS and not text_at(arrived.claims, name):
            text = f"there, but gives nothing: it is {shape_of(value)}, not one line of text ({', '.join(where)})"
            return Shown("warning", name, text + _used(name, uses))
        shown = "yes" if name in UNSEEN else _value(value)
        return Shown("found", name, f"{shown} ({', '.join(where)})")
    return _missing(name, uses, provider=provider)


def _email_verified(arrived: Arrived, uses: Uses, *, provider: ProviderSettings) -> Shown:
    shown = _plain("email_verified", arrived, uses, provider=provider)
    if not arrived.identity.email and shown.level != "found":
        return Shown("missing", "email_verified", "no address arrived, so there is none to verify")
    if arrived.identity.email_verified:
        if shown.level == "found":
            return shown
        return Shown("found", shown.claim, 'did not arrive, and is assumed (email_verified = "assume")')
    if shown.level != "found":
        return shown
    text = f"{shown.text}: `emails` and `email_domains` do not count this address, and applications do not get it"
    return Shown("warning" if "email_verified" in uses else "found", shown.claim, text)


def _names(claim: str, path: str, arrived: Arrived, uses: Uses, *, provider: ProviderSettings) -> Shown:
    """Describe roles or groups at their configured path, for each source."""
    label = f"{claim} at {path}"
    present = {name: claims for name in SOURCES if claim_at(claims := arrived.sources.get(name, {}), path) is not None}
    read = [name for name in provider.roles_from if name in present]
    if not read:
        unread = [SOURCES[name] for name in present]
        if unread:
            text = f"only in {', '.join(unread)}, which roles_from leaves out"
            return Shown("warning" if claim in uses else "found", label, text + _used(claim, uses))
        missing = _missing(claim, uses, provider=provider)
        elsewhere = _roles_elsewhere(arrived, provider) if claim == "roles" else ""
        text = f"did not arrive{_used(claim, uses)}; {elsewhere}" if elsewhere else missing.text
        if claim == "groups" and are_groups_left_out(arrived.claims):
            text = _left_out(arrived) + _used(claim, uses)
        return Shown(missing.level, label, text)
    found = {SOURCES[name]: read_names(present[name], path) for name in read}
    text = "; ".join(f"{source}: {_read(names)}" for source, names in found.items())
    is_unread = any(names.lost for names in found.values())
    return Shown("warning" if is_unread else "found", label, text)


def _left_out(arrived: Arrived) -> str:
    if arrived.claims.get(GROUPS_UNREACHABLE) is True:
        return "too many to be named, and Microsoft Graph, which knows them, did not answer"
    return 'too many to be named; set groups_from = "graph" and grant GroupMember.Read.All, or use roles'


def _read(names: NamesRead) -> str:
    if not names.lost:
        return _list(names.names)
    if not names.names:
        return f"there, but gives no name: it is {names.shape}"
    return f"{_list(names.names)}; {names.lost} of its values give no name"


def _roles_elsewhere(arrived: Arrived, provider: ProviderSettings) -> str:
    """Say where there are names that look like roles; "" if nowhere."""
    for source in provider.roles_from:
        claims = arrived.sources.get(source, {})
        urls = [name for name in claims if "://" in name and name.endswith(("/roles", "/role", "/groups"))]
        for path in (*LIKELY_ROLES, *urls):
            if path != provider.roles_claim and (names := names_at(claims, path)):
                place = _short(path)
                return (
                    f'but {place} did ({SOURCES[source]}: {_list(names)}): if those are roles, roles_claim = "{place}"'
                )
    return ""


def _other(key: str, arrived: Arrived, uses: Uses) -> Shown:
    """Describe a claim that a rule or a header names by its path."""
    path = key.removeprefix("claim ")
    if path == "email" and arrived.identity.email and not arrived.identity.email_verified:
        return Shown("warning", key, f"arrived, but nobody has verified it, so it counts as missing{_used(key, uses)}")
    value = claim_at(arrived.identity.claims, path)
    if value is None:
        value = getattr(arrived.identity, path, None) if path in Identity.__dataclass_fields__ else None
    if value is None:
        return Shown("warning", key, f"not in ID token or userinfo{_used(key, uses)}; map it at the provider")
    return Shown("found", key, _value(value))


def _refresh_token(arrived: Arrived, uses: Uses, *, provider: ProviderSettings) -> Shown:
    if arrived.has_refresh_token:
        return Shown("found", "refresh token", "yes")
    return _missing("refresh token", uses, provider=provider)


def _access_token(arrived: Arrived, uses: Uses, *, provider: ProviderSettings) -> Shown:
    lives = _lifetime(arrived, provider)
    claims = arrived.sources.get("access_token")
    scope = f"scope {_value(arrived.scope)}" if arrived.scope else "scope as asked for"
    if not claims:
        used = _used("access token", uses)
        hint = f"; {fix_for(provider.issuer, 'access token')}" if used else ""
        return Shown(
            "warning" if used else "found", "access token", f"opaque, {lives}, {scope}: no API can check it{used}{hint}"
        )
    audience = claims.get("aud")
    audiences = [audience] if isinstance(audience, str) else audience if isinstance(audience, list) else []
    typ = f"typ {_value(arrived.access_token_typ)}" if arrived.access_token_typ else "no typ"
    text = f"JWT ({typ}), audience {_list(tuple(map(str, audiences)))}, {lives}, {scope}"
    if audiences in ([], ["account"]) and "access token" in uses:
        return Shown("warning", "access token", f"{text}; {fix_for(provider.issuer, 'audience')}")
    return Shown("found", "access token", text)


def _lifetime(arrived: Arrived, provider: ProviderSettings) -> str:
    if arrived.lifetime is not None:
        return f"lives {arrived.lifetime:.0f} s"
    if arrived.has_refresh_token:
        return f"lifetime not said, so {provider.assumed_lifetime_seconds:g} s (assumed_lifetime_seconds)"
    return "lifetime not said"


def _missing(claim: str, uses: Uses, *, provider: ProviderSettings) -> Shown:
    used = _used(claim, uses)
    if not used and claim in FOR_ROUTES_ALONE:
        return Shown("missing", claim, "nothing in this configuration needs it")
    fix = fix_for(provider.issuer, claim, scopes=provider.scopes)
    return Shown("warning" if used else "missing", claim, f"did not arrive{used}; {fix}")


def _used(claim: str, uses: Uses) -> str:
    return f", but needed by {', '.join(uses[claim])}" if claim in uses else ""


def _list(names: tuple[str, ...]) -> str:
    return _short(", ".join(names)) if names else "none"


def _value(value: object) -> str:
    return _short(value if isinstance(value, str) else json.dumps(value, default=list))


def _short(text: str) -> str:
    """Shorten and escape `text` for a terminal, so that a provider cannot forge a line."""
    line = one_line(text)
    return line if len(line) <= MAX_SHOWN else line[: MAX_SHOWN - 1] + "…"
