"""The stand-in for the front door during a trial sign-in: the real sign-in and callback, watched, and nothing else."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Receive, Scope, Send

from bff import contract
from bff.access.policy import Demands
from bff.assembly import Bff
from bff.audit import Audit
from bff.errors import AuthError, InvalidToken, NotFound
from bff.login.sign_in import Browser, LoginDenied, LoginFinished, LoginRequest, LoginStarted, SignIn
from bff.login.transactions import Transactions
from bff.oidc.id_token import IdTokenExpectation
from bff.oidc.jwt_reading import read_header
from bff.oidc.tokens import TokenAnswer, TokenResponse
from bff.provider.client import Provider
from bff.provider.identity import unverified_claims
from bff.sessions.lifecycle import Sessions
from bff.settings.public_urls import PublicUrls
from bff.web.app import create_auth_app
from bff.web.pages import Page
from bff.web.problems import render_problem
from gateway.access.request import read_endpoint, read_request
from gateway.cli.doctor.claims import Arrived
from gateway.problems import send_page

NOT_OURS = frozenset({"callback_foreign_browser", "callback_unknown", "callback_state", "callback_duplicate"})
"""A callback that answers none of our questions: anybody can send one, and it does not end the waiting."""
FAREWELL = b"Signed in. The terminal shows what arrived; this window can be closed.\n"
DENIED = {"access_denied": "the person cancelled, or the provider does not let this person use this client"}
CHECK_REGISTRATION = "check the client's registration: redirect URI, allowed flow, PKCE, scopes"


class WatchedProvider(Provider):
    """A provider that remembers what it answered, for `arrived`."""

    _token: TokenResponse | None = None
    _sources: dict[str, dict[str, Any]]

    async def request_token(self, form: dict[str, str]) -> TokenAnswer:
        answer = await super().request_token(form)
        if isinstance(answer, TokenResponse):
            self._token = answer
            self._sources = {"access_token": unverified_claims(answer.access_token)}
        return answer

    async def validate_id_token(self, token: str, expected: IdTokenExpectation) -> dict[str, Any]:
        self._sources["id_token"] = await super().validate_id_token(token, expected)
        return self._sources["id_token"]

    async def fetch_userinfo(self, access_token: str, *, sub: str) -> dict[str, Any]:
        self._sources["userinfo"] = await super().fetch_userinfo(access_token, sub=sub)
        return self._sources["userinfo"]

    def arrived(self, finished: LoginFinished) -> Arrived:
        """What a finished sign-in brought, without its tokens."""
        if self._token is None:
            raise RuntimeError("no sign-in has finished here")
        return Arrived(
            identity=finished.opened.session.identity,
            sources={name: claims for name, claims in self._sources.items() if claims},
            access_token_typ=_typ_of(self._token.access_token),
            lifetime=self._token.expires_in,
            scope=self._token.scope or "",
            has_refresh_token=bool(self._token.refresh_token),
        )

    async def forget(self) -> None:
        """Revoke the refresh token, where the provider can: nobody needs it."""
        if self._token is not None and self._token.refresh_token:
            await self.revoke(self._token.refresh_token)


class WatchedSignIn(SignIn):
    """The real sign-in; `outcome` holds what the first one came to, a text being what went wrong."""

    def __init__(
        self,
        providers: Mapping[str, Provider],
        sessions: Sessions,
        transactions: Transactions,
        *,
        audit: Audit,
        clock: Callable[[], float],
        say: Callable[[str], None],
    ) -> None:
        super().__init__(providers, sessions, transactions, audit=audit, clock=clock)
        self._say = say
        self.outcome: asyncio.Future[LoginFinished | str] = asyncio.get_running_loop().create_future()

    async def start_login(
        self, request: LoginRequest, browser: Browser, *, demands: Demands, replaces: str
    ) -> LoginStarted:
        try:
            return await super().start_login(request, browser, demands=demands, replaces=replaces)
        except AuthError as error:
            self._end(explain(error))
            raise

    async def finish_login(
        self, provider_name: str, parameters: Sequence[tuple[str, str]], browser: Browser
    ) -> LoginFinished | LoginDenied:
        try:
            outcome = await super().finish_login(provider_name, parameters, browser)
        except AuthError as error:
            if error.code in NOT_OURS:
                self._say(f"A callback that does not belong to this sign-in was refused: {explain(error)}")
            else:
                self._end(explain(error))
            raise
        match outcome:
            case LoginFinished():
                self._end(outcome)
            case LoginDenied(error=code):
                advice = DENIED.get(code, CHECK_REGISTRATION)
                self._end(f"the provider refused ({code or 'no reason given'}): {advice}")
        return outcome

    def _end(self, outcome: LoginFinished | str) -> None:
        if not self.outcome.done():
            self.outcome.set_result(outcome)


@dataclass(slots=True)
class Catcher:
    """The listener's application: sign-in for whoever has `link`, the callback, a farewell."""

    bff: Bff
    sign_in: WatchedSignIn
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
        client, request_id = read_endpoint(scope, self.bff)
        try:
            incoming = read_request(scope, self.bff, client, request_id)
            if scope["type"] == "http" and self._is_ours(incoming.path, scope["query_string"]):
                inner = {**scope, "path": incoming.path, "raw_path": incoming.raw_path, "root_path": ""}
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
        outcome = self.sign_in.outcome
        return outcome.done() and isinstance(outcome.result(), LoginFinished)

    def _is_ours(self, path: str, query: bytes) -> bool:
        base = self.bff.settings.server.auth_path
        if path == base + contract.PATH_LOGIN:
            given = parse_qs(query.decode("latin-1")).get("check", [])
            return len(given) == 1 and secrets.compare_digest(given[0].encode(), self._ticket.encode())
        return path == f"{base}{contract.PATH_CALLBACK}/{self.provider}"


class _Home:
    """`Targets` of the trial: no page but the farewell, no demands of routes."""

    def is_page(self, path: str, *, urls: PublicUrls) -> bool:
        return False

    def demands(self, path: str, *, urls: PublicUrls) -> Demands:
        return Demands()

    def clears_storage(self, urls: PublicUrls) -> bool:
        return False


def explain(error: AuthError) -> str:
    """Code, the operator's detail, and where the code is explained."""
    return f"{error.code}{f' ({error.detail})' if error.detail else ''}; see docs/errors.md#{error.code}"


def _typ_of(token: str) -> str:
    try:
        return read_header(token, prefix="bearer").typ
    except InvalidToken:
        return ""
