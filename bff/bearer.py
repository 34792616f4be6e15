"""FastAPI dependencies for API authors: verify the bearer token that arrives, ask for roles and scopes.

    bearer = JWTBearer.from_env()
    Caller = Annotated[StandardClaims, Depends(bearer)]

    @app.get("/users/me")
    async def me(caller: Caller) -> ...: ...

    @app.post("/predict", dependencies=[Depends(RequireRoles(bearer, "analyst"))])

Errors follow RFC 6750 section 3.1: 401 `invalid_token`, 403 `insufficient_scope`, 503 while the keys cannot be had.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import httpx
from fastapi import HTTPException, Request
from fastapi.security import HTTPBearer

from bff.bearer_tokens import BearerRules, StandardClaims, validate_bearer, validate_development_bearer
from bff.errors import AuthError, InvalidToken, ProviderUnavailable
from bff.oidc.jwks import VerificationKey, parse_jwks
from bff.oidc.strict_json import parse_object
from bff.provider_http import api_http_client, call_provider
from bff.provider_keys import ProviderKeys

JWKS_SECONDS = 5
MIN_SECRET_BYTES = 32

__all__ = ["JWTBearer", "JWTBearerMisconfigured", "RequireRoles", "RequireScopes", "StandardClaims"]


class JWTBearerMisconfigured(ValueError):
    """A setting of the API is missing or unsafe; the message names the variable."""


class JWTBearer(HTTPBearer):
    """A dependency that returns the `StandardClaims` of a valid bearer token, and Swagger's Authorize button.

    `issuer` and `audience` are compared exactly. Keys come from `jwks_url`, or `hs256_secret` (at least 32 bytes, for
    development) stands in for them; never both. `algorithms` pins what a key may sign with.
    """

    def __init__(
        self,
        issuer: str,
        audience: str,
        *,
        jwks_url: str = "",
        hs256_secret: str = "",
        leeway: float = 10,
        algorithms: tuple[str, ...] = ("ES256", "RS256"),
        roles_claim: str = "roles",
        http: httpx.AsyncClient | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(bearerFormat="JWT", auto_error=False, scheme_name="Bearer")
        if bool(jwks_url) == bool(hs256_secret):
            raise JWTBearerMisconfigured("set exactly one of VESTIBULE_JWT__JWKS_URL and VESTIBULE_JWT__HS256_SECRET")
        if hs256_secret and len(hs256_secret.encode()) < MIN_SECRET_BYTES:
            raise JWTBearerMisconfigured(f"VESTIBULE_JWT__HS256_SECRET is shorter than {MIN_SECRET_BYTES} bytes")
        self._rules = BearerRules(issuer, audience, algorithms, leeway, roles_claim)
        self._secret = hs256_secret
        self._jwks_url = jwks_url
        self._http = http
        self._clock = clock
        self._keys = ProviderKeys(self._fetch_keys, clock=clock)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> JWTBearer:
        """From `VESTIBULE_JWT__ISSUER`, `__AUDIENCE`, `__JWKS_URL` or `__HS256_SECRET`, `__LEEWAY` (seconds).

        Raises:
            JWTBearerMisconfigured: naming the variable.
        """
        for name in ("ISSUER", "AUDIENCE"):
            if not environ.get(f"VESTIBULE_JWT__{name}"):
                raise JWTBearerMisconfigured(f"VESTIBULE_JWT__{name} is not set")
        try:
            leeway = float(environ.get("VESTIBULE_JWT__LEEWAY", "10"))
        except ValueError:
            raise JWTBearerMisconfigured("VESTIBULE_JWT__LEEWAY is not a number of seconds") from None
        return cls(
            environ["VESTIBULE_JWT__ISSUER"],
            environ["VESTIBULE_JWT__AUDIENCE"],
            jwks_url=environ.get("VESTIBULE_JWT__JWKS_URL", ""),
            hs256_secret=environ.get("VESTIBULE_JWT__HS256_SECRET", ""),
            leeway=leeway,
        )

    async def __call__(self, request: Request) -> StandardClaims:  # type: ignore[override]  # claims, not credentials
        """The caller of `request`.

        Raises:
            HTTPException: 400, 401 or 503 with `WWW-Authenticate` (RFC 6750 section 3).
        """
        token = _token_of(request)
        try:
            return await self.verify(token)
        except ProviderUnavailable:
            raise HTTPException(503, "keys to verify tokens cannot be had", headers={"Retry-After": "5"}) from None
        except AuthError as exc:
            raise _refused(401, "invalid_token", exc.code) from None

    async def verify(self, token: str) -> StandardClaims:
        """The claims of `token`.

        Raises:
            InvalidToken: the code names the rule broken.
            ProviderUnavailable: no keys to check with.
        """
        now = self._clock()
        if self._secret:
            return validate_development_bearer(token, secret=self._secret, rules=self._rules, now=now)
        return await self._keys.validate(
            token, lambda keys: validate_bearer(token, keys=keys, rules=self._rules, now=now), prefix="bearer"
        )

    async def _fetch_keys(self) -> tuple[VerificationKey, ...]:
        if self._http is None:
            self._http = api_http_client(JWKS_SECONDS)
        answer = await call_provider(self._http, "GET", self._jwks_url, deadline=JWKS_SECONDS)
        if answer.status != 200:
            raise ProviderUnavailable("jwks_malformed", detail=f"status {answer.status}")
        try:
            return parse_jwks(parse_object(answer.body, code="jwks_malformed"))
        except InvalidToken as exc:
            raise ProviderUnavailable(exc.code, detail=exc.detail) from exc


@dataclass(frozen=True)
class RequireRoles:
    """A dependency: the caller has at least one of `roles`, else 403."""

    bearer: JWTBearer
    roles: tuple[str, ...] = field(default=())

    def __init__(self, bearer: JWTBearer, *roles: str) -> None:
        object.__setattr__(self, "bearer", bearer)
        object.__setattr__(self, "roles", roles)

    async def __call__(self, request: Request) -> StandardClaims:
        caller = await self.bearer(request)
        if not caller.has_role(*self.roles):
            raise _refused(403, "insufficient_scope", "needs one of the roles: " + ", ".join(self.roles))
        return caller


@dataclass(frozen=True)
class RequireScopes:
    """A dependency: the caller's token carries every one of `scopes`, else 403."""

    bearer: JWTBearer
    scopes: tuple[str, ...] = field(default=())

    def __init__(self, bearer: JWTBearer, *scopes: str) -> None:
        object.__setattr__(self, "bearer", bearer)
        object.__setattr__(self, "scopes", scopes)

    async def __call__(self, request: Request) -> StandardClaims:
        caller = await self.bearer(request)
        if not caller.has_scope(*self.scopes):
            raise _refused(403, "insufficient_scope", "needs the scopes: " + " ".join(self.scopes))
        return caller


def _token_of(request: Request) -> str:
    values = request.headers.getlist("authorization")
    if not values:
        raise HTTPException(401, "no bearer token", headers={"WWW-Authenticate": 'Bearer realm="api"'})
    scheme, _, token = values[0].partition(" ")
    if len(values) > 1 or "access_token" in request.query_params:
        raise _refused(400, "invalid_request", "one token, in one place")
    if scheme.lower() != "bearer" or not token or token != token.strip():
        raise _refused(401, "invalid_token", "no bearer token")
    return token


def _refused(status: int, error: str, description: str) -> HTTPException:
    challenge = f'Bearer realm="api", error="{error}", error_description="{description}"'
    return HTTPException(
        status, {"error": error, "error_description": description}, headers={"WWW-Authenticate": challenge}
    )
