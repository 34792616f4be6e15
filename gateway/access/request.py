"""Read a request before any decision: its origin, client, id and canonical path."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from starlette.types import Scope

from bff import contract
from bff.browser.csrf import FetchMetadata
from bff.browser.request_facts import SCOPE_KEY, RequestFacts, new_request_id
from bff.errors import BadRequest, Misdirected, NotFound
from bff.settings.public_urls import PublicUrls, without_port
from bff.settings.tables import ServerSettings
from gateway.access.paths import canonical_path
from gateway.headers.forwarded import ClientEndpoint, client_address

MOST_SHOWN = 100
REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{8,128}")
KIT_HEADER = contract.HEADER_KIT.lower().encode("ascii")
_KIT_PATHS = "/kit/"
SESSION_HEADER = contract.HEADER_SESSION.lower().encode("ascii")


@dataclass(frozen=True, slots=True)
class Incoming:
    """A request. `path` is canonical and below the public URL's own path; `raw_path` is its form in client bytes."""

    scope: Scope
    facts: RequestFacts
    client: ClientEndpoint
    path: str
    raw_path: bytes

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        headers: list[tuple[bytes, bytes]] = self.scope["headers"]
        return headers

    @property
    def method(self) -> str:
        return str(self.scope.get("method", "GET"))

    def at(self, urls: PublicUrls) -> Incoming:
        """Return the same request, but to the origin of `urls`."""
        facts = replace(self.facts, urls=urls)
        self.scope[SCOPE_KEY] = facts
        return replace(self, facts=facts)

    @property
    def here(self) -> str:
        """Return path and query as in the browser's address bar, for the return after sign-in."""
        query: bytes = self.scope["query_string"]
        target = self.facts.urls.base_path.encode() + self.raw_path + (b"?" + query if query else b"")
        return target.decode("latin-1")


def read_endpoint(scope: Scope, server: ServerSettings) -> tuple[ClientEndpoint, str]:
    """Read the client's address, scheme and host, as trusted proxies report them, and the request id."""
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    peer = scope["client"][0] if scope.get("client") else ""
    host = next((value.decode("latin-1").lower() for name, value in headers if name == b"host"), "")
    secure = scope.get("scheme") in ("https", "wss")
    client = client_address(
        peer,
        headers,
        server.trusted_proxies,
        proxy_secret=server.trusted_proxy_secret.get_secret_value(),
        scheme="https" if secure else "http",
        host=host,
        trust_host=server.trusted_host_header,
    )
    given = next((value for name, value in headers if name == b"x-request-id"), b"")
    believed = client.is_through_proxy and REQUEST_ID.fullmatch(given)
    return client, given.decode("ascii") if believed else new_request_id()


def read_request(
    scope: Scope,
    client: ClientEndpoint,
    *,
    request_id: str,
    origins: Mapping[str, PublicUrls],
    server: ServerSettings,
) -> Incoming:
    """Find the origin and the canonical path. `origins` has the URLs by host, those of `public_url` first.

    Raises:
        Misdirected: this Host is not served here.
        BadRequest: `ambiguous_path`.
        NotFound: outside the public URL's path.
    """
    raw_path: bytes = scope.get("raw_path") or scope["path"].encode()
    path = canonical_path(raw_path)
    own, urls = next(iter(origins.values())), origins.get(client.host)
    is_internal = _is_internal_call(scope, path, client, own=own, internal_hosts=server.internal_hosts)
    # An internal call may also come to a host that is public too: kits call it.
    if urls is None and not is_internal:
        message = f"This server answers as {own.host}, but was asked for under another name."
        raise Misdirected(message=message, detail=_why_misdirected(client, origins, server))
    if urls is not None and client.host != urls.host:  # upstreams are told the name without the scheme's own port
        client = replace(client, host=urls.host)
    fetch = FetchMetadata.from_headers(scope["headers"])
    facts = RequestFacts(urls or own, client.address, request_id, fetch, is_internal)
    scope[SCOPE_KEY] = facts
    base = facts.urls.base_path
    if base:
        if not (path + "/").startswith(base + "/") or not raw_path.startswith(base.encode()):
            raise NotFound()
        path, raw_path = path[len(base) :] or "/", raw_path[len(base) :] or b"/"
    return Incoming(scope, facts, client, path, raw_path)


def single_header(headers: list[tuple[bytes, bytes]], name: bytes, *, code: str) -> str | None:
    """Return the only value of `name`, None if it is absent.

    Raises:
        BadRequest: `code`, if it came twice or is not ASCII.
    """
    values = [value for candidate, value in headers if candidate == name]
    if not values:
        return None
    if len(values) > 1 or not values[0].isascii():
        raise BadRequest(code)
    return values[0].decode("ascii")


def _why_misdirected(client: ClientEndpoint, origins: Mapping[str, PublicUrls], server: ServerSettings) -> str:
    """Say which host was asked for and which are served, and what to change where that shows."""
    expected = ", ".join(origins)
    said = f"received the host {client.host[:MOST_SHOWN] or 'none'}, expected {expected[:MOST_SHOWN]}"
    if client.forwarded_host in origins and not server.trusted_host_header:
        return (
            f"{said}; the proxy's X-Forwarded-Host would match: let the proxy pass Host on, or, where it sets "
            "X-Forwarded-Host itself, set server.trusted_host_header = true"
        )
    if without_port(client.host) in map(without_port, origins):
        return f"{said}; the port differs: nginx passes it on with $http_host, not with $host"
    return said


def _is_internal_call(
    scope: Scope, path: str, client: ClientEndpoint, *, own: PublicUrls, internal_hosts: Collection[str]
) -> bool:
    """True under an internal name in the Host header for kit calls, and for what APIs ask: public keys and identities.

    Below `/auth` kits call only these: the others are for browsers and read the cookie, not the kit credential.
    """
    named = [value.decode("latin-1").lower() for name, value in scope["headers"] if name == b"host"]
    if named != [client.host] or client.host not in internal_hosts:
        return False
    auth = own.base_path + own.auth_path
    if path in (auth + contract.PATH_JWKS, auth + contract.PATH_IDENTITY):
        return True
    if path.startswith(auth + "/") and not path.startswith(auth + _KIT_PATHS):
        return False
    return any(name == KIT_HEADER for name, _ in scope["headers"])
