"""Explain what a route requires of a signed-in caller: each key of `require`, and what the caller has."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from bff.access.policy import Denied, StepUp, decide
from bff.access.requirements import unmet
from bff.contract import Identity
from bff.oidc.claims import claim_at
from bff.oidc.verified_email import claims_to_go_by
from bff.settings.tables import Requirements, RouteSettings
from gateway.access.session_cache import LiveSession
from gateway.cli.routes.steps import Step


def requirement_steps(route: RouteSettings, live: LiveSession, *, now: float) -> Iterator[Step]:
    """Yield one step for each key of `require` and for `provider`, each judged by itself with the front door's rule."""
    identity = live.identity
    if route.auth == "required" and route.provider:
        holds = route.provider == identity.provider
        yield Step("provider", f'"{route.provider}"; signed in at {identity.provider}', holds=holds)
    given = route.require.model_dump(exclude_defaults=True)
    for key in given:
        alone = Requirements(**{key: given[key]})
        holds = not unmet(alone, identity, scopes=live.scopes, now=now)
        yield Step(
            "require", f"{key} = {written(given[key])}; {_what_is_there(key, route, live, now=now)}", holds=holds
        )
    if not given and not route.provider:
        yield Step("require", "nothing more", holds=True)
    yield from _outcome(route, live, now=now)


def _outcome(route: RouteSettings, live: LiveSession, *, now: float) -> Iterator[Step]:
    match decide(route, live.identity, scopes=live.scopes, now=now):
        case StepUp(key):
            how = f"at {route.provider}" if key == "provider" else "once more"
            yield Step("", f"{key}: signing in {how} would do")
        case Denied(key, unknown="groups_unreachable"):
            yield Step("", f"{key}: Microsoft Graph, which knows the groups, did not answer at the sign-in")
        case Denied(key, unknown="groups_unknown"):
            yield Step("", f"{key}: the provider says that there are more groups, but not which")
        case _:
            return


def _what_is_there(key: str, route: RouteSettings, live: LiveSession, *, now: float) -> str:
    identity = live.identity
    kind = key.partition("_")[0]
    match kind:
        case "roles":
            return f"has the roles {written(identity.roles)}"
        case "groups":
            return f"is in the groups {written(identity.groups)}"
        case "scopes":
            return f"has the scopes {written(sorted(live.scopes))}"
        case "emails" | "email":
            return _address(identity)
        case "claims":
            claims = claims_to_go_by(identity)
            return "has " + ", ".join(f"{path} = {written(claim_at(claims, path))}" for path in route.require.claims)
        case "acr":
            return f"has acr {identity.acr!r}"
        case _:
            return f"signed in {_ago(identity, now=now)}"


def _address(identity: Identity) -> str:
    if not identity.email:
        return "has no address"
    return f"has {identity.email}" + ("" if identity.email_verified else ", which nobody has verified")


def _ago(identity: Identity, *, now: float) -> str:
    return f"{max(0, int(now - identity.auth_time))} seconds ago" if identity.auth_time else "at an unknown time"


def written(value: Any) -> str:
    """Write a value as the configuration does."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(name)} = {written(one)}" for name, one in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(written(one) for one in value) + "]"
    return json.dumps(value)
