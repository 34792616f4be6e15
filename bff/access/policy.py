"""Decide whether a signed-in person may use a route. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from bff.access.requirements import STEP_UP, unmet
from bff.contract import Identity
from bff.errors import Forbidden
from bff.settings.tables import RouteSettings

NAMED = {
    "roles_any": "one of the roles",
    "roles_all": "all of the roles",
    "groups_any": "one of the groups",
    "groups_all": "all of the groups",
    "scopes_all": "the scopes",
}
"""How a page names each requirement. Requirements on addresses and claims are not shown to people."""
PROVIDER = "provider"


@dataclass(frozen=True, slots=True)
class Allowed:
    """The person may use the route."""


@dataclass(frozen=True, slots=True)
class Denied:
    """The person is signed in but not allowed; `unmet` names the key of `require` that failed."""

    unmet: str

    @property
    def reason(self) -> str:
        """The reason code for the audit log."""
        return f"require.{self.unmet}"

    def as_error(self, route: RouteSettings, identity: Identity) -> Forbidden:
        """Make the refusal. It says who is signed in and what is needed."""
        person = identity.name or identity.email or identity.sub
        needed = getattr(route.require, self.unmet, ())
        if self.unmet in NAMED and needed:
            kind, wanted = NAMED[self.unmet], ", ".join(needed)
            message = f"You are signed in as {person}. This is only for people with {kind} {wanted}."
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
    return StepUp(key) if key in STEP_UP else Denied(key)


def demands_of(route: RouteSettings) -> Demands:
    """Return what a sign-in for `route` must ask of the provider: nothing if the route needs no sign-in.

    Such a route may still name a `provider`: it says whose service token (`client_credentials`) goes upstream.
    """
    if route.auth != "required":
        return Demands()
    return Demands(provider=route.provider, max_age=route.require.max_age_seconds, acr_values=route.require.acr_any)
