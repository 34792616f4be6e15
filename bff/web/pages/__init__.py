"""The pages people see: sign-in choice, signed out, sign-out question, apps, errors. One inline style, no scripts.

There are two exceptions. The page that hands a long sign-out to the provider has a script that submits its form. The
page that says "signed out" tells the other tabs.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

FOLDER = Path(__file__).parent
Headers = list[tuple[str, str]]
POLICY = "content-security-policy"


@dataclass(frozen=True, slots=True)
class Page:
    """A finished answer: status, headers, body."""

    status: int
    headers: Headers
    body: bytes = field(repr=False)


@cache
def _environment() -> Environment:
    return Environment(loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True)


def render_page(template: str, *, status: int = 200, headers: Headers | None = None, **values: Any) -> Page:
    """Render `template` with a new CSP nonce for its style. It is never cached and never framed."""
    nonce = secrets.token_urlsafe(16)
    html = _environment().get_template(template).render(nonce=nonce, **values)
    return Page(status, page_headers(nonce) + (headers or []), html.encode())


def render_telling_page(template: str, *, script: str, **values: Any) -> Page:
    """Render a page that may run one script of ours, from the address `script`."""
    nonce = secrets.token_urlsafe(16)
    html = _environment().get_template(template).render(nonce=nonce, script=script, **values)
    changed = dict(page_headers(nonce))
    changed[POLICY] += f"; script-src 'nonce-{nonce}'"
    return Page(200, list(changed.items()), html.encode())


def render_form_page(template: str, *, origin: str, **values: Any) -> Page:
    """Render a page whose script submits its form to `origin`. No referrer leaves with it.

    Browsers apply `form-action` to the redirect that answers the form too. The provider sends the browser back here, so
    our own origin is allowed beside `origin`. The embedder policy has no other effect here than to keep the page apart
    from the window that opened it, even if that one has the same opener policy: the form holds the ID token.
    """
    nonce = secrets.token_urlsafe(16)
    html = _environment().get_template(template).render(nonce=nonce, **values)
    changed = dict(page_headers(nonce))
    changed[POLICY] += f"; script-src 'nonce-{nonce}'; form-action {origin} 'self'"
    changed["referrer-policy"] = "no-referrer"
    changed["cross-origin-embedder-policy"] = "require-corp"
    return Page(200, list(changed.items()), html.encode())


def page_headers(nonce: str) -> Headers:
    """Return the headers of all our pages. No `form-action`: it would also apply to redirects to the provider."""
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; img-src 'self' data:; "
        "base-uri 'none'; object-src 'none'; frame-ancestors 'none'"
    )
    return [
        ("content-type", "text/html; charset=utf-8"),
        ("cache-control", "no-store"),
        (POLICY, policy),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
    ]


def status_title(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
