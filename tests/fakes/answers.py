"""The answers of the fake provider's handlers, before and after a test changes them."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal
from urllib.parse import urlencode, urlsplit, urlunsplit

HeaderList = tuple[tuple[str, str], ...]
Rendered = tuple[int, HeaderList, bytes]

NO_STORE: HeaderList = (("cache-control", "no-store"), ("pragma", "no-cache"))


class ProtocolError(Exception):
    """An OAuth error answer (RFC 6749 section 5.2)."""

    def __init__(self, error: str, description: str = "", *, status: int = 400, challenge: str = "") -> None:
        super().__init__(f"{error}: {description}")
        self.error = error
        self.description = description
        self.status = status
        self.challenge = challenge


@dataclass(frozen=True, slots=True)
class JsonAnswer:
    payload: Any
    status: int = 200
    headers: HeaderList = NO_STORE

    def bent(self, payload: Any) -> JsonAnswer:
        return replace(self, payload=payload)

    def render(self) -> Rendered:
        return self.status, (("content-type", "application/json"), *self.headers), json.dumps(self.payload).encode()


@dataclass(frozen=True, slots=True)
class HtmlAnswer:
    text: str
    status: int = 200
    headers: HeaderList = NO_STORE

    def render(self) -> Rendered:
        return self.status, (("content-type", "text/html; charset=utf-8"), *self.headers), self.text.encode()


@dataclass(frozen=True, slots=True)
class RedirectAnswer:
    """Parameters sent to a URI through the browser; a list as value repeats the parameter."""

    uri: str
    payload: Mapping[str, Any]
    mode: Literal["query", "form_post"] = "query"
    headers: HeaderList = NO_STORE

    def bent(self, payload: Any) -> RedirectAnswer:
        return replace(self, payload=payload)

    def render(self) -> Rendered:
        if self.mode == "form_post":
            return HtmlAnswer(_self_posting_form(self.uri, self.payload), headers=self.headers).render()
        parts = urlsplit(self.uri)
        query = "&".join(part for part in (parts.query, urlencode(self.payload, doseq=True)) if part)
        location = urlunsplit(parts._replace(query=query))
        return 303, (("location", location), *self.headers), b""


Answer = JsonAnswer | HtmlAnswer | RedirectAnswer


def _self_posting_form(uri: str, payload: Mapping[str, Any]) -> str:
    listed = [(name, value if isinstance(value, list) else [value]) for name, value in payload.items()]
    pairs = [(name, item) for name, items in listed for item in items]
    inputs = "".join(
        f'<input type="hidden" name="{html.escape(name)}" value="{html.escape(str(value))}">' for name, value in pairs
    )
    return (
        '<!doctype html><title>Continue</title><body onload="document.forms[0].submit()">'
        f'<form id="form-post" method="post" action="{html.escape(uri)}">{inputs}'
        "<noscript><button>Continue</button></noscript></form>"
    )


def error_answer(error: ProtocolError) -> JsonAnswer:
    payload = {"error": error.error} | ({"error_description": error.description} if error.description else {})
    challenge = (("www-authenticate", error.challenge),) if error.challenge else ()
    return JsonAnswer(payload, error.status, (*NO_STORE, *challenge))


def error_page(message: str) -> HtmlAnswer:
    """A refusal shown to the person, where redirecting back would be unsafe."""
    return HtmlAnswer(f'<!doctype html><title>Error</title><h1 id="error">{html.escape(message)}</h1>', 400)
