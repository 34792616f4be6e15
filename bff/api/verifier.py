"""Check bearer tokens without a web framework. Accept one issuer and one audience; fetch keys when needed.

verifier = TokenVerifier.from_env()
caller = await verifier.verify(token)        # in asynchronous code
caller = verifier.verify_blocking(token)     # in Flask, Django or a script
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Self

import httpx

from bff.api.development_tokens import check_loopback
from bff.api.settings import BearerSettings, read_bearer_settings
from bff.api.tokens import BearerRules, StandardClaims, check_header, validate_bearer, validate_development_bearer
from bff.api.whole_identity import WholeIdentities
from bff.contract import ENV_DEV_SECRET
from bff.errors import InvalidToken, ProviderUnavailable
from bff.fetch.http import Answer, build_http_client, call_provider
from bff.fetch.keys import ProviderKeys
from bff.oidc.jwks import VerificationKey, parse_jwks
from bff.oidc.strict_json import parse_object

JWKS_SECONDS = 5


class TokenVerifier:
    """Checks tokens as `settings` say; `clock` gives Unix seconds. Use one instance from one event loop only.

    `verify_blocking` has an event loop of its own in a thread, so it may be called from any thread.
    """

    def __init__(
        self,
        settings: BearerSettings,
        *,
        http: httpx.AsyncClient | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.settings = settings
        self.rules: BearerRules = settings.rules
        self.clock = clock
        self._http = http
        self._keys = ProviderKeys(self._fetch_keys, clock=clock)
        self._whole = WholeIdentities(settings.asks_at, self._get, roles_claim=settings.roles_claim)
        self._starting = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        if settings.development_secret:
            logging.getLogger(__name__).warning(
                "%s is set: everybody on this machine who knows it is let in", ENV_DEV_SECRET
            )

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Read the variables that `bff.api.settings` lists.

        Raises:
            JWTBearerMisconfigured: naming the variable.
        """
        return cls(read_bearer_settings(environ))

    async def verify(self, token: str, *, scope: Mapping[str, Any] | None = None) -> StandardClaims:
        """Return the claims of `token`. A development token also needs the connection it came by, as an ASGI `scope`.

        Raises:
            InvalidToken: the code names the rule broken.
            ProviderUnavailable: there are no keys to check with.
        """
        now = self.clock()
        if self.settings.development_secret:
            check_loopback(scope)
        if self.settings.secret:
            return validate_development_bearer(token, secret=self.settings.secret, rules=self.rules, now=now)
        check_header(token, self.rules)
        caller = await self._keys.validate(
            token, lambda keys: validate_bearer(token, keys=keys, rules=self.rules, now=now), prefix="bearer"
        )
        self._whole.remember(token, caller)
        return caller

    async def whole(self, caller: StandardClaims) -> StandardClaims:
        """Return `caller` with what did not fit into the token; a call to the front door if something did not.

        Raises:
            IdentityOmitted: it cannot be had; the code is `groups_omitted`, or with another name in front.
        """
        return await self._whole.complete(caller)

    def whole_blocking(self, caller: StandardClaims) -> StandardClaims:
        """Call `whole` and wait for it: for code that is not asynchronous.

        Raises:
            IdentityOmitted: as `whole`.
        """
        return asyncio.run_coroutine_threadsafe(self.whole(caller), self._own_loop()).result()

    def verify_blocking(self, token: str, *, scope: Mapping[str, Any] | None = None) -> StandardClaims:
        """Call `verify` and wait for it: for code that is not asynchronous.

        Raises:
            InvalidToken, ProviderUnavailable: as `verify`.
        """
        return asyncio.run_coroutine_threadsafe(self.verify(token, scope=scope), self._own_loop()).result()

    def _own_loop(self) -> asyncio.AbstractEventLoop:
        with self._starting:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="token-verifier", daemon=True).start()
            return self._loop

    async def _get(self, url: str, headers: Mapping[str, str]) -> Answer:
        if self._http is not None:
            return await call_provider(self._http, "GET", url, deadline=JWKS_SECONDS, headers=headers)
        # This is rare. A new client each time leaves nothing behind that a later event loop (after a reload, or in the
        # next test) could fail on.
        try:
            http = build_http_client(JWKS_SECONDS, ca_file=self.settings.ca_file)
        except OSError as exc:
            raise ProviderUnavailable("provider_unreachable", detail=f"ca_file: {type(exc).__name__}") from exc
        async with http:
            return await call_provider(http, "GET", url, deadline=JWKS_SECONDS, headers=headers)

    async def _fetch_keys(self) -> tuple[VerificationKey, ...]:
        answer = await self._get(self.settings.jwks_url, {})
        if answer.status != 200:
            raise ProviderUnavailable("jwks_malformed", detail=f"status {answer.status}")
        try:
            keys = parse_jwks(parse_object(answer.body, code="jwks_malformed"))
        except InvalidToken as exc:
            raise ProviderUnavailable(exc.code, detail=exc.detail) from exc
        if not keys:
            raise ProviderUnavailable("jwks_malformed", detail="no usable key")
        return keys
