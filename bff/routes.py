"""The FastAPI application below `/auth`: sign-in, callback, sign-out, session, keys."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from fastapi import FastAPI, Request, Response

from bff import contract
from bff.assembly import Bff
from bff.audit import Event
from bff.cookies import (
    DuplicateCookie,
    build_clear_cookie,
    build_set_cookie,
    cookie_headers,
    find_session_cookie,
    transaction_cookie_names,
)
from bff.csrf import check_same_origin
from bff.errors import AuthError, BadRequest, CallbackRejected, LoginRequired, NotFound, ProviderUnavailable
from bff.login import Browser, LoginDenied, LoginFinished, Targets
from bff.login_requests import check_navigation, parse_login_request, query_pairs
from bff.pages import Page, render_page
from bff.problems import login_url, render_problem
from bff.request_facts import RequestFacts, facts_of
from bff.return_to import local_target
from bff.session import Session

MAX_FORM = 16_384
GUARD_SCRIPT = (Path(__file__).parent / "pages" / "guard.js").read_bytes()
BoundHandler = Callable[[Request], Awaitable[Response]]


def create_auth_app(bff: Bff, targets: Targets) -> FastAPI:
    """The application that serves `server.auth_path` and everything below it."""
    app = FastAPI(title="vestibule", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    routes = AuthRoutes(bff, targets)
    base = bff.settings.server.auth_path
    table: list[tuple[str, list[str], BoundHandler]] = [
        (contract.PATH_LOGIN, ["GET"], routes.login),
        (contract.PATH_CALLBACK + "/{provider}", ["GET", "POST"], routes.callback),
        (contract.PATH_LOGOUT, ["GET", "POST"], routes.logout),
        (contract.PATH_LOGGED_OUT, ["GET"], routes.logged_out),
        (contract.PATH_SESSION, ["GET"], routes.session),
        (contract.PATH_JWKS, ["GET", "HEAD"], routes.jwks),
        (contract.PATH_GUARD, ["GET", "HEAD"], routes.guard_script),
    ]
    for path, methods, handler in table:
        app.add_api_route(base + path, routes.answering(handler), methods=methods, include_in_schema=False)

    async def refuse(request: Request, error: Exception) -> Response:
        status = getattr(error, "status_code", 404)
        problem = NotFound() if status == 404 else AuthError("method_not_allowed", "Not with this method.", status=405)
        return routes.problem(request, problem)

    app.add_exception_handler(404, refuse)
    app.add_exception_handler(405, refuse)
    return app


class AuthRoutes:
    """Handlers, thin: read the request, call the use-case, write the answer."""

    def __init__(self, bff: Bff, targets: Targets) -> None:
        self._bff = bff
        self._targets = targets

    def answering(self, handler: BoundHandler) -> BoundHandler:
        """`handler` with every `AuthError` rendered."""

        @wraps(handler)
        async def answer(request: Request) -> Response:
            try:
                return await handler(request)
            except AuthError as error:
                return self.problem(request, error)

        return answer

    def problem(
        self, request: Request, error: AuthError, *, return_to: str = "/", cookies: list[str] | None = None
    ) -> Response:
        """Render `error` for this request and leave an audit line for what operators look for."""
        try:
            facts = self._facts(request)
        except AuthError:
            return Response(b"", error.status)
        navigation = facts.fetch.is_navigation or (not facts.fetch.mode and _wants_html(request))
        self._audit_refusal(error, facts, request)
        page = render_problem(
            error, navigation=navigation, request_id=facts.request_id, urls=facts.urls, return_to=return_to
        )
        return _respond(page, cookies=cookies)

    async def login(self, request: Request) -> Response:
        facts, bff = self._facts(request), self._bff
        check_navigation(facts.fetch, request.scope["headers"])
        wanted, raw_return_to = parse_login_request(request.scope["query_string"], providers=bff.sign_in.providers)
        return_to = self._local(raw_return_to or self._referring_page(request, facts), facts)
        demands = self._targets.demands(return_to.partition("?")[0])
        names = list(bff.sign_in.providers)
        provider = wanted.provider or demands.provider or (names[0] if len(names) == 1 else "")
        if not provider:
            return self._choice(facts, return_to)
        started = await bff.sign_in.start_login(
            replace(wanted, provider=provider, return_to=return_to),
            self._browser(request, facts),
            demands=demands,
            replaces=self._signed_record(request),
        )
        return _redirect(302, started.url, cookies=started.set_cookies)

    async def callback(self, request: Request) -> Response:
        facts, bff = self._facts(request), self._bff
        name = request.path_params["provider"]
        if name not in bff.sign_in.providers:
            raise NotFound()
        if b"prefetch" in request.headers.get("sec-purpose", "").encode():
            raise BadRequest("callback_prefetch")
        parameters = await self._callback_parameters(request, name)
        browser = self._browser(request, facts)
        cookies = bff.sign_in.clear_transaction_cookie(parameters, browser)
        try:
            outcome = await bff.sign_in.finish_login(name, parameters, browser)
        except AuthError as error:
            return self.problem(request, error, cookies=cookies)
        match outcome:
            case LoginFinished(opened, return_to):
                return _redirect(
                    303, return_to, cookies=[*cookies, self._session_cookie(opened.cookie, opened.session)]
                )
            case LoginDenied(error_code, return_to, _):
                return self.problem(request, _denial(error_code), return_to=return_to, cookies=cookies)

    async def logout(self, request: Request) -> Response:
        facts = self._facts(request)
        session = await self._current(request)
        landing = facts.urls.base_path + facts.urls.auth_path + contract.PATH_LOGGED_OUT
        if request.method == "GET":
            return _redirect(303, landing) if session is None else self._logout_question(facts, session)
        check_same_origin("POST", facts.fetch, origins=self._own_origins(), strict_reads=True)
        form = dict(await self._form(request, code="logout_malformed"))
        if session is None:
            return _redirect(303, landing, cookies=self._cleared(request))
        started = await self._bff.sign_in.start_logout(
            session, everywhere=form.get("everywhere") == "1", urls=facts.urls
        )
        return _redirect(303, started.url or landing, cookies=self._cleared(request))

    async def logged_out(self, request: Request) -> Response:
        facts = self._facts(request)
        try:
            pairs = dict(query_pairs(request.scope["query_string"], code="bad_request"))
        except BadRequest:
            pairs = {}
        return_to = self._local(pairs.get("return_to", ""), facts)
        return _respond(render_page("logged_out.html", login_url=login_url(facts.urls, return_to)))

    async def session(self, request: Request) -> Response:
        """Who is signed in, as JSON; asking does not count as activity."""
        facts = self._facts(request)
        check_same_origin("GET", facts.fetch, origins=self._own_origins(), strict_reads=False)
        session = await self._current(request)
        if session is None:
            raise LoginRequired()
        identity, urls = session.identity, facts.urls
        answer = {
            "sub": identity.sub,
            "iss": identity.iss,
            "provider": identity.provider,
            "name": identity.name,
            "email": identity.email,
            "roles": list(identity.roles),
            "groups": list(identity.groups),
            "expires_at": int(session.absolute_expires_at),
            "idle_expires_at": int(session.idle_expires_at),
            "login_url": login_url(urls, "/"),
            "logout_url": urls.base_path + urls.auth_path + contract.PATH_LOGOUT,
        }
        return _json(answer, [("cache-control", "no-store"), ("vary", "Cookie")])

    async def jwks(self, request: Request) -> Response:
        return _json(self._bff.assertions.jwks(), [("cache-control", "public, max-age=300")])

    async def guard_script(self, request: Request) -> Response:
        headers = {"cache-control": "public, max-age=300", "x-content-type-options": "nosniff"}
        return Response(GUARD_SCRIPT, media_type="text/javascript; charset=utf-8", headers=headers)

    def _facts(self, request: Request) -> RequestFacts:
        return facts_of(request.scope, self._bff.origins)

    def _own_origins(self) -> set[str]:
        return {urls.origin for urls in self._bff.origins.values()}

    def _browser(self, request: Request, facts: RequestFacts) -> Browser:
        return Browser(cookies=cookie_headers(request.scope["headers"]), address=facts.address, urls=facts.urls)

    def _signed_record(self, request: Request) -> str:
        """Record name of the session cookie this browser holds, "" without a valid one."""
        try:
            value = find_session_cookie(cookie_headers(request.scope["headers"]), self._bff.cookie_names.session)
        except DuplicateCookie:
            self._bff.audit.event("duplicate_cookie", request_id=self._facts(request).request_id)
            return ""
        return (self._bff.sessions.name_of(value) or "") if value else ""

    async def _current(self, request: Request) -> Session | None:
        name = self._signed_record(request)
        return await self._bff.sessions.load(name) if name else None

    def _local(self, text: str, facts: RequestFacts) -> str:
        home = facts.urls.base_path + "/"
        return local_target(text, own_origin=facts.urls.origin, allowed=self._targets.is_page, fallback=home)

    def _referring_page(self, request: Request, facts: RequestFacts) -> str:
        referer = request.headers.get("referer", "")
        parts = urlsplit(referer) if referer.isascii() else urlsplit("")
        return referer if f"{parts.scheme}://{parts.netloc}".lower() == facts.urls.origin else ""

    def _choice(self, facts: RequestFacts, return_to: str) -> Response:
        choices = [
            {"href": login_url(facts.urls, return_to, provider=name), "label": provider.settings.display_name or name}
            for name, provider in self._bff.sign_in.providers.items()
        ]
        return _respond(render_page("sign_in.html", choices=choices))

    def _logout_question(self, facts: RequestFacts, session: Session) -> Response:
        identity, base = session.identity, facts.urls.base_path
        name = identity.name or identity.email or identity.sub
        action = base + facts.urls.auth_path + contract.PATH_LOGOUT
        return _respond(render_page("logout.html", name=name, action=action, back=base + "/"))

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

    async def _form(self, request: Request, *, code: str) -> list[tuple[str, str]]:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_FORM:
                raise AuthError("body_too_large", "This form is too large.", status=413)
        if not body:
            return []
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
            raise AuthError("unsupported_media_type", "This needs a form.", status=415)
        return query_pairs(bytes(body), code=code)

    def _audit_refusal(self, error: AuthError, facts: RequestFacts, request: Request) -> None:
        if error.status in (401, 404, 405) or isinstance(error, _Denied):
            return
        at_callback = contract.PATH_CALLBACK in request.url.path
        event: Event = (
            "login_failed" if at_callback else "provider_failed" if error.status == 503 else "request_refused"
        )
        self._bff.audit.event(
            event, reason=error.code, detail=error.detail, client=facts.address, request_id=facts.request_id
        )


class _Denied(CallbackRejected):
    """The provider's own no, already in the audit log."""


def _denial(error: str) -> AuthError:
    if error == "access_denied":
        return _Denied("login_cancelled", "The sign-in was cancelled, or the identity provider refused it.")
    if error in ("server_error", "temporarily_unavailable"):
        return ProviderUnavailable("provider_error")
    return _Denied("login_denied", "The identity provider did not sign you in.")


def _wants_html(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")


def _respond(page: Page, *, cookies: list[str] | None = None) -> Response:
    response = Response(page.body, page.status)
    headers = page.headers + [("set-cookie", cookie) for cookie in cookies or ()]
    response.raw_headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    response.raw_headers.append((b"content-length", str(len(page.body)).encode()))
    return response


def _redirect(status: Literal[302, 303], location: str, *, cookies: list[str] | None = None) -> Response:
    headers = [("location", location), ("cache-control", "no-store"), ("referrer-policy", "no-referrer")]
    return _respond(Page(status, headers, b""), cookies=cookies)


def _json(value: object, headers: list[tuple[str, str]]) -> Response:
    body = json.dumps(value, separators=(",", ":")).encode()
    plain = [("content-type", "application/json"), ("x-content-type-options", "nosniff")]
    return _respond(Page(200, plain + headers, body))
