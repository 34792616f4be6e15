"""Signing in and out in the browser: login, callback, logout, the signed-out page."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import unquote

from authlib.common.urls import add_params_to_uri
from starlette.requests import Request
from starlette.responses import Response

from bff import contract
from bff.access.policy import Demands
from bff.browser.cookies import build_clear_cookie, build_set_cookie, cookie_headers, transaction_cookie_names
from bff.browser.csrf import check_same_origin, is_same_origin
from bff.browser.request_facts import RequestFacts
from bff.browser.return_to import is_allowed_origin_target
from bff.browser.service_workers import CLEAR_STORAGE
from bff.errors import AuthError, BadRequest, CallbackRejected, NotFound, ProviderUnavailable, SignInLost
from bff.kit.one_time_codes import BINDING
from bff.login.sign_in import LoginDenied, LoginFinished, LoginRequest
from bff.oidc.end_session import ByForm, ByRedirect
from bff.sessions.record import Session
from bff.web.answers import redirect, respond
from bff.web.handlers import Handling
from bff.web.login_requests import KNOWN, check_navigation, parse_login_request, query_pairs
from bff.web.pages import render_form_page, render_page, render_telling_page
from bff.web.problems import login_url

SILENT = ("provider", "silent")
"""Parameter of the signed-out page if the provider could not be told about the sign-out."""


LOST = frozenset({"callback_foreign_browser", "callback_unknown"})
"""Codes of a callback whose sign-in this browser does not have, or whose sign-in is used or forgotten."""


class SignInRoutes(Handling):
    """Thin handlers: read the request, call the use-case, write the answer."""

    async def login(self, request: Request) -> Response:
        facts, bff = self._facts(request), self._bff
        check_navigation(facts.fetch, request.scope["headers"])
        wanted, target = parse_login_request(request.scope["query_string"], providers=bff.sign_in.providers)
        raw_return_to = await self._address_of(target, facts)
        if wanted.kit_client:
            return_to, demands = self._kit_target(wanted, raw_return_to), Demands()
        else:
            return_to = self._local(raw_return_to, facts) if raw_return_to else self._referring_page(request, facts)
            demands = self._targets.demands(unquote(return_to.partition("?")[0]), urls=facts.urls)
        names = list(bff.sign_in.providers)
        provider = wanted.provider or demands.provider or (names[0] if len(names) == 1 else "")
        if not provider:
            is_replaced = (
                bool(raw_return_to) and not wanted.kit_client and self._local_or_none(raw_return_to, facts) is None
            )
            return self._choice(facts, request, return_to=return_to, is_replaced=is_replaced)
        trial = await bff.trials.known(wanted.trial)
        async with bff.trials.watching(trial):
            started = await bff.sign_in.start_login(
                replace(wanted, provider=provider, return_to=return_to, trial=trial),
                self._browser(request, facts),
                demands=demands,
                replaces=self._signed_record(request),
            )
        return redirect(302, started.url, cookies=started.set_cookies)

    async def callback(self, request: Request) -> Response:
        facts, bff = self._facts(request), self._bff
        name = request.path_params["provider"]
        if name not in bff.sign_in.providers:
            raise NotFound()
        if b"prefetch" in request.headers.get("sec-purpose", "").encode():
            raise BadRequest("callback_prefetch", "This address cannot be prefetched.")
        parameters = await self._callback_parameters(request, name)
        browser = self._browser(request, facts)
        cookies = bff.sign_in.clear_transaction_cookie(parameters, browser)
        try:
            outcome = await bff.sign_in.finish_login(name, parameters, browser)
        except AuthError as error:
            if error.code not in LOST:
                return self.problem(request, error, cookies=cookies)
            return await self._lost(request, error, parameters, cookies=cookies)
        match outcome:
            case LoginFinished(opened):
                signed_in = self._session_cookie(opened.cookie, opened.session)
                return redirect(303, await self._way_back(outcome), cookies=[*cookies, signed_in])
            case LoginDenied(error_code, return_to, _):
                return self.problem(request, _denial(error_code), return_to=return_to, cookies=cookies)

    async def _lost(
        self, request: Request, error: AuthError, parameters: list[tuple[str, str]], *, cookies: list[str]
    ) -> Response:
        """A sign-in that this browser does not know, or no longer: a way to the page that it was for.

        It is a link, never a redirect: somebody else may have made the callback's address.
        """
        facts = self._facts(request)
        wanted = await self._bff.sign_in.wanted_page(parameters, self._browser(request, facts))
        return_to = self._local_or_none(wanted, facts) or facts.urls.base_path + "/"
        try:
            session = await self._current(request)
        except AuthError:
            session = None
        if session is not None:
            error = SignInLost(error.code, detail=error.detail)
        return self.problem(request, error, return_to=return_to, cookies=cookies)

    async def logout(self, request: Request) -> Response:
        facts = self._facts(request)
        session = await self._current(request)
        landing = self._landing(request, facts)
        if request.method == "GET":
            if session is None:
                return self._signed_out(request, facts)
            return self._logout_question(request, facts, session)
        check_same_origin("POST", facts.fetch, origin=facts.urls.origin, strict_reads=True)
        form = dict(await self._form(request, code="logout_malformed"))
        clears = [CLEAR_STORAGE] if self._targets.clears_storage(facts.urls) else []
        if session is None:
            return redirect(303, landing, cookies=self._cleared(request), headers=clears)
        everywhere = form.get("everywhere") == "1"
        started = await self._bff.sign_in.start_logout(session, everywhere=everywhere, urls=facts.urls)
        if started.is_provider_silent:
            landing = add_params_to_uri(landing, [SILENT])
        match started.request:
            case ByForm(endpoint, origin, parameters) if facts.fetch.is_navigation:
                page = render_form_page("logging_out.html", origin=origin, action=endpoint, parameters=parameters)
                return respond(replace(page, headers=page.headers + clears), cookies=self._cleared(request))
            case ByForm(instead=ByRedirect(url)) | ByRedirect(url):
                # A script can read the answer to its own request, but never where a redirect leads.
                landing = url
        return redirect(303, landing, cookies=self._cleared(request), headers=clears)

    async def logged_out(self, request: Request) -> Response:
        facts = self._facts(request)
        try:
            pairs = dict(query_pairs(request.scope["query_string"], code="bad_request"))
        except BadRequest:
            pairs = {}
        return_to = self._local(pairs.get("return_to", ""), facts)
        session = await self._current(request)
        base = facts.urls.base_path + facts.urls.auth_path
        if session is None:
            page = render_telling_page(
                "logged_out.html",
                script=base + contract.PATH_GUARD,
                login_url=login_url(facts.urls, return_to),
                silent=SILENT in pairs.items(),
            )
            return respond(page)
        return respond(
            render_page("still_in.html", name=name_of(session), back=return_to, logout_url=base + contract.PATH_LOGOUT)
        )

    def _referring_page(self, request: Request, facts: RequestFacts) -> str:
        """Return the page that the person came from, for `st.login`, which names no page; otherwise the start page."""
        referer = request.headers.get("referer", "")
        scheme, separator, rest = referer.partition("://")
        host, slash, path = rest.partition("/")
        here = slash + path if is_same_origin(f"{scheme}{separator}{host}", facts.urls.origin) else ""
        return self._local_or_none(here, facts) or facts.urls.base_path + "/"

    def _choice(self, facts: RequestFacts, request: Request, *, return_to: str, is_replaced: bool) -> Response:
        """Return the page that offers the providers. Each link repeats this request with a provider."""
        here = facts.urls.base_path + facts.urls.auth_path + contract.PATH_LOGIN
        asked = query_pairs(request.scope["query_string"], code="login_parameters")
        same = [(name, value) for name, value in asked if value and name in KNOWN - {"provider", "return_to"}]
        choices = [
            {
                "href": add_params_to_uri(here, [*same, ("return_to", return_to), ("provider", name)]),
                "label": provider.settings.display_name or name,
            }
            for name, provider in self._bff.sign_in.providers.items()
        ]
        return respond(render_page("sign_in.html", choices=choices, is_replaced=is_replaced))

    def _kit_target(self, wanted: LoginRequest, return_to: str) -> str:
        """Return where auth-code mode sends the person: to an allowed origin of the kit client.

        Raises:
            BadRequest: `kit_login`: an unknown client, no binding, or an origin that the client does not have.
        """
        client = self._bff.settings.kit_clients.get(wanted.kit_client)
        if client is None or not BINDING.fullmatch(wanted.kit_binding):
            raise BadRequest("kit_login", detail="unknown kit client or no binding")
        if not is_allowed_origin_target(return_to, client.origins):
            raise BadRequest("kit_login", detail="return_to is not on an origin of this kit client")
        return return_to

    async def _way_back(self, finished: LoginFinished) -> str:
        if not finished.kit_client:
            return finished.return_to
        session = finished.opened.session
        code = await self._bff.kit_codes.issue(session, client=finished.kit_client, binding=finished.kit_binding)
        return str(add_params_to_uri(finished.return_to, [("auth_code", code)]))

    def _landing(self, request: Request, facts: RequestFacts) -> str:
        """Return the address of the page that says "signed out"."""
        return facts.urls.base_path + facts.urls.auth_path + contract.PATH_LOGGED_OUT

    def _signed_out(self, request: Request, facts: RequestFacts) -> Response:
        return redirect(303, self._landing(request, facts))

    def _logout_question(self, request: Request, facts: RequestFacts, session: Session) -> Response:
        back = facts.urls.base_path + "/"
        return respond(render_page("logout.html", name=name_of(session), action=facts.urls.logout_path, back=back))

    def _session_cookie(self, value: str, session: Session) -> str:
        names = self._bff.cookie_names
        lasts = self._bff.settings.session.cookie == "persistent"
        seconds = int(session.absolute_expires_at - session.created_at) if lasts else None
        return build_set_cookie(names.session, value, secure=names.secure, max_age=seconds)

    def _cleared(self, request: Request) -> list[str]:
        names, sent = self._bff.cookie_names, cookie_headers(request.scope["headers"])
        cookies = [names.session, *dict.fromkeys(transaction_cookie_names(sent, names))]
        return [build_clear_cookie(name, secure=names.secure) for name in cookies]

    async def _callback_parameters(self, request: Request, provider: str) -> list[tuple[str, str]]:
        by_form = self._bff.sign_in.providers[provider].settings.response_mode == "form_post"
        if (request.method == "POST") != by_form:
            raise AuthError("method_not_allowed", "Not with this method.", status=405)
        if by_form:
            return await self._form(request, code="callback_malformed")
        try:
            return query_pairs(request.scope["query_string"], code="callback_malformed")
        except BadRequest as exc:
            raise CallbackRejected(exc.code, detail=exc.detail) from exc


def name_of(session: Session) -> str:
    identity = session.identity
    return identity.name or identity.email or identity.sub


class _Denied(CallbackRejected):
    """The provider refused. This is already in the audit log."""

    is_audited = True
    is_ordinary = True


class _Unable(ProviderUnavailable):
    """The provider failed. This is already in the audit log, as a failed sign-in."""

    is_audited = True


def _denial(error: str) -> AuthError:
    if error == "access_denied":
        return _Denied("login_cancelled", "The sign-in was cancelled, or the identity provider refused it.")
    if error in ("server_error", "temporarily_unavailable"):
        return _Unable("provider_error")
    return _Denied("login_denied", "The identity provider did not sign you in.")
