"""Decide which answers get the session-end script, and log why a document does not get it."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from bff import contract
from bff.settings.tables import RouteSettings
from gateway.access.request import Incoming
from gateway.documents.insertion import HeadInserter, build_script_tag
from gateway.documents.script_policy import Forbids, judge_script
from gateway.documents.selection import LeftAlone, asks_for_document, read_document
from gateway.headers.request import RawHeaders

_MOST_LINES: Final = 256
"""The most log lines of one worker. A route has few reasons, unless its upstream invents them."""


class SessionScript:
    """Inserts `/auth/guard.js`. Each worker has one."""

    def __init__(self, log: Any) -> None:
        self._log = log
        self._said: set[tuple[str, str, str]] = set()

    def is_wanted(self, incoming: Incoming, route: RouteSettings) -> bool:
        """True if the answer to this request gets the script when it is a document."""
        if route.kind != "page" or route.auth == "public" or route.session_guard == "off":
            return False
        return asks_for_document(incoming.method, incoming.headers, incoming.facts.fetch)

    def inserter(
        self, status: int, headers: RawHeaders, *, incoming: Incoming, route: RouteSettings
    ) -> HeadInserter | None:
        """Build the transform that inserts the script into an answer with these headers; None to leave it unchanged."""
        document = read_document(status, headers)
        if document is None:
            return None
        if isinstance(document, LeftAlone):
            self._left_alone(route, document.reason, detail=document.detail)
            return None
        urls = incoming.facts.urls
        verdict = judge_script(headers, script=urls.auth + contract.PATH_GUARD, asks=urls.auth + contract.PATH_SESSION)
        if isinstance(verdict, Forbids):
            self._left_alone(route, "policy", detail=verdict.by)
            return None
        return HeadInserter(
            build_script_tag(urls.base_path + urls.auth_path + contract.PATH_GUARD, nonce=verdict.nonce),
            headers,
            family=document.family,
            on_left_alone=partial(self._left_alone, route),
        )

    def _left_alone(self, route: RouteSettings, reason: str, *, detail: str = "") -> None:
        """Log, once per route and reason, that its documents have no session-end script."""
        key = (route.id, reason, detail)
        if key in self._said or len(self._said) >= _MOST_LINES:
            return
        self._said.add(key)
        self._log.warning("session_script_left_out", route=route.id, reason=reason, detail=detail)
