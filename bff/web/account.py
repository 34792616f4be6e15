"""A person's own sessions, as JSON and as a page: list them with masked ids, and end them one by one."""

from __future__ import annotations

from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response

from bff import contract
from bff.audit import masked
from bff.browser.csrf import check_same_origin
from bff.contract import EndReason
from bff.errors import FreshLoginRequired, LoginRequired, NotFound
from bff.sessions.record import Session
from bff.web.answers import answer_json, redirect, respond
from bff.web.handlers import Handling
from bff.web.pages import Page, render_page
from bff.web.problems import login_url

CLOCK_SKEW_SECONDS = 60
FRESH_SECONDS = 600
"""How recent a person's sign-in must be to end a session in another browser."""


class AccountRoutes(Handling):
    """Handlers for the signed-in person. Nobody sees or ends sessions of another person or of another host."""

    async def sessions(self, request: Request) -> Response:
        current = await self._signed_in(request, "GET")
        return answer_json({"sessions": [_describe(session, current) for session in await self._own(current)]})

    async def one_session(self, request: Request) -> Response:
        """Describe (GET) or end (DELETE, or POST from the account page) one of the person's sessions.

        To end another session than this one, the person must have signed in within the last ten minutes: somebody who
        finds an unattended browser must not choose which sessions stay.
        """
        current = await self._signed_in(request, request.method)
        wanted = request.path_params["session_id"]
        session = next((own for own in await self._own(current) if masked(own.name) == wanted), None)
        if session is None:
            raise NotFound("session_not_found")
        if request.method == "GET":
            return answer_json(_describe(session, current))
        urls = self._facts(request).urls
        account = urls.base_path + urls.auth_path + contract.PATH_ACCOUNT
        if session.name != current.name and not self._is_fresh(current):
            if request.method == "POST":
                return redirect(303, login_url(urls, account, prompt="login"))
            return self.problem(request, FreshLoginRequired(), return_to=account)
        await self._bff.sessions.end(session.name, EndReason.REVOKED)
        self._bff.audit.event("session_ended", session=session, reason="by_its_person")
        provider = self._bff.sign_in.providers.get(session.provider)
        if provider is not None:
            self._bff.sign_in.revoke_later(provider, session.tokens.refresh_token)
        if request.method == "POST":
            return redirect(303, account)
        return respond(Page(204, [("cache-control", "no-store")], b""))

    async def account(self, request: Request) -> Response:
        facts = self._facts(request)
        current = await self._current(request)
        base = facts.urls.base_path + facts.urls.auth_path
        if current is None:
            return redirect(303, login_url(facts.urls, base + contract.PATH_ACCOUNT))
        identity = current.identity
        return respond(
            render_page(
                "account.html",
                name=identity.name or identity.preferred_username or identity.sub,
                email=identity.email,
                roles=identity.roles,
                sessions=[_describe(session, current) | _times(session) for session in await self._own(current)],
                base=base + contract.PATH_SESSIONS,
                logout_url=base + contract.PATH_LOGOUT,
                home=facts.urls.base_path + "/",
            )
        )

    async def _signed_in(self, request: Request, method: str) -> Session:
        facts = self._facts(request)
        check_same_origin(method, facts.fetch, origin=facts.urls.origin, strict_reads=False)
        current = await self._current(request)
        if current is None:
            raise LoginRequired()
        return current

    def _is_fresh(self, current: Session) -> bool:
        return -CLOCK_SKEW_SECONDS <= self._bff.clock() - current.proved_at <= FRESH_SECONDS

    async def _own(self, current: Session) -> list[Session]:
        """Return the person's sessions at this origin: pages of one host must not see or end those of another."""
        every = await self._bff.sessions.of_person(current.identity.iss, current.identity.sub)
        return [session for session in every if session.origin == current.origin]


def _describe(session: Session, current: Session) -> dict[str, object]:
    return {
        "id": masked(session.name),
        "current": session.name == current.name,
        "provider": session.provider,
        "device": session.device,
        "created_at": int(session.created_at),
        "expires_at": int(session.absolute_expires_at),
        "idle_expires_at": int(session.idle_expires_at),
    }


def _times(session: Session) -> dict[str, object]:
    return {
        "began": _utc(session.created_at),
        "ends": _utc(session.absolute_expires_at),
    }


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%d %b %Y, %H:%M UTC")
