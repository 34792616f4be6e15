"""What a proxy is told: yes with the identity headers, or no in the form that this proxy passes on. Pure.

nginx knows only 401 and 403, so every other refusal is 403 there, and only failures are 5xx. Traefik, Caddy and Envoy
pass the whole answer on to the client: a navigation gets a redirect to the sign-in, or a page.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

from bff import contract
from bff.errors import AuthError
from bff.settings.public_urls import PublicUrls
from bff.settings.tables import ForwardAuthMode
from bff.web.pages import Page
from bff.web.problems import login_url, render_problem
from gateway.headers.request import RawHeaders
from gateway.problems import redirect_page, status_for_proxies

PASSING_ANSWERS_ON: Final = frozenset({"traefik", "caddy", "envoy"})
"""Modes of proxies that send our refusal to the client as it is."""
FIXED_BYTES: Final = 400
"""Room for what is in each answer: status, date, length, caching, the request id."""
REFUSAL_BYTES: Final = 900
"""Room in a refusal for everything but the address of the sign-in."""
_LINE_OVERHEAD: Final = len(": \r\n")


def size_of(headers: RawHeaders) -> int:
    """The bytes of these lines in a head."""
    return sum(len(name) + len(value) + _LINE_OVERHEAD for name, value in headers)


def longest_location(head_bytes: int) -> int:
    """How long the address of the sign-in may be. A refusal has it twice: in `Location` and in the refusal's query."""
    return (head_bytes - REFUSAL_BYTES) // 2


def refusal_query(error: AuthError, *, request_id: str, target: dict[str, str]) -> str:
    """Return the query of `/auth/refused` that explains `error`. `target` says where a sign-in leads, if it does."""
    return urlencode({"reason": error.code, "request_id": request_id, **target})


def refusal(
    error: AuthError,
    mode: ForwardAuthMode,
    *,
    navigation: bool,
    request_id: str,
    urls: PublicUrls,
    target: dict[str, str],
) -> Page:
    """Build the answer for `error`. `target` is `return_to` or `return_id`; empty if nobody can be sent back."""
    status = status_for_proxies(error)
    location = sign_in_address(urls, target)
    told = [(contract.HEADER_REFUSAL.lower(), refusal_query(error, request_id=request_id, target=target))]
    if mode in PASSING_ANSWERS_ON and status == 401 and navigation and target:
        page = redirect_page(location)
        return Page(page.status, page.headers + told, page.body)
    page = render_problem(
        error,
        navigation=navigation and mode in PASSING_ANSWERS_ON,
        request_id=request_id,
        urls=urls,
        return_to=target.get("return_to") or urls.base_path + "/",
    )
    if status == 401 and mode not in PASSING_ANSWERS_ON:
        told.append(("location", location))
    return Page(status, page.headers + told, page.body)


def sign_in_address(urls: PublicUrls, target: dict[str, str]) -> str:
    """Return the absolute address of the sign-in: proxies take a relative one for an address of ours, not theirs."""
    if "return_id" in target:
        return f"{urls.auth}{contract.PATH_LOGIN}?{urlencode(target)}"
    return urls.origin + login_url(urls, target.get("return_to") or urls.base_path + "/")
