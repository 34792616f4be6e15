"""The client of one identity provider: its metadata and keys, and calls to its endpoints."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx

from bff.errors import InvalidToken, ProviderUnavailable
from bff.fetch.http import Answer, build_http_client, call_provider
from bff.fetch.keys import ProviderKeys
from bff.forward_proxies import ProxyRule
from bff.oidc.client_auth import ClientCredentials, authenticate_form
from bff.oidc.id_token import IdTokenExpectation, validate_id_token
from bff.oidc.jwks import VerificationKey, parse_jwks
from bff.oidc.members import present
from bff.oidc.metadata import ProviderMetadata, discovery_url, parse_metadata
from bff.oidc.strict_json import parse_object
from bff.oidc.tokens import TokenAnswer, TokenResponse, build_revocation, parse_error_code, parse_token_answer
from bff.oidc.userinfo import parse_userinfo
from bff.settings.tables import OutgoingSettings, ProviderSettings

METADATA_FRESH_SECONDS = 3600
METADATA_KEEP_SECONDS = 86_400
METADATA_RETRY_SECONDS = 5
REVOCATION_SECONDS = 2
SILENT = frozenset({"provider_timeout", "provider_unreachable", "provider_proxy"})
HEARD_SECONDS = 10
"""Seconds after an answer during which a provider counts as reachable."""
HEARING_SECONDS = 5
SILENCE_SECONDS = 1
"""Seconds (up to twice as many) before a silent provider is called again: sign-ins must not flood it."""
PUSHES_AT_ONCE = 20
"""The number of pushed requests at one time. Sign-ins that start must leave connections for callbacks and refreshes."""

_DIRECT = OutgoingSettings()

__all__ = ["Provider", "http_client_for"]


def http_client_for(settings: ProviderSettings, outgoing: OutgoingSettings = _DIRECT) -> httpx.AsyncClient:
    """Make the client for one provider: its CA file or the system's, its proxy or that of `outgoing`, its time-out."""
    own = settings.proxy_url.get_secret_value() or outgoing.proxy_url.get_secret_value()
    proxy = ProxyRule(own, outgoing.no_proxy)
    return build_http_client(settings.http_timeout_seconds, ca_file=settings.ca_file, proxy=proxy)


class Provider:
    """The provider configured as `[providers.<name>]`. Nothing is fetched before it is needed."""

    def __init__(
        self,
        name: str,
        settings: ProviderSettings,
        *,
        http: httpx.AsyncClient,
        clock: Callable[[], float],
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.name = name
        self.settings = settings
        self.keys = ProviderKeys(self._fetch_keys, clock=clock)
        self._http = http
        self._clock = clock
        self._random = random
        self._metadata: ProviderMetadata | None = None
        self._metadata_at = 0.0
        self._metadata_flight: asyncio.Task[ProviderMetadata] | None = None
        self._metadata_retry_at = 0.0
        self._heard_at: float | None = None
        self._silence: ProviderUnavailable | None = None
        self._silent_until = 0.0
        self._pushes = asyncio.Semaphore(PUSHES_AT_ONCE)

    @property
    def issuer(self) -> str:
        return self.settings.issuer

    @property
    def discovery_url(self) -> str:
        """The address of the metadata document, as browsers would see it."""
        return self.settings.discovery_url or discovery_url(self.issuer)

    @property
    def discovery_address(self) -> str:
        """The address at which this server fetches that document."""
        return self.reachable(self.discovery_url)

    @property
    def is_known(self) -> bool:
        """True once its metadata has been fetched."""
        return self._metadata is not None

    @property
    def is_silent(self) -> bool:
        """True if its last call got no answer."""
        return self._silence is not None

    async def metadata(self) -> ProviderMetadata:
        """Return the metadata, at most an hour old, or a day while the provider is down. Callers share a fetch.

        Raises:
            ProviderUnavailable: it cannot be fetched or is not acceptable: transport codes, `discovery_issuer`,
                `discovery_endpoint`, `discovery_malformed`.
        """
        now, known = self._clock(), self._metadata
        if known is not None and (now - self._metadata_at < METADATA_FRESH_SECONDS or now < self._metadata_retry_at):
            return known
        try:
            return await self._refetched_metadata()
        except ProviderUnavailable:
            if known is None or now - self._metadata_at > METADATA_KEEP_SECONDS:
                raise
            self._metadata_retry_at = now + METADATA_RETRY_SECONDS
            return known

    async def answering_metadata(self, *, seconds: float = HEARING_SECONDS) -> ProviderMetadata:
        """Return the metadata if the provider answers, so that a browser may be sent there.

        It must have answered within the last 10 s, or answer within `seconds` now.

        Raises:
            ProviderUnavailable: it does not answer, even if its metadata is known.
        """
        now = self._clock()
        if self._silence is not None and now < self._silent_until:
            raise ProviderUnavailable(self._silence.code, detail=self._silence.detail)
        if self._heard_at is None or now - self._heard_at >= HEARD_SECONDS:
            try:
                async with asyncio.timeout(seconds):
                    return await self._refetched_metadata()
            except (
                TimeoutError
            ):  # only this caller stops waiting; the call goes on and sees whether the provider answers
                raise ProviderUnavailable("provider_timeout", detail="no answer in time") from None
            except ProviderUnavailable as exc:
                if self._silence is not None:  # an answer that is not acceptable is reported by `metadata`
                    raise self._is_not_heard(exc) from None
        return await self.metadata()

    def _is_not_heard(self, failure: ProviderUnavailable) -> ProviderUnavailable:
        self._silence, self._heard_at = failure, None
        jitter = self._random(1)[0] / 255
        self._silent_until = self._clock() + SILENCE_SECONDS * (1 + jitter)
        return failure

    async def _refetched_metadata(self) -> ProviderMetadata:
        """Fetch now; parallel callers share one fetch."""
        flight = self._metadata_flight
        if flight is None or flight.done():
            flight = self._metadata_flight = asyncio.create_task(self._fetch_metadata())
            flight.add_done_callback(_mark_retrieved)
        return await asyncio.shield(flight)

    async def refresh_keys(self) -> tuple[VerificationKey, ...]:
        """Fetch the JWK Set now."""
        return await self.keys.refresh()

    async def validate_id_token(self, token: str, expected: IdTokenExpectation) -> dict[str, Any]:
        """Return the claims of an ID token of this provider; fetch the key set again for an unknown key."""
        return await self.keys.validate(
            token,
            lambda keys: validate_id_token(token, keys=keys, expected=expected),
            prefix="id_token",
            from_provider=True,
        )

    async def request_token(self, form: dict[str, str]) -> TokenAnswer:
        """Call the token endpoint once; never repeat the call.

        Raises:
            ProviderUnavailable, InvalidToken: as `call_provider` and `parse_token_answer` do.
        """
        endpoint = (await self.metadata()).token_endpoint
        asked_at = self._clock()
        answer = await self._post(endpoint, form)
        parsed = parse_token_answer(answer.status, answer.body)
        return replace(parsed, asked_at=asked_at) if isinstance(parsed, TokenResponse) else parsed

    async def fetch_userinfo(self, access_token: str, *, sub: str) -> dict[str, Any]:
        """Fetch the userinfo of the person `sub`; {} if the provider has no such endpoint.

        Raises:
            ProviderUnavailable, InvalidToken: `userinfo_refused`, or as `parse_userinfo` does.
        """
        endpoint = (await self.metadata()).userinfo_endpoint
        if not endpoint:
            return {}
        answer = await self._call("GET", endpoint, headers={"Authorization": f"Bearer {access_token}"})
        if answer.status != 200:
            raise InvalidToken("userinfo_refused", detail=f"status {answer.status}")
        return await self.keys.validate(
            answer.body.decode("ascii", errors="replace").strip(),
            lambda keys: parse_userinfo(
                answer.body,
                content_type=answer.content_type,
                keys=keys,
                alg=self.settings.userinfo_alg or self.settings.id_token_alg,
                issuer=self.issuer,
                client_id=self.settings.client_id,
                trusted_audiences=self.settings.trusted_audiences,
                sub=sub,
            ),
            prefix="userinfo",
            from_provider=True,
        )

    async def post_json(self, endpoint: str, message: Mapping[str, Any], *, access_token: str) -> Answer:
        """Post `message` with the person's own token to a server beside the provider, such as Microsoft Graph.

        Whether that server answers says nothing about the provider.

        Raises:
            ProviderUnavailable: it does not answer.
        """
        headers = {"Authorization": f"Bearer {access_token}"}
        return await self._ask("POST", endpoint, json=message, headers=headers)

    async def push_authorization(self, parameters: dict[str, str]) -> str:
        """Push an authorization request and return its `request_uri` (RFC 9126 section 2).

        Raises:
            ProviderUnavailable: `par_refused`, `par_malformed` and transport codes. The request is never sent through
                the browser instead.
        """
        endpoint = (await self.metadata()).pushed_authorization_request_endpoint
        if not endpoint:
            raise ProviderUnavailable("par_refused", detail="the provider has no PAR endpoint")
        answer = await self._pushed(endpoint, parameters)
        if answer.status not in (200, 201):
            error = parse_error_code(answer.body)
            raise ProviderUnavailable("par_refused", detail=error or f"status {answer.status}")
        try:
            request_uri = present(parse_object(answer.body, code="par_malformed")).get("request_uri")
        except InvalidToken as exc:
            raise ProviderUnavailable(exc.code, detail=exc.detail) from exc
        if not isinstance(request_uri, str) or not 0 < len(request_uri) <= 2048 or not request_uri.isprintable():
            raise ProviderUnavailable("par_refused", detail="no request_uri")
        return request_uri

    async def _pushed(self, endpoint: str, parameters: dict[str, str]) -> Answer:
        try:
            async with asyncio.timeout(self.settings.http_timeout_seconds):
                await self._pushes.acquire()
        except TimeoutError:
            raise ProviderUnavailable("provider_timeout", detail="too many pushed requests at the same time") from None
        try:
            return await self._post(endpoint, parameters)
        finally:
            self._pushes.release()

    async def revoke(self, refresh_token: str) -> bool:
        """Revoke a refresh token (RFC 7009) within 2 s; return False if that fails, never raise."""
        try:
            async with asyncio.timeout(REVOCATION_SECONDS):
                endpoint = (await self.metadata()).revocation_endpoint
                if not endpoint:
                    return False
                return (await self._post(endpoint, build_revocation(refresh_token))).status == 200
        except (ProviderUnavailable, TimeoutError):
            return False

    async def aclose(self) -> None:
        await self._http.aclose()

    @property
    def credentials(self) -> ClientCredentials:
        settings = self.settings
        return ClientCredentials(
            client_id=settings.client_id,
            method=settings.client_auth,
            issuer=settings.issuer,
            secret=settings.client_secret.get_secret_value(),
            private_key_pem=settings.client_key.get_secret_value(),
            key_id=settings.client_key_id,
            key_alg=settings.client_key_alg,
        )

    async def _post(self, endpoint: str, form: dict[str, str]) -> Answer:
        authenticated = authenticate_form(form, self.credentials, now=self._clock(), random=self._random)
        return await self._call("POST", endpoint, form=authenticated.form, headers=authenticated.headers)

    async def _call(
        self,
        method: str,
        endpoint: str,
        *,
        form: dict[str, str] | None = None,
        json: Mapping[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Call the provider, and note whether it answers."""
        try:
            answer = await self._ask(method, endpoint, form=form, json=json, headers=headers)
        except ProviderUnavailable as exc:
            if exc.code in SILENT or endpoint == self.discovery_url:
                self._silence, self._heard_at = exc, None
            raise
        self._silence, self._heard_at = None, self._clock()
        return answer

    async def _ask(
        self,
        method: str,
        endpoint: str,
        *,
        form: dict[str, str] | None = None,
        json: Mapping[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        seconds = self.settings.http_timeout_seconds
        url = self.reachable(endpoint)
        return await call_provider(self._http, method, url, deadline=seconds, form=form, json=json, headers=headers)

    def reachable(self, endpoint: str) -> str:
        """Replace the issuer's host in `endpoint` with `backchannel_url` (split horizon)."""
        if not self.settings.backchannel_url:
            return endpoint
        url, issuer, inside = (urlsplit(text) for text in (endpoint, self.issuer, self.settings.backchannel_url))
        if url.netloc.lower() != issuer.netloc.lower():
            return endpoint
        return urlunsplit(url._replace(scheme=inside.scheme, netloc=inside.netloc))

    async def _fetch_metadata(self) -> ProviderMetadata:
        answer = await self._call("GET", self.discovery_url)
        if answer.status != 200:
            detail = f"discovery answered {answer.status} at {self.discovery_url}"
            raise ProviderUnavailable("provider_error", detail=detail)
        hosts = {host.lower() for host in self.settings.allowed_hosts}
        hosts |= {urlsplit(url).netloc.lower() for url in (self.settings.backchannel_url, self.discovery_url) if url}
        try:
            document = parse_object(answer.body, code="discovery_malformed")
            metadata = parse_metadata(document, issuer=self.issuer, allowed_hosts=frozenset(hosts))
        except InvalidToken as exc:
            raise ProviderUnavailable(exc.code, detail=exc.detail) from exc
        self._metadata, self._metadata_at = metadata, self._clock()
        return metadata

    async def _fetch_keys(self) -> tuple[VerificationKey, ...]:
        answer = await self._call("GET", (await self.metadata()).jwks_uri)
        if answer.status != 200:
            raise ProviderUnavailable("provider_error", detail=f"JWKS answered {answer.status}")
        try:
            keys = parse_jwks(parse_object(answer.body, code="jwks_malformed"))
        except InvalidToken as exc:
            raise ProviderUnavailable("jwks_malformed", detail=exc.detail) from exc
        if not keys:
            raise ProviderUnavailable("jwks_malformed", detail="no usable key")
        return keys


def _mark_retrieved(flight: asyncio.Task[ProviderMetadata]) -> None:
    """Mark the result as read. If all waiting callers are gone, nobody else would read a failure."""
    if not flight.cancelled():
        flight.exception()
