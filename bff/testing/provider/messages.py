"""A request to the provider and its reply, as plain data: endpoints know nothing about sockets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit


class Refused(Exception):
    """The request is refused. `error` is the code of the specification; the text says what was wrong."""

    def __init__(self, status: int, error: str, text: str, *, challenge: str = "") -> None:
        super().__init__(text)
        self.status = status
        self.error = error
        self.challenge = challenge


@dataclass(frozen=True, slots=True)
class Request:
    """A request from a client or a browser. `query` and `form` have each name once."""

    method: str
    path: str
    raw_query: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    raw_form: str = field(default="", repr=False)
    form: Mapping[str, str] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Names in lower case."""
    cookies: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def authorization(self) -> str:
        return self.headers.get("authorization", "")

    @property
    def wants_page(self) -> bool:
        return "text/html" in self.headers.get("accept", "")

    @property
    def is_from_elsewhere(self) -> bool:
        """True if the browser says that a page of another site sent this."""
        return self.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = field(default=b"", repr=False)


def json_reply(content: Mapping[str, Any], *, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Reply:
    own = (("Content-Type", "application/json"), ("Cache-Control", "no-store"))
    return Reply(status, (*own, *headers), json.dumps(content).encode())


def redirect(uri: str, *, headers: tuple[tuple[str, str], ...] = (), **parameters: str) -> Reply:
    """Return a 303 to `uri`, with `parameters` added to its query. Empty ones are left out."""
    added = urlencode({name: value for name, value in parameters.items() if value})
    parts = urlsplit(uri)
    location = urlunsplit(parts._replace(query="&".join(filter(None, (parts.query, added)))))
    own = (("Location", location), ("Cache-Control", "no-store"), ("Referrer-Policy", "no-referrer"))
    return Reply(303, (*own, *headers))


def refusal(refused: Refused) -> Reply:
    """Return the error object of RFC 6749, section 5.2."""
    challenge = (("WWW-Authenticate", f'{refused.challenge} realm="provider"'),) if refused.challenge else ()
    body = {"error": refused.error, "error_description": str(refused)}
    return json_reply(body, status=refused.status, headers=challenge)


def parse_parameters(text: str) -> dict[str, str]:
    """Read a query or a form as names and values.

    Raises:
        Refused: a name came twice, or it cannot be read.
    """
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=100, errors="strict")
    except ValueError:
        raise Refused(400, "invalid_request", "the parameters cannot be read") from None
    parameters = dict(pairs)
    if len(parameters) != len(pairs):
        raise Refused(400, "invalid_request", "a parameter came twice")
    return parameters
