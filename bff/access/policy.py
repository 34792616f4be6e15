"""May this person have this route? Pure (the gateway's words: rule → authenticate → authorize)."""

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
"""How requirements are put to people; addresses and claims of others are not."""
PROVIDER = "provider"


@dataclass(frozen=True, slots=True)
class Allowed:
    """Go on."""


@dataclass(frozen=True, slots=True)
class Denied:
    """Signed in, not allowed; `unmet` names the key of `require` that failed."""

    unmet: str

    @property
    def reason(self) -> str:
        """The reason code for the audit log."""
        return f"require.{self.unmet}"

    def as_error(self, route: RouteSettings, identity: Identity) -> Forbidden:
        """The refusal, saying who is signed in and what would be needed."""
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
    """What the page behind `return_to` asks of a sign-in: a provider, a recent or a stronger authentication."""

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
    """What a sign-in that leads to `route` must ask of the provider; nothing where nobody has to sign in.

    There `provider` may be set all the same: it says whose service token (`client_credentials`) goes upstream.
    """
    if route.auth != "required":
        return Demands()
    return Demands(provider=route.provider, max_age=route.require.max_age_seconds, acr_values=route.require.acr_any)
