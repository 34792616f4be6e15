"""Sign somebody in at an API under test. The API's own checks run; no network is needed."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts
from starlette.routing import Mount

from bff.bearer import JWTBearer, RequireRoles, mint_development_token
from bff.running_test import undo_later

_SECRET = secrets.token_urlsafe(48)
"""The key of this process only: a token made here is not accepted anywhere else."""


def bearer_for(
    app: FastAPI,
    *,
    sub: str = "alice",
    roles: Iterable[str] = (),
    scopes: Iterable[str] = (),
    groups: Iterable[str] = (),
    email: str = "",
    name: str = "",
    claims: Mapping[str, Any] | None = None,
    seconds: float = 300,
    bearer: JWTBearer | None = None,
) -> dict[str, str]:
    """Return headers for a call by `sub`. Every `JWTBearer` of `app` accepts them until the running test ends.

    The token passes through the real checks: issuer, audience, expiry, and roles in the claims where the API looks.
    `claims` replace or add claims. `bearer` chooses one if the API takes tokens of several issuers.

    Raises:
        NotUnderTest: no pytest test is running.
        LookupError: the routes of `app` depend on no `JWTBearer`, or on several with different issuers.
    """
    undo = undo_later()
    found = list(_uses_in(app))
    bearers = {use.bearer: None for use in found if bearer is None or use.bearer is bearer}
    if not bearers:
        raise LookupError("no route of this application depends on that JWTBearer")
    if len({one.rules.issuer for one in bearers}) > 1:
        raise LookupError("this application takes tokens of several issuers: say which with bearer=")
    for use in found:
        if use.bearer in bearers:
            _stand_in(use, undo.callback)
    chosen = next(iter(bearers))
    payload: dict[str, Any] = {}
    for path in dict.fromkeys(path for use in found if use.bearer in bearers for path in use.role_claims):
        _put(payload, path, list(roles))
    token = mint_development_token(
        sub,
        scopes=scopes,
        groups=groups,
        email=email,
        name=name,
        claims={**payload, "aud": list(dict.fromkeys(one.rules.audience for one in bearers)), **(claims or {})},
        seconds=seconds,
        issuer=chosen.rules.issuer,
        secret=_SECRET,
        now=chosen.clock(),
    )
    return {"Authorization": f"Bearer {token}"}


@dataclass(frozen=True, slots=True)
class _Use:
    """A `bearer` that `app` depends on, and the claims in which `app` looks for roles."""

    app: FastAPI
    bearer: JWTBearer
    role_claims: tuple[str, ...]


def _uses_in(app: FastAPI) -> Iterator[_Use]:
    """Find every `JWTBearer` of the routes of `app`, and of applications mounted in it."""
    claims: dict[JWTBearer, dict[str, None]] = {}
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if isinstance(route, Mount) and isinstance(route.app, FastAPI):
            yield from _uses_in(route.app)
        dependant = getattr(context, "dependant", None)
        for call in _calls_of(dependant) if isinstance(dependant, Dependant) else ():
            if isinstance(call, JWTBearer):
                claims.setdefault(call, {})[call.rules.roles_claim] = None
            elif isinstance(call, RequireRoles) and isinstance(call.caller, JWTBearer) and call.claim:
                claims.setdefault(call.caller, {})[call.claim] = None
    for bearer, paths in claims.items():
        yield _Use(app, bearer, tuple(paths))


def _calls_of(dependant: Dependant) -> Iterator[object]:
    for inner in dependant.dependencies:
        yield inner.call
        yield from _calls_of(inner)


def _stand_in(use: _Use, undo_later: Callable[..., Any]) -> None:
    """Let the bearer take the key of this process, through FastAPI's own overrides."""
    overrides, rules = use.app.dependency_overrides, use.bearer.rules
    if use.bearer in overrides:
        return
    overrides[use.bearer] = JWTBearer(
        rules.issuer,
        rules.audience,
        hs256_secret=_SECRET,
        leeway=rules.leeway,
        roles_claim=rules.roles_claim,
        clock=use.bearer.clock,
    )
    undo_later(overrides.pop, use.bearer, None)


def _put(payload: dict[str, Any], path: str, names: list[str]) -> None:
    """Put a value where `bff.oidc.claims.claim_at` finds it."""
    name = path.strip("\"'")
    *parents, last = [name] if "://" in name else name.split(".")
    for parent in parents:
        payload = payload.setdefault(parent, {})
    payload[last] = names
