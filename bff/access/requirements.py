"""Check whether a person meets a set of requirements. Every given key must hold; a missing claim denies. Pure."""

from __future__ import annotations

from collections.abc import Collection

from bff.contract import Identity
from bff.oidc.claims import claim_at
from bff.oidc.verified_email import claims_to_go_by
from bff.settings.tables import Requirements

CLOCK_SKEW_SECONDS = 60
STEP_UP = frozenset({"acr", "max_age"})
"""Unmet keys that a stronger or a newer authentication can fix."""


def unmet(
    requirements: Requirements, identity: Identity, *, scopes: Collection[str] = (), now: float | None = None
) -> str:
    """Return the first key of `requirements` that `identity` does not meet, "" if all hold.

    With `now=None`, `max_age_seconds` is not checked (local roles have no clock).
    """
    wanted = requirements
    checks = (
        ("roles_any", _any_of(wanted.roles_any, identity.roles)),
        ("roles_all", _all_of(wanted.roles_all, identity.roles)),
        ("groups_any", _any_of(wanted.groups_any, identity.groups)),
        ("groups_all", _all_of(wanted.groups_all, identity.groups)),
        ("scopes_all", _all_of(wanted.scopes_all, scopes)),
        ("emails", not wanted.emails or _has_email(identity, wanted.emails)),
        ("email_domains", not wanted.email_domains or _has_domain(identity, wanted.email_domains)),
        ("claims", all(_claim_holds(identity, path, value) for path, value in wanted.claims.items())),
        ("acr", not wanted.acr_any or identity.acr in wanted.acr_any),
        (
            "max_age",
            now is None or wanted.max_age_seconds is None or _is_recent(identity, wanted.max_age_seconds, now=now),
        ),
    )
    return next((key for key, holds in checks if not holds), "")


def _is_recent(identity: Identity, seconds: float, *, now: float) -> bool:
    """True if the person signed in at most `seconds` ago. A time in the future proves nothing."""
    return -CLOCK_SKEW_SECONDS <= now - identity.auth_time <= seconds


def _any_of(wanted: Collection[str], had: Collection[str]) -> bool:
    return not wanted or any(name in had for name in wanted)


def _all_of(wanted: Collection[str], had: Collection[str]) -> bool:
    return all(name in had for name in wanted)


def _has_email(identity: Identity, emails: Collection[str]) -> bool:
    return identity.email_verified and _folded(identity.email) in {_folded(email) for email in emails}


def _folded(email: str) -> str:
    """Lower-case ASCII letters only: U+212A would become k, and make two different addresses equal."""
    return email.lower() if email.isascii() else email


def _has_domain(identity: Identity, domains: Collection[str]) -> bool:
    """True if the verified address is plain ASCII, has exactly one @ and one of `domains` after it."""
    email = identity.email
    if not identity.email_verified or email.count("@") != 1 or not email.isascii() or any(c in email for c in ' ",;<>'):
        return False
    return email.rpartition("@")[2].lower() in {domain.lower().lstrip("@") for domain in domains}


def _claim_holds(identity: Identity, path: str, wanted: object) -> bool:
    value = claim_at(claims_to_go_by(identity), path)
    if isinstance(wanted, tuple):
        return any(_is_same(value, one) for one in wanted)
    return _is_same(value, wanted)


def _is_same(value: object, wanted: object) -> bool:
    if isinstance(value, list):
        return any(type(item) is type(wanted) and item == wanted for item in value)
    return type(value) is type(wanted) and value == wanted
