"""The base of all handlers below `/auth`: facts of the request, its session, and one way to render refusals."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial, wraps

import structlog
from starlette.requests import Request
from starlette.responses import Response

from bff import contract
from bff.assembly import Bff
from bff.audit import attribute_events
from bff.browser.cookies import cookie_headers
from bff.browser.devices import describe_device
from bff.browser.request_facts import RequestFacts, facts_of, note_refusal, wants_page
from bff.browser.return_to import MAX_RETURN_TO, is_local, local_target
from bff.browser.service_workers import refuse_worker
from bff.errors import AuthError
from bff.login.sign_in import Browser
from bff.login.targets import Targets
from bff.sessions.record import Session
from bff.web.answers import respond
from bff.web.login_requests import WantedTarget, query_pairs
from bff.web.problems import render_problem

MAX_FORM = 16_384
_log = structlog.get_logger("vestibule.web")
BoundHandler = Callable[[Request], Awaitable[Response]]


class Handling:
    """The base class of each group of handlers."""

    def __init__(self, bff: Bff, targets: Targets) -> None:
        self._bff = bff
        self._targets = targets

    def answering(self, handler: BoundHandler) -> BoundHandler:
        """Wrap `handler` so that every `AuthError` is rendered."""

        @wraps(handler)
        async def answer(request: Request) -> Response:
            try:
                facts = self._facts(request)
                attribute_events(client=facts.address, request_id=facts.request_id)
                refuse_worker(request.scope["headers"])
                return await handler(request)
            except AuthError as error:
                return self.problem(request, error)

        return answer

    def problem(
        self, request: Request, error: AuthError, *, return_to: str = "/", cookies: list[str] | None = None
    ) -> Response:
        """Render `error` for this request, and write an audit line if operators need one."""
        try:
            facts = self._facts(request)
        except AuthError:
            return Response(b"", error.status)
        note_refusal(request.scope, error.code)
        navigation = wants_page(facts.fetch, request.scope["headers"])
        self._audit_refusal(error, request)
        page = render_problem(
            error, navigation=navigation, request_id=facts.request_id, urls=facts.urls, return_to=return_to
        )
        return respond(page, cookies=cookies)

    def _facts(self, request: Request) -> RequestFacts:
        return facts_of(request.scope, self._bff.origins)

    def _browser(self, request: Request, facts: RequestFacts) -> Browser:
        device = describe_device(request.headers.get("user-agent", "")[:512])
        return Browser(
            cookies=cookie_headers(request.scope["headers"]), address=facts.address, urls=facts.urls, device=device
        )

    def _signed_record(self, request: Request) -> str:
        """Return the record name in this browser's session cookie; "" without a valid one."""
        return self._bff.presented_record(request.scope["headers"])

    async def _current(self, request: Request) -> Session | None:
        """Return the person's session at this origin, with local roles. This does not extend it."""
        name = self._signed_record(request)
        session = await self._bff.sessions.load(name) if name else None
        if session is None or not self._bff.belongs_to(session, self._facts(request).urls):
            return None
        return self._bff.with_roles(session)

    async def _address_of(self, target: WantedTarget, facts: RequestFacts) -> str:
        """Return the address that a request names as its target, "" if it names none, or one that is not kept."""
        if not target.kept_as:
            return target.address
        found = await self._bff.return_targets.find(target.kept_as, origin=facts.urls.origin)
        if not found:
            _log.info("return_target_is_gone", request_id=facts.request_id)
        return found

    def _local(self, text: str, facts: RequestFacts) -> str:
        """Return `text` if it is a place a person may be sent to, else the start page.

        The audit log notes that the target was elsewhere, but not the target itself. A target that is one of our own
        paths but not a page is not an attack: we send people from such paths to the sign-in ourselves. It has a line
        only in the ordinary log.
        """
        target = self._local_or_none(text, facts)
        if target is None and text:
            if is_local(text, own_origin=facts.urls.origin):
                _log.info("return_to_is_no_page", request_id=facts.request_id)
            else:
                detail = f"longer than {MAX_RETURN_TO} bytes" if len(text) > MAX_RETURN_TO else ""
                self._bff.audit.event("request_refused", reason="return_to_replaced", detail=detail)
        return target or facts.urls.base_path + "/"

    def _local_or_none(self, text: str, facts: RequestFacts) -> str | None:
        account = facts.urls.base_path + facts.urls.auth_path + contract.PATH_ACCOUNT
        is_page, origin = partial(self._targets.is_page, urls=facts.urls), facts.urls.origin
        return local_target(text, own_origin=origin, allowed=is_page, named=(account,), fallback="") or None

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

    def _audit_refusal(self, error: AuthError, request: Request) -> None:
        path, providers = request.scope["path"], self._bff.sign_in.providers
        _, at_callback, provider = path.partition(self._bff.urls.auth_path + contract.PATH_CALLBACK + "/")
        if path == contract.OAUTH2_CALLBACK:
            at_callback, provider = path, next(iter(providers), "")
        self._bff.audit.refusal(
            error,
            event="login_failed" if at_callback else None,
            provider=provider if provider in providers else "",
        )
