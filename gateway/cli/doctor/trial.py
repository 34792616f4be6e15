"""The listener of a trial sign-in, in place of the front door. It has only the real sign-in and callback."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Receive, Scope, Send

from bff import contract
from bff.access.policy import Demands
from bff.assembly import Bff
from bff.errors import AuthError, InvalidToken, NotFound
from bff.oidc.jwt_reading import read_header
from bff.oidc.tokens import TokenResponse
from bff.provider.identity import Sources
from bff.sessions.record import Session
from bff.settings.public_urls import PublicUrls
from bff.web.app import create_auth_app
from bff.web.pages import Page
from bff.web.problems import render_problem
from gateway.access.request import read_endpoint, read_request
from gateway.cli.doctor.claims import Arrived
from gateway.problems import send_page

NOT_OURS = frozenset({"callback_foreign_browser", "callback_unknown", "callback_state", "callback_duplicate"})
"""A callback that does not belong to our sign-in. Anybody can send one, so we go on waiting."""
FAREWELL = b"Signed in. The terminal shows what arrived; this window can be closed.\n"
DENIED = {"access_denied": "the person cancelled, or the provider does not let this person use this client"}
CHECK_REGISTRATION = "check the client's registration: redirect URI, allowed flow, PKCE, scopes"


class TrialObserver:
    """Notes how the trial goes. `outcome` is what the first sign-in came to; a text says what went wrong."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self.outcome: asyncio.Future[Arrived | str] = asyncio.get_running_loop().create_future()
        self.refresh_tokens: list[str] = []
        """Of finished sign-ins. Nobody needs them: revoke them."""

    def signed_in(self, session: Session, *, answer: TokenResponse, sources: Sources) -> None:
        if answer.refresh_token:
            self.refresh_tokens.append(answer.refresh_token)
        arrived = Arrived(
            identity=session.identity,
            sources={name: claims for name, claims in sources.items() if claims},
            access_token_typ=_typ_of(answer.access_token),
            lifetime=answer.stated_lifetime,
            scope=answer.scope or "",
            has_refresh_token=bool(answer.refresh_token),
        )
        self._end(arrived)

    def denied(self, error: str) -> None:
        advice = DENIED.get(error, CHECK_REGISTRATION)
        self._end(f"the provider refused ({error or 'no reason given'}): {advice}")

    def refused(self, error: AuthError) -> None:
        if error.code in NOT_OURS:
            self._say(f"A callback that does not belong to this sign-in was refused: {explain(error)}")
        else:
            self._end(explain(error))

    def _end(self, outcome: Arrived | str) -> None:
        if not self.outcome.done():
            self.outcome.set_result(outcome)


@dataclass(slots=True)
class Catcher:
    """The application of the listener: the sign-in for people who have `link`, the callback, and a last page."""

    bff: Bff
    observer: TrialObserver
    provider: str
    said_farewell: asyncio.Event = field(default_factory=asyncio.Event)
    _ticket: str = field(default_factory=lambda: secrets.token_urlsafe(16), repr=False)
    _auth_app: ASGIApp = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._auth_app = create_auth_app(self.bff, _Home())

    @property
    def link(self) -> str:
        return f"{self.bff.urls.auth}{contract.PATH_LOGIN}?provider={self.provider}&check={self._ticket}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        server = self.bff.settings.server
        client, request_id = read_endpoint(scope, server)
        try:
            incoming = read_request(scope, client, request_id=request_id, origins=self.bff.origins, server=server)
            if scope["type"] == "http" and self._is_ours(incoming.path, scope["query_string"]):
                path = self._own_path(incoming.path)
                inner = {**scope, "path": path, "raw_path": path.encode("ascii"), "root_path": ""}
                await self._auth_app(inner, receive, send)
            elif scope["type"] == "http" and incoming.path == "/" and self._has_finished():
                headers = [("content-type", "text/plain; charset=utf-8"), ("cache-control", "no-store")]
                await send_page(scope, send, Page(200, headers, FAREWELL))
                self.said_farewell.set()
            else:
                raise NotFound("not_found", "Only a trial sign-in runs here. Open the link that the terminal shows.")
        except AuthError as error:
            page = render_problem(error, navigation=False, request_id=request_id, urls=self.bff.urls)
            await send_page(scope, send, page)

    def _has_finished(self) -> bool:
        outcome = self.observer.outcome
        return outcome.done() and isinstance(outcome.result(), Arrived)

    def _is_ours(self, path: str, query: bytes) -> bool:
        base = self.bff.settings.server.auth_path
        if path == base + contract.PATH_LOGIN:
            given = parse_qs(query.decode("latin-1")).get("check", [])
            return len(given) == 1 and secrets.compare_digest(given[0].encode(), self._ticket.encode())
        return self._own_path(path) == f"{base}{contract.PATH_CALLBACK}/{self.provider}"

    def _own_path(self, path: str) -> str:
        """Return the provider's own callback for the one path that is registered instead of it."""
        if path and path == self.bff.urls.callback_path:
            return f"{self.bff.urls.auth_path}{contract.PATH_CALLBACK}/{self.provider}"
        return path


class _Home:
    """`Targets` of the trial: no page but the last one, and no rules of routes."""

    def is_page(self, path: str, *, urls: PublicUrls) -> bool:
        return False

    def demands(self, path: str, *, urls: PublicUrls) -> Demands:
        return Demands()

    def refusal(self, path: str, session: Session, *, urls: PublicUrls) -> None:
        return None

    def clears_storage(self, urls: PublicUrls) -> bool:
        return False


def explain(error: AuthError) -> str:
    """Return the code, the detail for the operator, and where the code is explained."""
    return f"{error.code}{f' ({error.detail})' if error.detail else ''}; see docs/errors.md#{error.code}"


def _typ_of(token: str) -> str:
    try:
        return read_header(token, prefix="bearer").typ
    except InvalidToken:
        return ""
