"""FastAPI dependencies for API authors: verify the bearer token of a request, and require roles and scopes.

    bearer = JWTBearer.from_env()
    Caller = Annotated[StandardClaims, Depends(bearer)]

    @app.get("/users/me")
    async def me(caller: Caller) -> ...: ...

    @app.post("/predict", dependencies=[Depends(RequireRoles(bearer, "analyst"))])

`Security(bearer, scopes=["models:read"])` works as well. Errors follow RFC 6750 section 3.1: 401 `invalid_token`, 403
`insufficient_scope`, 503 while the keys cannot be fetched.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from inspect import Parameter, Signature
from typing import Any, Protocol, TypeVar

import httpx
from fastapi import Depends, HTTPException
from fastapi.security import HTTPBearer, SecurityScopes
from starlette.requests import HTTPConnection

from bff.api.development_tokens import mint_development_token
from bff.api.refusals import describe_refusal, log_refusal
from bff.api.settings import (
    DEFAULT_ALGORITHMS,
    DEFAULT_LEEWAY,
    BearerSettings,
    JWTBearerMisconfigured,
    read_bearer_settings,
)
from bff.api.tokens import BearerRules, StandardClaims
from bff.api.verifier import TokenVerifier
from bff.api.whole_identity import IdentityOmitted
from bff.errors import AuthError, ProviderUnavailable
from bff.oidc.claims import names_at

JWKS_SECONDS = 5
_NOT_QUOTABLE = re.compile(r"[^\x20\x21\x23-\x5b\x5d-\x7e]")  # RFC 6750 section 3: what error_description may not hold

__all__ = [
    "JWTBearer",
    "JWTBearerMisconfigured",
    "RequireGroups",
    "RequireRoles",
    "RequireScopes",
    "StandardClaims",
    "mint_development_token",
]


class JWTBearer(HTTPBearer):
    """A dependency that returns the `StandardClaims` of a valid bearer token, and Swagger's Authorize button.

    `issuer` and `audience` are compared exactly. Keys come from `jwks_url`; `hs256_secret` (32 bytes or more) can
    replace them, or `development_secret`, whose tokens are valid from loopback only. `algorithms` lists what a key may
    sign with (`ES256, RS256, PS256, EdDSA`), `token_types` what `typ` says (`at+jwt, jwt`), `leeway` is seconds. At
    `identity_url` the front door tells what did not fit into a token; the default is `identity` beside `jwks.json`.

    Raises:
        JWTBearerMisconfigured: on construction; names the variable that `from_env` would have read.
    """

    def __init__(
        self,
        issuer: str,
        audience: str,
        *,
        jwks_url: str = "",
        identity_url: str = "",
        hs256_secret: str = "",
        development_secret: str = "",
        leeway: float = DEFAULT_LEEWAY,
        algorithms: tuple[str, ...] = DEFAULT_ALGORITHMS,
        token_types: tuple[str, ...] = ("at+jwt",),
        roles_claim: str = "roles",
        ca_file: str = "",
        http: httpx.AsyncClient | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(bearerFormat="JWT", auto_error=False, scheme_name="Bearer")
        self._verifier = TokenVerifier(
            BearerSettings(
                issuer=issuer,
                audience=audience,
                jwks_url=jwks_url,
                identity_url=identity_url,
                hs256_secret=hs256_secret,
                development_secret=development_secret,
                leeway=leeway,
                algorithms=algorithms,
                token_types=token_types,
                roles_claim=roles_claim,
                ca_file=ca_file,
            ),
            http=http,
            clock=clock,
        )
        self.rules: BearerRules = self._verifier.rules
        self.clock = clock

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> JWTBearer:
        """Read the variables that `bff.api.settings` lists.

        Raises:
            JWTBearerMisconfigured: naming the variable.
        """
        found = read_bearer_settings(environ)
        return cls(
            found.issuer,
            found.audience,
            jwks_url=found.jwks_url,
            identity_url=found.identity_url,
            hs256_secret=found.hs256_secret,
            development_secret=found.development_secret,
            leeway=found.leeway,
            algorithms=found.algorithms,
            token_types=found.token_types,
            roles_claim=found.roles_claim,
            ca_file=found.ca_file,
        )

    async def __call__(  # type: ignore[override]  # returns claims, not credentials
        self,
        request: HTTPConnection,
        security_scopes: SecurityScopes = SecurityScopes(),  # noqa: B008 - holds nothing, so it may be shared
    ) -> StandardClaims:
        """Return the caller of `request`, which may be a WebSocket handshake.

        The token must carry every scope in `Security(…, scopes=[…])`.

        Raises:
            HTTPException: 400, 401, 403 or 503 (RFC 6750 section 3).
        """
        token = _token_of(request)
        try:
            caller = await self.verify(token, connection=request)
        except ProviderUnavailable as exc:
            log_refusal(token, exc, self.rules)
            problem = _problem("temporarily_unavailable", "the keys to verify tokens cannot be fetched")
            raise HTTPException(503, problem, headers={"Retry-After": "5"}) from None
        except AuthError as exc:
            log_refusal(token, exc, self.rules)
            raise _refused(401, "invalid_token", describe_refusal(token, exc, self.rules)) from None
        if security_scopes.scopes and "scope" in caller.omitted:
            caller = await self.whole(caller)
        if not caller.has_scope(*security_scopes.scopes):
            raise _lacks_scopes(security_scopes.scopes)
        return caller

    async def verify(self, token: str, *, connection: HTTPConnection | None = None) -> StandardClaims:
        """Return the claims of `token`. A development token also needs the `connection` that it came by.

        Raises:
            InvalidToken: the code names the rule broken.
            ProviderUnavailable: there are no keys to check with.
        """
        return await self._verifier.verify(token, scope=connection.scope if connection is not None else None)

    async def whole(self, caller: StandardClaims) -> StandardClaims:
        """Return `caller` with what did not fit into the token (`caller.omitted`), as the rules below do by themselves.

        Raises:
            HTTPException: 403 `groups_omitted` if the front door cannot be asked.
        """
        try:
            return await self._verifier.whole(caller)
        except IdentityOmitted as exc:
            raise _omitted(self, exc.code.removesuffix("_omitted")) from None


class HasGroups(Protocol):
    """A caller that `RequireGroups` can check: `StandardClaims`, `ProxiedUser`."""

    def has_group(self, *groups: str) -> bool: ...


class HasRoles(Protocol):
    """A caller that `RequireRoles` can check: `StandardClaims`, `ProxiedUser`."""

    @property
    def claims(self) -> Mapping[str, Any]: ...

    def has_role(self, *roles: str) -> bool: ...


class HasScopes(Protocol):
    """A caller that `RequireScopes` can check: `StandardClaims`, `KeyHolder`."""

    def has_scope(self, *scopes: str) -> bool: ...


Groups = TypeVar("Groups", bound=HasGroups)
Roles = TypeVar("Roles", bound=HasRoles)
Scopes = TypeVar("Scopes", bound=HasScopes)


class RequireRoles:
    """A dependency that answers 403 unless the caller has at least one of `roles`.

    `caller` is the dependency that finds the caller: a `JWTBearer` or a `TrustedProxyUser`. `claim` says where the
    roles are, if not where `caller` looks for them: a path such as `realm_access.roles`, or a claim named by a URL.
    """

    def __init__(self, caller: Callable[..., Awaitable[HasRoles]], *roles: str, claim: str = "") -> None:
        if not roles:
            raise ValueError("RequireRoles needs at least one role")
        self.caller, self.roles, self.claim = caller, roles, claim
        self.__signature__ = _signature_asking(caller)

    async def __call__(self, caller: Roles) -> Roles:
        claim = self.claim or (self.caller.rules.roles_claim if isinstance(self.caller, JWTBearer) else "roles")
        caller = await _knowing(self.caller, caller, claim.strip("\"'"))
        if not self._is_allowed(caller):
            raise _forbidden(self.caller, _needs("role", self.roles))
        return caller

    def _is_allowed(self, caller: HasRoles) -> bool:
        if not self.claim:
            return caller.has_role(*self.roles)
        return not set(self.roles).isdisjoint(names_at(caller.claims, self.claim))


class RequireGroups:
    """A dependency that answers 403 unless the caller is in at least one of `groups`.

    `caller` is a `JWTBearer` or a `TrustedProxyUser`. A person may have more groups than fit into a token. Then the
    front door is asked for them, and if it cannot be asked, the answer is 403 `groups_omitted`.
    """

    def __init__(self, caller: Callable[..., Awaitable[HasGroups]], *groups: str) -> None:
        if not groups:
            raise ValueError("RequireGroups needs at least one group")
        self.caller, self.groups = caller, groups
        self.__signature__ = _signature_asking(caller)

    async def __call__(self, caller: Groups) -> Groups:
        caller = await _knowing(self.caller, caller, "groups")
        if not caller.has_group(*self.groups):
            raise _forbidden(self.caller, _needs("group", self.groups))
        return caller


class RequireScopes:
    """A dependency that answers 403 unless the caller has all `scopes`. `caller` is a `JWTBearer` or an `APIKey`."""

    def __init__(self, caller: Callable[..., Awaitable[HasScopes]], *scopes: str) -> None:
        if not scopes:
            raise ValueError("RequireScopes needs at least one scope")
        self.caller, self.scopes = caller, scopes
        self.__signature__ = _signature_asking(caller)

    async def __call__(self, caller: Scopes) -> Scopes:
        caller = await _knowing(self.caller, caller, "scope")
        if not caller.has_scope(*self.scopes):
            if isinstance(self.caller, JWTBearer):
                raise _lacks_scopes(self.scopes)
            raise _forbidden(
                self.caller, f"needs the scope{'s' if len(self.scopes) > 1 else ''}: {' '.join(self.scopes)}"
            )
        return caller


Someone = TypeVar("Someone")


async def _knowing(source: Callable[..., Awaitable[object]], caller: Someone, claim: str) -> Someone:
    """Return `caller` with `claim` (a name or a path), which the token may have left out.

    Raises:
        HTTPException: 403 `<claim>_omitted`, the rule cannot be decided.
    """
    omitted = getattr(caller, "omitted", ())
    if claim not in omitted and claim.partition(".")[0] not in omitted:
        return caller
    if isinstance(source, JWTBearer) and isinstance(caller, StandardClaims):
        return await source.whole(caller)  # type: ignore[return-value]  # the same type: StandardClaims
    raise _omitted(source, claim.partition(".")[0])


def _omitted(source: object, name: str) -> HTTPException:
    return _forbidden(source, f"{name}_omitted: the front door left out {name}, and they could not be asked for")


def _signature_asking(caller: Callable[..., Awaitable[object]]) -> Signature:
    """Make a signature through which FastAPI calls `caller` first, shows it in OpenAPI and can override it."""
    return Signature([Parameter("caller", Parameter.POSITIONAL_OR_KEYWORD, default=Depends(caller))])


def _token_of(request: HTTPConnection) -> str:
    values = request.headers.getlist("authorization")
    if not values:
        problem = _problem("missing_token", "no bearer token")
        raise HTTPException(401, problem, headers={"WWW-Authenticate": 'Bearer realm="api"'})
    scheme, _, token = values[0].partition(" ")
    if len(values) > 1 or "access_token" in request.query_params:
        raise _refused(400, "invalid_request", "send one token, in one place")
    if scheme.lower() != "bearer" or not token or token != token.strip():
        raise _refused(401, "invalid_token", "no bearer token")
    return token


def _lacks_scopes(scopes: list[str] | tuple[str, ...]) -> HTTPException:
    wanted = _quotable(" ".join(scopes))
    return _refused(
        403,
        "insufficient_scope",
        f"needs the scope{'s' if len(scopes) > 1 else ''}: {wanted}",
        parameters=f', scope="{wanted}"',
    )


def _needs(noun: str, names: tuple[str, ...]) -> str:
    return f"needs the {noun}: {names[0]}" if len(names) == 1 else f"needs one of the {noun}s: {', '.join(names)}"


def _forbidden(caller: object, description: str) -> HTTPException:
    if isinstance(caller, JWTBearer):
        return _refused(403, "insufficient_scope", description)
    return HTTPException(403, _problem("insufficient_scope", description))


def _refused(status: int, error: str, description: str, *, parameters: str = "") -> HTTPException:
    challenge = f'Bearer realm="api", error="{error}", error_description="{_quotable(description)}"{parameters}'
    return HTTPException(status, _problem(error, description), headers={"WWW-Authenticate": challenge})


def _problem(error: str, description: str) -> dict[str, str]:
    return {"error": error, "error_description": description}


def _quotable(text: str) -> str:
    return _NOT_QUOTABLE.sub("?", text)
