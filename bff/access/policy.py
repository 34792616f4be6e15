"""Decide whether a signed-in person may use a route. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bff.access.requirements import STEP_UP, unmet
from bff.contract import Identity
from bff.errors import Forbidden
from bff.oidc.claims import GROUPS_UNREACHABLE, are_groups_left_out
from bff.settings.tables import RouteSettings

NAMED = {
    "roles_any": ("with", "one of", "role"),
    "roles_all": ("with", "all of", "role"),
    "groups_any": ("in", "one of", "group"),
    "groups_all": ("in", "all of", "group"),
    "scopes_all": ("with", "all of", "scope"),
}
"""How a page names each requirement. Requirements on addresses and claims are not shown to people."""
PROVIDER = "provider"
_WHY: Final = {
    "groups_unknown": "You are in so many groups that the identity provider does not name them, so it is not known "
    "whether you may do this. Please tell the people who run this application.",
    "groups_unreachable": "When you signed in, your groups could not be fetched, so it is not known whether you may do "
    "this. Please sign out and sign in again in a few minutes.",
}
"""What a person is told whose groups nobody knows."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """The person may use the route."""


@dataclass(frozen=True, slots=True)
class Denied:
    """The person is signed in but not allowed; `unmet` names the key of `require` that failed."""

    unmet: str
    unknown: str = ""
    """The reason code if nobody knows whether it holds: the provider has left out the person's groups."""

    @property
    def reason(self) -> str:
        """The reason code for the audit log."""
        return self.unknown or f"require.{self.unmet}"

    def as_error(self, route: RouteSettings, identity: Identity) -> Forbidden:
        """Make the refusal. It says who is signed in and what is needed."""
        person = identity.name or identity.email or identity.sub
        if self.unknown:
            return Forbidden(self.unknown, f"You are signed in as {person}. {_WHY[self.unknown]}", detail=self.reason)
        needed = getattr(route.require, self.unmet, ())
        if self.unmet in NAMED and needed:
            message = f"You are signed in as {person}. This is only for people {_whom(self.unmet, needed)}."
        else:
            message = f"You are signed in as {person}, but you are not allowed to do this."
        return Forbidden("forbidden", message, detail=self.reason)


@dataclass(frozen=True, slots=True)
class StepUp:
    """Another sign-in would do: a newer or stronger one (`acr`, `max_age`), or one at the route's `provider`."""

    unmet: str

    @property
    def reason(self) -> str:
        """The reason code for the audit log."""
        return self.unmet if self.unmet == PROVIDER else f"require.{self.unmet}"


@dataclass(frozen=True, slots=True)
class Demands:
    """What a page needs from a sign-in: a provider, a recent authentication or a stronger one."""

    provider: str = ""
    max_age: float | None = None
    acr_values: tuple[str, ...] = ()


def _whom(key: str, needed: Sequence[str]) -> str:
    """Name the people whom a requirement lets in: `with the role chief`, `in one of the groups a, b`."""
    joined, choice, noun = NAMED[key]
    which = f"the {noun}" if len(needed) == 1 else f"{choice} the {noun}s"
    return f"{joined} {which} {', '.join(needed)}"


Decision = Allowed | Denied | StepUp
ALLOWED = Allowed()


def decide(route: RouteSettings, identity: Identity, *, scopes: frozenset[str], now: float) -> Decision:
    """The decision for a signed-in person. `now` is Unix seconds.

    A route that needs a person of one provider has none for people of others. Where nobody has to sign in, `provider`
    says whose service token goes upstream, and refuses nobody.
    """
    if route.auth == "required" and route.provider not in ("", identity.provider):
        return StepUp(PROVIDER)
    key = unmet(route.require, identity, scopes=scopes, now=now)
    if not key:
        return ALLOWED
    if key in STEP_UP:
        return StepUp(key)
    return Denied(key, unknown=_why_unknown(identity) if key.startswith("groups_") else "")


def _why_unknown(identity: Identity) -> str:
    """Return why the groups of a person are unknown; "" if they are known."""
    if not are_groups_left_out(identity.claims):
        return ""
    return "groups_unreachable" if identity.claims.get(GROUPS_UNREACHABLE) is True else "groups_unknown"


def demands_of(route: RouteSettings) -> Demands:
    """Return what a sign-in for `route` must ask of the provider: nothing if the route needs no sign-in.

    Such a route may still name a `provider`: it says whose service token (`client_credentials`) goes upstream.
    """
    if route.auth != "required":
        return Demands()
    return Demands(provider=route.provider, max_age=route.require.max_age_seconds, acr_values=route.require.acr_any)
