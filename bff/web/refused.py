"""`/auth/refused`: what a person sees when a proxy asked `/auth/verify` and got no.

nginx throws away the body of that answer and keeps its status alone; a failure of ours becomes its own 500. So it shows
this page (`error_page`), with the reason in the query. Reasons come from a closed list, which also has the status, so a
link that somebody made shows nothing that is not ours.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response

from bff.browser.request_facts import RequestFacts, wants_page
from bff.errors import AuthError, BadRequest, Forbidden, LoginRequired, Misdirected, NotFound, Unavailable
from bff.web.answers import redirect, respond
from bff.web.handlers import Handling
from bff.web.login_requests import WantedTarget, query_pairs
from bff.web.problems import login_url, render_problem

REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{8,128}")
NOT_SET_UP: Final = "The proxy in front of this application is not set up as it must be. Please tell whoever runs it."
_UNREADABLE: Final = "Programs can read this address in more than one way."
_ELSEWHERE: Final = "This came from another site."
_REASONS: Final[dict[str, AuthError]] = {
    error.code: error
    for error in (
        LoginRequired(),
        LoginRequired("step_up_required", "Please sign in once more for this."),
        LoginRequired("token_expired", "Your sign-in no longer reaches this application."),
        LoginRequired("invalid_token", "The bearer token is not acceptable."),
        Forbidden(message="You are not allowed to do this."),
        Forbidden("groups_unknown", "You are in so many groups that it is not known whether you may do this."),
        Forbidden("csrf_origin", _ELSEWHERE),
        Forbidden("csrf_missing", "This call does not say where it comes from."),
        Forbidden("ws_origin", _ELSEWHERE),
        Forbidden("service_worker", "This address cannot be a service worker."),
        Forbidden("kit_credential", "This call must go to the front door."),
        Forbidden("forged_header", "This request holds a header that may not pass."),
        NotFound(),
        NotFound("reserved_path"),
        AuthError("method_not_allowed", "Not with this method.", status=405),
        AuthError("url_too_long", "This address is too long.", status=414),
        BadRequest("ambiguous_path", _UNREADABLE),
        BadRequest("ambiguous_query", _UNREADABLE),
        BadRequest("two_credentials"),
        Misdirected(),
        Unavailable(),
        Unavailable("store_unavailable"),
        Unavailable("provider_unavailable"),
        Unavailable("token_refresh"),
        Unavailable("login_limit", "Too many sign-ins are under way. Please try again in a moment."),
        AuthError("token_exchange", status=502),
        AuthError("client_credentials", status=502),
        AuthError("head_too_long", "This application cannot be told who you are."),
        AuthError("forward_auth_peer", NOT_SET_UP),
        AuthError("forward_auth_mode", NOT_SET_UP),
        AuthError("forward_auth_original", NOT_SET_UP),
    )
}
UNKNOWN: Final = Unavailable()
"""Shown for any other reason, and for none: then the proxy did not get an answer from verify."""


@dataclass(frozen=True, slots=True)
class _Told:
    """What the query says, as far as it can be trusted."""

    error: AuthError
    request_id: str
    target: WantedTarget


class RefusedRoutes(Handling):
    """The page of a refusal. It decides nothing and changes nothing."""

    async def refused(self, request: Request) -> Response:
        facts = self._facts(request)
        told = _read(request.scope["query_string"], request_id=facts.request_id)
        return_to = await self._return_to(told, facts)
        navigation = wants_page(facts.fetch, request.scope["headers"])
        if told.error.status == HTTPStatus.UNAUTHORIZED and navigation and return_to:
            return redirect(302, login_url(facts.urls, return_to))
        error = told.error
        if error.status == HTTPStatus.FORBIDDEN:
            error = await self._with_name(request, error, return_to)
        page = render_problem(
            error,
            navigation=navigation,
            request_id=told.request_id,
            urls=facts.urls,
            return_to=return_to or facts.urls.base_path + "/",
        )
        return respond(page)

    async def _return_to(self, told: _Told, facts: RequestFacts) -> str:
        """Return where a sign-in should lead, "" if nowhere: the proxied request was no navigation."""
        if not (told.target.address or told.target.kept_as):
            return ""
        return self._local(await self._address_of(told.target, facts), facts)

    async def _with_name(self, request: Request, error: AuthError, return_to: str) -> AuthError:
        """Return the refusal of the page `return_to` as the person's own: who they are, and what the page needs."""
        session = await self._current(request)
        if session is None:
            return error
        if return_to and error.code == Forbidden.default_code:
            path = unquote(return_to.partition("?")[0])
            refusal = self._targets.refusal(path, session, urls=self._facts(request).urls)
            if refusal is not None:
                return refusal
        identity = session.identity
        name = identity.name or identity.email or identity.sub
        return Forbidden(error.code, f"You are signed in as {name}. {error.message}")


def _read(query: bytes, *, request_id: str) -> _Told:
    try:
        pairs = query_pairs(query, code="bad_request")
    except BadRequest:
        pairs = []
    values = dict(pairs) if len({name for name, _ in pairs}) == len(pairs) else {}
    given = values.get("request_id", "")
    return _Told(
        error=_REASONS.get(values.get("reason", ""), UNKNOWN),
        request_id=given if REQUEST_ID.fullmatch(given) else request_id,
        target=WantedTarget(values.get("return_to", ""), values.get("return_id", "")),
    )
