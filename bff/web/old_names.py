"""The names of oauth2-proxy below `/oauth2` that a browser opens: sign-in, callback, sign-out, and who is there.

A proxy that was set up for oauth2-proxy may pass only `/oauth2/` on to us. So nothing here links to a page elsewhere.
`/oauth2/auth`, which the proxy itself asks, is in `gateway.old_names`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from bff import contract
from bff.access.policy import Demands
from bff.assembly import Bff
from bff.browser.csrf import check_same_origin
from bff.browser.request_facts import RequestFacts
from bff.errors import LoginRequired
from bff.login.sign_in import LoginRequest
from bff.login.targets import Targets
from bff.sessions.record import Session
from bff.settings.public_urls import PublicUrls
from bff.web.answers import answer_json, respond
from bff.web.app import Endpoints, build_app
from bff.web.login_requests import check_navigation
from bff.web.old_requests import read_target
from bff.web.pages import Page, render_page
from bff.web.problems import login_url
from bff.web.sign_in import SILENT, SignInRoutes, name_of

REDIRECT_KEY: Final = "vestibule.redirect"
"""In a scope: the target in `X-Auth-Request-Redirect` of a trusted proxy, "" without one."""


def create_old_names_app(bff: Bff, targets: Targets, *, demands: Callable[[PublicUrls], Demands]) -> Starlette:
    """Make the application below `/oauth2`. `demands` says what all routes of an origin need from a sign-in."""
    names = OldNames(bff, targets, demands)
    table: Endpoints = [
        (contract.OAUTH2_START, ["GET"], names.start),
        (contract.OAUTH2_SIGN_IN, ["GET"], names.start),
        (contract.OAUTH2_CALLBACK, ["GET", "POST"], names.callback_of_the_one),
        (contract.OAUTH2_SIGN_OUT, ["GET", "POST"], names.logout),
        (contract.OAUTH2_USERINFO, ["GET"], names.userinfo),
    ]
    return build_app(table, names)


class OldNames(SignInRoutes):
    """The handlers. They do what those below `server.auth_path` do, and differ in names and links."""

    def __init__(self, bff: Bff, targets: Targets, demands: Callable[[PublicUrls], Demands]) -> None:
        super().__init__(bff, targets)
        self._demands = demands
        (self._provider,) = bff.sign_in.providers

    async def start(self, request: Request) -> Response:
        """Send the browser to the provider. Nobody chooses: there is one.

        Some proxies change the status of this answer, so that no browser follows it. For them it has a page.
        """
        facts = self._facts(request)
        check_navigation(facts.fetch, request.scope["headers"])
        return_to = self._wanted(request, facts)
        started = await self._bff.sign_in.start_login(
            LoginRequest(provider=self._provider, return_to=return_to),
            self._browser(request, facts),
            demands=self._demands(facts.urls),
            replaces=self._signed_record(request),
        )
        label = self._bff.sign_in.providers[self._provider].settings.display_name or self._provider
        offer = render_page("sign_in.html", choices=[{"href": login_url(facts.urls, return_to), "label": label}])
        kept = [header for header in offer.headers if header[0] != "referrer-policy"]
        headers = [("location", started.url), *kept, ("referrer-policy", "no-referrer")]
        return respond(Page(302, headers, offer.body), cookies=started.set_cookies)

    async def callback_of_the_one(self, request: Request) -> Response:
        """Take the answer of the one provider. Everything else is as at its own callback."""
        request.path_params["provider"] = self._provider
        return await self.callback(request)

    async def userinfo(self, request: Request) -> Response:
        """Return who is signed in, in oauth2-proxy's words. An address that nobody verified is not named."""
        facts = self._facts(request)
        check_same_origin("GET", facts.fetch, origin=facts.urls.origin, strict_reads=False)
        session = await self._current(request)
        if session is None:
            raise LoginRequired()
        identity = session.identity
        answer: dict[str, object] = {
            "user": identity.sub,
            "email": identity.email if identity.email_verified else "",
        }
        if identity.groups:
            answer["groups"] = list(identity.groups)
        if identity.preferred_username:
            answer["preferredUsername"] = identity.preferred_username
        return answer_json(answer, [("cache-control", "no-store"), ("vary", "Cookie")])

    def _facts(self, request: Request) -> RequestFacts:
        facts = super()._facts(request)
        return replace(facts, urls=replace(facts.urls, has_old_names=True))

    def _wanted(self, request: Request, facts: RequestFacts) -> str:
        """Return where the person may go on: `rd`, else what the proxy says, else the start page."""
        said: str = request.scope.get(REDIRECT_KEY, "")
        path = said.removeprefix(facts.urls.origin).partition("?")[0] + "/"
        if path.startswith(facts.urls.base_path + contract.OAUTH2_PATH + "/"):
            said = ""  # nginx says so for each request that came here by itself
        return self._local(read_target(request.scope["query_string"]) or said, facts)

    def _landing(self, request: Request, facts: RequestFacts) -> str:
        return facts.urls.logout_path + "?" + urlencode({"rd": self._wanted(request, facts)})

    def _logout_question(self, request: Request, facts: RequestFacts, session: Session) -> Response:
        back, action = self._wanted(request, facts), self._landing(request, facts)
        return respond(render_page("logout.html", name=name_of(session), action=action, back=back))

    def _signed_out(self, request: Request, facts: RequestFacts) -> Response:
        """Say that nobody is signed in. The page is at the same address, because a proxy passes that one on."""
        silent = SILENT in request.query_params.items()
        again = login_url(facts.urls, self._wanted(request, facts))
        return respond(render_page("logged_out.html", login_url=again, silent=silent))
