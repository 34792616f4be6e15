"""`vestibule doctor`: ask every part that a configuration names, and find faults before a person does."""

from __future__ import annotations

import asyncio
import importlib.util
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import httpx

from bff.errors import AuthError
from bff.fetch.http import call_provider
from bff.forward_proxies import variables_set
from bff.oidc.jwks import KEY_TYPE_OF, VerificationKey
from bff.oidc.metadata import ProviderMetadata
from bff.oidc.strict_json import parse_object
from bff.provider.client import Provider, http_client_for
from bff.settings.public_urls import all_origins, callback_path_of
from bff.settings.rules import Fault
from bff.settings.tables import Algorithm, OutgoingSettings, ProviderSettings, RouteSettings, Settings
from bff.stores import StoreNotSupported, open_store
from bff.stores.redis import RedisStore
from bff.stores.redis_openness import is_open_to_strangers
from bff.stores.redis_url import parse_redis_url
from gateway.cli.doctor.api_probe import has_probe, probe_api
from gateway.logs import one_line
from gateway.processes.managed_apps import Described
from gateway.processes.readiness import fetch_status
from gateway.processes.streamlit import SCHEME

UPSTREAM_SECONDS = 5.0
Level = Literal["ok", "warning", "fault"]
HttpFor = Callable[[ProviderSettings, OutgoingSettings], httpx.AsyncClient]

DISCOVERY_FAULTS = {
    "discovery_endpoint": "its document lacks an endpoint, or names one on a host that is not the issuer's; "
    "add that host to allowed_hosts if it is the provider's",
    "discovery_malformed": "its discovery document is not JSON; check the issuer",
    "jwks_malformed": "its key set has no usable key",
}

SILENCE = {
    "provider_timeout": "does not answer in time; check the network and http_timeout_seconds",
    "provider_proxy": "cannot be reached: {reason}; check proxy_url and what the proxy allows",
    "provider_unreachable": "cannot be reached: {reason}; check issuer, backchannel_url, proxy_url, ca_file and the "
    "network",
    "provider_redirect": "redirects; take the issuer exactly as the provider states it",
}
"""What follows the address that was asked."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check. `part` is the key in the configuration."""

    level: Level
    part: str
    message: str


@dataclass(frozen=True, slots=True)
class Registration:
    """The exact values to enter at a provider, for one origin of this front door."""

    provider: str
    issuer: str
    client_id: str
    redirect_uri: str
    post_logout_redirect_uri: str
    backchannel_logout_uri: str
    initiate_login_uri: str
    frontchannel_logout_uri: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """All findings, in the order of the configuration."""

    registrations: tuple[Registration, ...]
    findings: tuple[Finding, ...]

    def is_healthy(self, *, strict: bool = False) -> bool:
        """True if there is no fault; with `strict`, no warning either."""
        bad = ("fault", "warning") if strict else ("fault",)
        return not any(finding.level in bad for finding in self.findings)

    def as_text(self) -> str:
        """Write what to register, then one line per finding."""
        lines = registration_lines(self.registrations)
        lines += [f"{finding.level:<8} {finding.part}: {finding.message}" for finding in self.findings]
        return "\n".join(lines)

    def as_json(self, *, strict: bool = False) -> dict[str, Any]:
        return {
            "ok": self.is_healthy(strict=strict),
            "register": [asdict(registration) for registration in self.registrations],
            "findings": [asdict(finding) for finding in self.findings],
        }


def registration_lines(registrations: Iterable[Registration]) -> list[str]:
    """Write for a person what to enter at each provider."""
    lines: list[str] = []
    for one in registrations:
        lines.append(f"Register at {one.issuer} ({one.provider}) for client {one.client_id}:")
        lines += [f"  {name:<26}{uri}" for name, uri in asdict(one).items() if name.endswith("_uri") and uri]
    return lines


async def examine(
    settings: Settings,
    *,
    folder: Path = Path(),
    missing: Sequence[Fault] = (),
    warnings: Sequence[Fault] = (),
    pages: Sequence[Described] = (),
    clock: Callable[[], float] = time.time,
    http_for: HttpFor = http_client_for,
    environ: Mapping[str, str] = MappingProxyType({}),
) -> Report:
    """Ask all parts at once. Each answers or has its own time-out. This starts nothing and signs nobody in.

    `missing`: credentials of providers that the settings do not have yet. `warnings`: what was noticed about the
    configuration when it was read. `pages`: how each is kept apart. `environ`: the environment, for variables that
    have no effect here.
    """
    asked: list[Awaitable[list[Finding]]] = [
        _provider(name, provider, settings.outgoing, http_for=http_for, clock=clock)
        for name, provider in settings.providers.items()
    ]
    asked.append(_collected(_store(settings, clock=clock)))
    asked += [_collected(_upstreams(route, folder=folder)) for route in settings.routes]
    asked += [_token_tried(route, settings, clock=clock) for route in settings.routes if has_probe(route)]
    found = await asyncio.gather(*asked)
    lacking = [Finding("fault", one.key, f"{one.message}; {one.fix}") for one in missing]
    noticed = [Finding("warning", one.key, f"{one.message}; {one.fix}") for one in warnings]
    kept_apart = [finding for page in pages for finding in _page(page)]
    findings = [
        *_server(settings),
        *_variables(settings, environ),
        *lacking,
        *noticed,
        *(finding for group in found for finding in group),
        *kept_apart,
    ]
    return Report(tuple(registrations(settings)), tuple(findings))


def registrations(settings: Settings) -> Iterator[Registration]:
    """Yield the URIs to register, for every provider and every origin."""
    for name, provider in settings.providers.items():
        for urls in all_origins(settings.server, callback_path=callback_path_of(settings)).values():
            yield Registration(
                provider=name,
                issuer=provider.issuer,
                client_id=provider.client_id,
                redirect_uri=urls.callback(name),
                post_logout_redirect_uri=urls.post_logout,
                backchannel_logout_uri=urls.backchannel_logout(name),
                initiate_login_uri=urls.initiate(name),
                frontchannel_logout_uri=urls.frontchannel_logout(name) if provider.frontchannel_logout else "",
            )


async def _collected(findings: AsyncIterator[Finding]) -> list[Finding]:
    return [finding async for finding in findings]


def _server(settings: Settings) -> Iterator[Finding]:
    server = settings.server
    for key, name in (("certificate_file", server.tls.certificate_file), ("key_file", server.tls.key_file)):
        if name and not Path(name).is_file():
            yield Finding("fault", f"server.tls.{key}", f"no file {name}")
    if server.public_url.startswith("https://") and not server.tls.key_file and not server.trusted_proxies:
        yield Finding(
            "warning",
            "server.trusted_proxies",
            "public_url is https, this program speaks plain http, and no proxy is trusted: all people will seem to "
            "come from the proxy's address; name its network",
        )
    if not settings.secrets.admin_token.get_secret_value():
        yield Finding("warning", "secrets.admin_token", "not set, so nobody can list or end sessions")
    if not settings.routes:
        yield Finding("warning", "routes", "none: there is nothing behind the sign-in")


def _variables(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Say that proxy variables have no effect: other programs of this machine use them."""
    names = variables_set(environ)
    if not names:
        return
    urls = [settings.outgoing.proxy_url, *(provider.proxy_url for provider in settings.providers.values())]
    is_proxied = any(url.get_secret_value() for url in urls)
    fix = "the proxy of the settings is used" if is_proxied else "set [outgoing] proxy_url if providers need a proxy"
    level: Level = "ok" if is_proxied else "warning"
    yield Finding(level, "outgoing", f"{', '.join(names)} of the environment: ignored; {fix}")


async def _provider(
    name: str,
    settings: ProviderSettings,
    outgoing: OutgoingSettings,
    *,
    http_for: HttpFor,
    clock: Callable[[], float],
) -> list[Finding]:
    part = f"providers.{name}"
    try:
        client = http_for(settings, outgoing)
    except OSError as exc:
        return [Finding("fault", f"{part}.ca_file", f"cannot be read: {exc.strerror or type(exc).__name__}")]
    async with client as http:
        provider = Provider(name, settings, http=http, clock=clock)
        try:
            address = provider.discovery_address
            metadata = await provider.metadata()
            address = provider.reachable(metadata.jwks_uri)
            keys = await provider.refresh_keys()
        except AuthError as exc:
            return [Finding("fault", f"{part}.issuer", await _explain(exc, provider, http=http, address=address))]
    findings = [Finding("ok", part, f"discovery and {_counted(len(keys), 'key')} of {metadata.issuer}")]
    findings += _signature(part, settings.id_token_alg, keys)
    if settings.userinfo_alg and not any(key.fits(settings.userinfo_alg) for key in keys):
        message = f"the provider publishes no key for {settings.userinfo_alg}"
        findings.append(Finding("fault", f"{part}.userinfo_alg", message))
    return findings + list(_endpoints(part, settings, metadata))


def _signature(part: str, pinned: Algorithm, keys: Sequence[VerificationKey]) -> Iterator[Finding]:
    """Compare the pinned algorithm of ID tokens with the keys that the provider publishes."""
    published = [alg for alg in KEY_TYPE_OF if any(key.fits(alg) for key in keys)]
    if pinned in published:
        return
    offers = f"publishes keys for {' and '.join(published)} alone" if published else "publishes no key that fits any"
    fix = f'; if it signs ID tokens with that, set id_token_alg = "{published[0]}" in [{part}]' if published else ""
    yield Finding("fault", f"{part}.id_token_alg", f"pinned is {pinned}, but the provider {offers}{fix}")


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _endpoints(part: str, settings: ProviderSettings, metadata: ProviderMetadata) -> Iterator[Finding]:
    """Yield what the configuration needs and the provider does not offer."""
    if settings.userinfo == "always" and not metadata.userinfo_endpoint:
        yield Finding("fault", f"{part}.userinfo", 'the provider has no userinfo endpoint; set userinfo = "never"')
    if settings.par == "required" and not metadata.pushed_authorization_request_endpoint:
        yield Finding("fault", f"{part}.par", 'the provider takes no pushed requests; set par = "auto"')
    if settings.par == "off" and metadata.requires_par:
        yield Finding("fault", f"{part}.par", 'the provider demands pushed requests; set par = "auto"')
    if not metadata.end_session_endpoint:
        yield Finding("warning", part, "no end-session endpoint: signing out here leaves the provider's session open")


async def _explain(error: AuthError, provider: Provider, *, http: httpx.AsyncClient, address: str) -> str:
    if error.code == "discovery_issuer":
        stated = await _stated_issuer(provider, http=http)
        return f"configured is {provider.issuer}, but the discovery document states {stated}; they must be identical"
    if error.code == "provider_error" and "discovery answered 404" in error.detail:
        return f"{error.detail}: check the issuer, or name the address of its document in discovery_url"
    if error.code in SILENCE:
        return f"{one_line(address)} {SILENCE[error.code].format(reason=one_line(error.detail))}"
    return DISCOVERY_FAULTS.get(error.code, f"{error.code}: {error.detail}" if error.detail else error.code)


async def _stated_issuer(provider: Provider, *, http: httpx.AsyncClient) -> str:
    """Return the issuer that the document states, escaped and short, for a person to read."""
    deadline = provider.settings.http_timeout_seconds
    try:
        answer = await call_provider(http, "GET", provider.discovery_address, deadline=deadline)
        document = parse_object(answer.body, code="discovery_malformed")
    except AuthError:
        return "another"
    return one_line(str(document.get("issuer", "none")))[:200]


async def _store(settings: Settings, *, clock: Callable[[], float]) -> AsyncIterator[Finding]:
    part = "store.url"
    kind = settings.store.url.get_secret_value().partition("://")[0]
    try:
        store = open_store(settings, clock=clock)
    except StoreNotSupported as exc:
        yield Finding("fault", part, str(exc).removeprefix(f"{part}: "))
        return
    try:
        async with asyncio.timeout(settings.store.timeout_seconds):
            await store.ping()
    except (AuthError, OSError) as exc:
        yield Finding("fault", part, f"{_silence_of_store(settings, exc)}; check its address and password")
    else:
        yield Finding("ok", part, f"{kind} answers")
        if isinstance(store, RedisStore):
            async for finding in _redis(store, settings):
                yield finding
        if kind == "memory" and not settings.is_development:
            yield Finding("warning", part, "memory:// forgets every session when this program ends; use Redis")
    finally:
        await store.aclose()


def _silence_of_store(settings: Settings, error: AuthError | OSError) -> str:
    """Name the servers that were asked, and why there was no answer. The URL itself may hold a password."""
    servers = ", ".join(map(str, parse_redis_url(settings.store.url.get_secret_value()).addresses))
    if isinstance(error, TimeoutError):
        return f"{servers} does not answer in time"
    reason = error.detail if isinstance(error, AuthError) and error.detail else type(error).__name__
    return f"{servers} does not answer: {one_line(reason)}"


async def _redis(store: RedisStore, settings: Settings) -> AsyncIterator[Finding]:
    part = "store.url"
    if (policy := await store.eviction_policy()) != "noeviction":
        fix = "set maxmemory-policy noeviction: with any other, Redis may delete sessions and sign-outs"
        yield Finding("fault", part, f"Redis evicts ({policy or 'unknown policy'}); {fix}")
    target = parse_redis_url(settings.store.url.get_secret_value())
    if await is_open_to_strangers(target, prefix=settings.store.prefix, seconds=settings.store.timeout_seconds):
        yield Finding(
            "warning",
            part,
            "Redis serves everybody who reaches it without a password, code of pages on this machine too: they can end "
            "sessions and bring ended ones back; set requirepass, or an ACL user with the user default off, and put it "
            "into store.url_file (docs/redis.md)",
        )


async def _upstreams(route: RouteSettings, *, folder: Path) -> AsyncIterator[Finding]:
    part = f"routes.{route.id}.upstream"
    for target in route.upstream:
        if target.startswith(SCHEME):
            script = folder / route.streamlit.cwd / target.removeprefix(SCHEME)
            found = script.is_file()
            yield Finding("ok" if found else "fault", part, f"{'script' if found else 'no script'} {script}")
        elif target.startswith("asgi:"):
            yield _local_application(part, target)
        else:
            yield await _network(part, target, ca_file=route.ca_file)


async def _token_tried(route: RouteSettings, settings: Settings, *, clock: Callable[[], float]) -> list[Finding]:
    found = await asyncio.to_thread(probe_api, route, settings, clock=clock)
    return [Finding(found.level, f"routes.{route.id}.token", found.message)]


def _page(page: Described) -> Iterator[Finding]:
    part = f"routes.{page.route}.streamlit.sandbox"
    if page.is_missing:
        key, _, words = page.fault.partition(": ")
        if not key.endswith(".upstream"):  # a missing script is reported with the upstreams
            yield Finding("fault", key, words)
        return
    if page.fault:
        yield Finding("fault", part, page.fault)
        return
    yield Finding("ok", part, f"page {page.name}: {page.says}")
    if page.warning:
        yield Finding("warning", part, f"page {page.name}: {page.warning}")


def _local_application(part: str, target: str) -> Finding:
    module = target.removeprefix("asgi:").partition(":")[0]
    try:
        found = importlib.util.find_spec(module) is not None
    except Exception:  # this imports the package around it, which may raise anything
        found = False
    return Finding("ok" if found else "fault", part, f"{'module' if found else 'no module'} {module}")


async def _network(part: str, target: str, *, ca_file: str) -> Finding:
    try:
        status = await fetch_status(target, seconds=UPSTREAM_SECONDS, ca_file=ca_file)
    except OSError as exc:
        reason = "no answer in time" if isinstance(exc, TimeoutError) else exc.strerror or str(exc)
        return Finding("fault", part, f"{target} does not answer: {one_line(reason)}; start it, or correct the address")
    return Finding("ok", part, f"{target} answers ({status})")
