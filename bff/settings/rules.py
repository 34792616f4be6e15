"""Rules for settings of the right form: find what is unsafe or contradictory. Nothing starts with a fault."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import SplitResult

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import SecretStr

from bff.contract import OAUTH2_CALLBACK, OAUTH2_PATH
from bff.forward_proxies import is_no_proxy_entry, is_proxy_url
from bff.oidc.authorization import OWN_PARAMETERS
from bff.oidc.urls import http_url, is_loopback, names_default_port
from bff.settings.header_names import assertion_header_faults, claim_header_faults
from bff.settings.open_routes import open_route_faults
from bff.settings.path_cases import ONE_CASE_FIX, paths_that_differ_in_case
from bff.settings.public_urls import PublicUrls
from bff.settings.tables import ProviderSettings, RouteSettings, Settings, StreamlitChild

MIN_KEY_BYTES = 32
MIN_SECRET_BYTES = 16
PLACEHOLDERS = ("changeme", "change-me", "secret", "password", "default", "example")
KEY_TYPE_OF = {
    "RS256": RSAPrivateKey,
    "PS256": RSAPrivateKey,
    "ES256": EllipticCurvePrivateKey,
    "EdDSA": Ed25519PrivateKey,
}
HEADER_SECRET = re.compile(r"[A-Za-z0-9+/=_.~-]+")
ROUTE_NUMBER = re.compile(r"routes\[(\d+)\]")
UPSTREAM_SCHEMES = ("http://", "https://", "unix:", "streamlit:", "asgi:")


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of the configuration: where, which key, what is wrong, how to fix it."""

    file: str
    key: str
    message: str
    fix: str
    route: str = ""
    """Id of the route with the number in the key."""

    def __str__(self) -> str:
        where = f"{self.file}: {self.key}" if self.key else self.file
        where += f" (route {self.route})" if self.route else ""
        return f"{where}: {self.message}; {self.fix}"


def find_faults(settings: Settings, *, source: str) -> Iterator[Fault]:
    for check in (
        _server,
        _secrets,
        _store,
        _session,
        _providers,
        _outgoing,
        _roles_and_kit,
        _routes,
        _forward_auth,
        _compat,
    ):
        for key, message, fix in check(settings):
            number = ROUTE_NUMBER.match(key)
            yield Fault(source, key, message, fix, settings.routes[int(number[1])].id if number else "")


RuleFault = tuple[str, str, str]


def _server(settings: Settings) -> Iterator[RuleFault]:
    server = settings.server
    for key, text in (("server.public_url", server.public_url), *(("server.origins", text) for text in server.origins)):
        yield from _public_url(key, text, development=settings.is_development)
    urls = _public_urls(settings)
    if len({url.hostname for url in urls}) != len(urls):
        yield "server.origins", "two origins share one host", "give each its own: a cookie counts for every port of one"
    if len({url.scheme for url in urls}) > 1:
        yield "server.origins", "some are http and some https", "use one scheme: the cookies' names depend on it"
    if any(url.path not in ("", "/") for url in urls[1:]):
        yield "server.origins", "holds a path", "name only scheme and host; the path is that of public_url"
    for network in server.trusted_proxies:
        if network.prefixlen == 0:
            yield "server.trusted_proxies", "trusts every address", "name the networks of your proxies"
    if server.trusted_host_header and not server.trusted_proxies:
        yield "server.trusted_host_header", "no proxy is trusted", "name your proxies in server.trusted_proxies"
    for key, bind in (("server.bind", server.bind), ("server.management_bind", server.management_bind)):
        if not _is_bind(bind):
            yield key, "is not host:port", 'write it as "127.0.0.1:8000"'
    secret = server.trusted_proxy_secret.get_secret_value()
    yield from _header_secret("server.trusted_proxy_secret", secret)
    if secret and not server.trusted_proxies:
        yield (
            "server.trusted_proxy_secret",
            "no proxy can show it",
            "name the networks of your proxies: trusted_proxies",
        )
    if bool(server.tls.certificate_file) != bool(server.tls.key_file):
        yield "server.tls", "certificate and key go together", "set both certificate_file and key_file"


def _public_urls(settings: Settings) -> list[SplitResult]:
    """Return those of `public_url` and `origins` that are URLs."""
    texts = (settings.server.public_url, *settings.server.origins)
    return [url for text in texts if (url := http_url(text)) is not None]


def _public_url(key: str, text: str, *, development: bool) -> Iterator[RuleFault]:
    url = http_url(text)
    if url is None:
        yield key, "is not an absolute http(s) URL", 'write it as "https://apps.example.com"'
    elif "*" in text:
        yield key, "holds a wildcard", "name each origin exactly"
    elif names_default_port(url):
        yield key, "names the default port", "leave the port out, as browsers do"
    elif url.scheme == "http" and not (development and is_loopback(url)):
        yield key, "is plain http", 'use https; plain http needs a loopback host and environment = "development"'


def _header_secret(key: str, secret: str) -> Iterator[RuleFault]:
    """Check secrets that are sent in a header: long, random, and of characters that no server changes."""
    if secret and (len(secret) < MIN_SECRET_BYTES or not HEADER_SECRET.fullmatch(secret) or not _looks_random(secret)):
        message = (
            f"shorter than {MIN_SECRET_BYTES} characters, not random, or not of letters, digits and + / = _ . ~ - alone"
        )
        yield key, message, "make it with `vestibule keys new FILE`"


def _is_bind(text: str) -> bool:
    host, _, port = text.rpartition(":")
    return bool(host) and port.isdecimal() and int(port) < 65536


def _secrets(settings: Settings) -> Iterator[RuleFault]:
    keys = [key.get_secret_value() for key in settings.secrets.keys]
    if not keys:
        yield "secrets.keys", "no key", "run `vestibule keys new FILE` and set secrets.keys_file"
    for number, key in enumerate(keys):
        if len(key.encode()) < MIN_KEY_BYTES or not _looks_random(key):
            yield (
                f"secrets.keys[{number}]",
                f"shorter than {MIN_KEY_BYTES} bytes or not random",
                "run `vestibule keys new`",
            )
    if len(set(keys)) != len(keys):
        yield "secrets.keys", "the same key twice", "remove one"
    admin = settings.secrets.admin_token.get_secret_value()
    if admin and len(admin) < MIN_SECRET_BYTES:
        yield "secrets.admin_token", f"shorter than {MIN_SECRET_BYTES} bytes", "make a longer one"


def _looks_random(key: str) -> bool:
    """False for few different characters, for one repeated piece, and for words such as "changeme"."""
    repeats = any(key[length:] == key[:-length] for length in range(1, len(key) // 2 + 1))
    return len(set(key)) >= 8 and not repeats and not any(word in key.lower() for word in ("changeme", "change-me"))


def _store(settings: Settings) -> Iterator[RuleFault]:
    url = settings.store.url.get_secret_value()
    if not url.startswith(("memory://", "redis://", "rediss://", "redis+sentinel://", "redis+cluster://")):
        yield (
            "store.url",
            "unknown kind of store",
            "use memory://, redis://, rediss://, redis+sentinel:// or redis+cluster://",
        )
    if settings.server.workers > 1:
        if url.startswith("memory://"):
            yield "server.workers", "several workers cannot share memory://", "use Redis or workers = 1"
        if any(target.startswith("asgi:") for route in settings.routes for target in route.upstream):
            yield "server.workers", "an asgi: upstream lives in one process", "use workers = 1 or a separate server"


def _session(settings: Settings) -> Iterator[RuleFault]:
    session = settings.session
    if session.idle_seconds > session.absolute_seconds:
        yield "session.idle_seconds", "longer than absolute_seconds", "make it shorter"
    least = 1 if settings.is_development else 60
    for name in ("idle_seconds", "absolute_seconds"):
        if getattr(session, name) < least:
            yield f"session.{name}", f"under {least} s", f"use at least {least}"


def _providers(settings: Settings) -> Iterator[RuleFault]:
    if not settings.providers:
        yield "providers", "no identity provider", "add a table [providers.NAME] with issuer and client_id"
    for name, provider in settings.providers.items():
        for key, message, fix in _provider(provider, development=settings.is_development):
            yield f"providers.{name}.{key}", message, fix


def _provider(provider: ProviderSettings, *, development: bool) -> Iterator[RuleFault]:
    for key, text in (("issuer", provider.issuer), ("backchannel_url", provider.backchannel_url)):
        if text or key == "issuer":
            fix = "copy the issuer as the provider states it"
            yield from _provider_url(key, http_url(text), development=development, fix=fix)
    if provider.discovery_url:
        url, fix = http_url(provider.discovery_url, may_have_query=True), "copy the address of the discovery document"
        yield from _provider_url("discovery_url", url, development=development, fix=fix)
    yield from _audiences(provider)
    for name in sorted(OWN_PARAMETERS & provider.authorization_parameters.keys()):
        yield f"authorization_parameters.{name}", "is set by the protocol itself", "remove it; other keys decide it"
    yield from _proxy_url(provider.proxy_url)
    secret = provider.client_secret.get_secret_value()
    if provider.client_auth.startswith("client_secret") and not secret:
        yield "client_secret", "missing", "set client_secret_file, or client_auth to what the provider expects"
    if secret and not development and (len(secret) < 8 or secret.lower() in PLACEHOLDERS):
        yield "client_secret", "is a placeholder or too short", "use the secret the provider issued"
    if provider.client_auth == "private_key_jwt":
        yield from _client_key(provider)


def _outgoing(settings: Settings) -> Iterator[RuleFault]:
    for key, message, fix in _proxy_url(settings.outgoing.proxy_url):
        yield f"outgoing.{key}", message, fix
    for entry in settings.outgoing.no_proxy:
        if not is_no_proxy_entry(entry):
            fix = "write hosts (idp.example.com), domains (.example.com), addresses or networks (10.0.0.0/8)"
            yield "outgoing.no_proxy", f"holds {entry!r}, which is no host", fix


def _proxy_url(proxy_url: SecretStr) -> Iterator[RuleFault]:
    text = proxy_url.get_secret_value()
    if text and not is_proxy_url(text):  # it may hold a password, so it is not repeated
        yield (
            "proxy_url",
            "is not the address of a proxy",
            "write http://host:port or https://host:port, and nothing after it",
        )


def _provider_url(key: str, url: SplitResult | None, *, development: bool, fix: str) -> Iterator[RuleFault]:
    if url is None:
        yield key, "is not an absolute https URL", fix
    elif url.scheme == "http" and not (development and is_loopback(url)):
        yield key, "is plain http", 'use https; plain http needs a loopback host and environment = "development"'


def _audiences(provider: ProviderSettings) -> Iterator[RuleFault]:
    """Refuse a wildcard beside other characters: audiences are compared as a whole, so it would match nothing."""
    for audience in provider.trusted_audiences:
        if not audience or ("*" in audience and audience != "*"):
            yield "trusted_audiences", f"holds {audience!r}", 'write each audience in full, or "*" for any'


def _client_key(provider: ProviderSettings) -> Iterator[RuleFault]:
    pem = provider.client_key.get_secret_value()
    if not pem:
        yield "client_key", "missing", "set client_key_file to the PEM private key"
        return
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        yield "client_key", "is not a PEM private key, or is encrypted", "write it as unencrypted PKCS #8"
        return
    if not isinstance(key, KEY_TYPE_OF[provider.client_key_alg]):
        yield "client_key", f"cannot sign {provider.client_key_alg}", "set client_key_alg to the key's algorithm"
    elif isinstance(key, EllipticCurvePrivateKey) and not isinstance(key.curve, SECP256R1):
        yield "client_key", "is not on the curve P-256", "make a P-256 key for ES256"


def _roles_and_kit(settings: Settings) -> Iterator[RuleFault]:
    route_ids = {route.id for route in settings.routes}
    for name, client in settings.kit_clients.items():
        if len(client.secret.get_secret_value()) < MIN_SECRET_BYTES:
            yield f"kit_clients.{name}.secret", f"missing or shorter than {MIN_SECRET_BYTES} bytes", "set secret_file"
        for route_id in client.routes:
            if route_id not in route_ids:
                yield f"kit_clients.{name}.routes", f"no route {route_id!r}", "name the id of a route"
        for origin in client.origins:
            yield from _kit_origin(f"kit_clients.{name}.origins", origin)
    for name, rule in settings.roles.items():
        if rule == type(rule)():
            yield f"roles.{name}", "has no rule: everybody would have it", "add groups_any, emails or another key"
        if rule.max_age_seconds is not None:
            yield f"roles.{name}.max_age_seconds", "cannot hold for a role, which has no clock", "set it on the route"


def _kit_origin(key: str, text: str) -> Iterator[RuleFault]:
    url = http_url(text)
    if url is None or url.path not in ("", "/") or "*" in text or names_default_port(url):
        yield key, "is not an exact origin", 'write it as "https://app.example.com"'
    elif url.scheme == "http" and not is_loopback(url):
        yield key, "is plain http", "use https; plain http needs a loopback host"


def _routes(settings: Settings) -> Iterator[RuleFault]:
    seen_ids: set[str] = set()
    seen_places: set[tuple[str, str]] = set()
    for number, other in paths_that_differ_in_case(settings.routes):
        yield f"routes[{number}].path", f"differs from {other} only in upper and lower case", ONE_CASE_FIX
    for number, route in enumerate(settings.routes):
        label = f"routes[{number}]"
        if route.id in seen_ids:
            yield f"{label}.id", f"{route.id!r} is used twice", "give each route its own id"
        place = (route.host.lower(), route.path.rstrip("/") or "/")
        if place in seen_places:
            yield f"{label}.path", "another route has this host and path", "join the two or change one"
        seen_ids.add(route.id)
        seen_places.add(place)
        for key, message, fix in _route(route, settings):
            yield f"{label}.{key}", message, fix


def _route(route: RouteSettings, settings: Settings) -> Iterator[RuleFault]:
    auth_path = settings.server.auth_path
    if route.path == auth_path or route.path.startswith(auth_path + "/"):
        yield "path", f"lies under {auth_path}", "the sign-in itself uses that path"
    if route.path == OAUTH2_PATH or route.path.startswith(OAUTH2_PATH + "/"):
        yield "path", f"lies under {OAUTH2_PATH}", "that name is reserved; choose another path"
    for target in route.upstream:
        if not target.startswith(UPSTREAM_SCHEMES):
            yield "upstream", "unknown kind", "use http://, https://, unix:, streamlit:file.py or asgi:module:app"
    if route.exact and (route.strip_prefix or any(one.startswith("streamlit:") for one in route.upstream)):
        yield "exact", "serves one path, and this route needs what is below it", "remove exact, or strip_prefix"
    secret = route.upstream_secret.get_secret_value()
    yield from _header_secret("upstream_secret", secret)
    if any(target.startswith("streamlit:") for target in route.upstream):
        yield from _managed_app(route, has_secret=bool(secret))
    if not route.upstream and not settings.forward_auth.modes and not settings.compat.oauth2_proxy:
        yield "upstream", "missing", "name the server behind this route"
    if len(route.upstream) > 1 and any(one.startswith(("streamlit:", "asgi:")) for one in route.upstream):
        yield "upstream", "a streamlit: or asgi: upstream beside others", "give it a route of its own"
    if len(set(route.upstream)) < len(route.upstream):
        yield "upstream", "the same upstream twice", "name each once"
    if route.host and not any(PublicUrls(url.geturl()).has(route.host) for url in _public_urls(settings)):
        yield "host", "is not a host of public_url or origins", "correct it: without it, another route answers there"
    if route.kit and route.kit not in settings.kit_clients:
        yield "kit", f"no kit client {route.kit!r}", f"add [kit_clients.{route.kit}]"
    if route.provider and route.provider not in settings.providers:
        yield "provider", f"no provider {route.provider!r}", "name a table of [providers]"
    if route.token == "assertion" and not route.audience:
        yield "audience", "missing", "an assertion needs the audience its API checks"
    for name in route.accept_bearer.providers:
        if name not in settings.providers:
            yield "accept_bearer.providers", f"no provider {name!r}", "name tables of [providers]"
    if route.accept_bearer.providers and not (route.accept_bearer.audience or route.audience):
        yield "accept_bearer.audience", "missing", "name the audience that tokens of machine clients must carry"
    yield from open_route_faults(route)
    yield from claim_header_faults(route)
    yield from assertion_header_faults(route)
    yield from _sandbox(route.streamlit)
    for key, origins in (("cors_origins", route.cors_origins), ("ws_origins", route.ws_origins)):
        if any(origin == "null" or "*" in origin for origin in origins):
            yield key, "holds * or null", "name each origin exactly"


def _managed_app(route: RouteSettings, *, has_secret: bool) -> Iterator[RuleFault]:
    if has_secret:
        yield "upstream_secret", "on a streamlit: upstream, which cannot check it", "remove it: page code could read it"
    if route.identity_headers == "none":
        yield (
            "identity_headers",
            'is "none" on a streamlit: upstream, whose sessions another person could then resume',
            "choose another preset: each of them holds X-Auth-Request-Id",
        )


def _sandbox(child: StreamlitChild) -> Iterator[RuleFault]:
    named = [key for key in ("user", "read", "write") if getattr(child, key)]
    if child.sandbox == "none" and named:
        yield f"streamlit.{named[0]}", 'has no meaning with sandbox = "none"', "remove one of the two"
    if child.user in ("root", "0"):
        yield "streamlit.user", "is root", "name a user that owns nothing but what the page needs"


def _forward_auth(settings: Settings) -> Iterator[RuleFault]:
    table, server = settings.forward_auth, settings.server
    if not table.modes:
        return
    if not _is_bind(table.bind):
        yield "forward_auth.bind", "is not host:port", 'write it as "127.0.0.1:8001"'
    elif table.bind in (server.bind, server.management_bind) and not table.bind.endswith(":0"):
        yield "forward_auth.bind", "is another listener's address", "give it a port of its own"
    if not server.trusted_proxies:
        yield "server.trusted_proxies", "no proxy is trusted, so none may ask", "name the networks of your proxies"


def _compat(settings: Settings) -> Iterator[RuleFault]:
    if not settings.compat.oauth2_proxy:
        return
    if len(settings.providers) > 1:
        yield (
            "compat.oauth2_proxy",
            f"{OAUTH2_CALLBACK} cannot belong to {len(settings.providers)} providers",
            "keep one table of [providers], or set it to false and register a redirect URI for each",
        )
    auth_path = settings.server.auth_path
    if auth_path == OAUTH2_PATH or auth_path.startswith(OAUTH2_PATH + "/"):
        yield "server.auth_path", f"lies under {OAUTH2_PATH}, whose names are taken", "choose another path"
