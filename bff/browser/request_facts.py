"""Facts about a request that are known before any handler runs: its origin, the client's address, its id."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from bff.browser.csrf import FetchMetadata
from bff.errors import Misdirected
from bff.settings.public_urls import PublicUrls

SCOPE_KEY = "vestibule.facts"
REFUSAL_KEY = "vestibule.refusal"
"""In a scope: a function that takes the code of each rendered refusal, for the server's access log."""


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """Facts about one request. `address` is the client's, also behind trusted proxies.

    `request_id` is on every hop, answer and log line. `is_internal`: a kit called one of `internal_hosts`, so the
    request has no public origin.
    """

    urls: PublicUrls
    address: str
    request_id: str
    fetch: FetchMetadata
    is_internal: bool = False


def new_request_id() -> str:
    return secrets.token_hex(12)


def wants_page(fetch: FetchMetadata, headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """True for a navigation: what is refused is shown as a page. Clients without fetch metadata say so in `Accept`."""
    if fetch.mode:
        return fetch.is_navigation
    return any(name == b"accept" and b"text/html" in value for name, value in headers)


def note_refusal(scope: Mapping[str, Any], code: str) -> None:
    """Tell the server of this request that it is refused with `code`."""
    note = scope.get(REFUSAL_KEY)
    if note is not None:
        note(code)


def facts_of(scope: MutableMapping[str, Any], origins: Mapping[str, PublicUrls]) -> RequestFacts:
    """Return the facts that the gateway left in `scope`, else read them from the request itself.

    Raises:
        Misdirected: the Host is not one of `origins`.
    """
    known = scope.get(SCOPE_KEY)
    if isinstance(known, RequestFacts):
        return known
    hosts = [value.decode("latin-1").lower() for name, value in scope["headers"] if name == b"host"]
    urls = origins.get(hosts[0]) if len(hosts) == 1 else None
    if urls is None:
        raise Misdirected()
    client = scope.get("client")
    facts = RequestFacts(
        urls=urls,
        address=client[0] if client else "",
        request_id=new_request_id(),
        fetch=FetchMetadata.from_headers(scope["headers"]),
    )
    scope[SCOPE_KEY] = facts
    return facts
