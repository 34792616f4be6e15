"""Ask the front door once for each handshake for what did not fit into it.

A header line holds only so many groups. The front door names what it left out, and tells a page the rest for its
handle. Its answer belongs to one handshake, like the assertion itself, and only that assertion finds it.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import httpx
from pydantic import Field, ValidationError

from bff import contract
from bff.contract import Identity
from streamlit_kit import transport
from streamlit_kit.assertion import PageSession, PersonClaims, parse_routes
from streamlit_kit.errors import ApiUnavailable
from streamlit_kit.response import is_outage, raise_for_credential, read_problem, read_request_id, unavailable

log = logging.getLogger(__name__)

_MAX_REMEMBERED: Final = 1_000
_PERSON: Final = ("name", "email", "preferred_username", "roles", "groups", "acr")


class WholeAnswer(PersonClaims):
    """The front door's answer about one person. `claims` are those that its routes name in `claim_headers`."""

    claims: Mapping[str, Any] = Field(default_factory=dict)
    routes: Mapping[str, str] = Field(default_factory=dict)


class WholeAnswers:
    """The answers of this process, by handshake. The oldest are dropped first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[bytes, WholeAnswer] = OrderedDict()

    def find(self, assertion: str, fetch: Callable[[], WholeAnswer | None]) -> WholeAnswer | None:
        """Return the answer for the handshake with `assertion`; `fetch` it if it is not known."""
        key = hashlib.sha256(assertion.encode()).digest()
        with self._lock:
            known = self._known.get(key)
        answer = known or fetch()
        if answer is None or known is not None:
            return answer
        with self._lock:
            self._known[key] = answer
            while len(self._known) > _MAX_REMEMBERED:
                self._known.popitem(last=False)
        return answer


def fetch_whole(session: PageSession, *, auth_url: str, credential: str, http: httpx.Client) -> WholeAnswer | None:
    """Ask the front door for the person of `session`; None if that session is over.

    Raises: ApiUnavailable, KitMisconfigured.
    """
    request = http.build_request(
        "GET",
        auth_url + contract.PATH_KIT_IDENTITY,
        headers={contract.HEADER_KIT: credential, contract.HEADER_SESSION: session.handle},
        timeout=transport.CONTROL_TIMEOUT,
    )
    response = transport.send(http, request)
    if is_outage(response.status_code):
        raise unavailable(response)
    code = read_problem(response.headers, response.content).get("code", "")
    raise_for_credential(code, request_id=read_request_id(response.headers))
    if response.status_code == 401:
        session.ended.set()
        return None
    try:
        answer = WholeAnswer.model_validate_json(response.content) if response.status_code == 200 else None
    except ValidationError:
        answer = None
    if answer is None or answer.sub != session.identity.sub or not _tells(answer, session.omitted):
        log.warning("the front door does not tell who is there: status %d %s", response.status_code, code)
        raise ApiUnavailable(code="identity_malformed", request_id=read_request_id(response.headers))
    return answer


def _tells(answer: WholeAnswer, omitted: Sequence[str]) -> bool:
    """True if `answer` has all that was asked for. What is missing would count as an empty list."""
    return {name for name in omitted if name in (*_PERSON, "routes")} <= answer.model_fields_set


def with_answer(session: PageSession, answer: WholeAnswer) -> PageSession:
    """Return `session` with what its handshake left out.

    Raises: AssertionRejected when a path cannot be a route's.
    """
    told: dict[str, Any] = {name: getattr(answer, name) for name in _PERSON if name in session.omitted}
    identity: Identity = replace(session.identity, **told, claims={**session.identity.claims, **answer.claims})
    routes = parse_routes(answer.routes) if "routes" in session.omitted else session.routes
    return replace(session, identity=identity, routes=routes, omitted=())
