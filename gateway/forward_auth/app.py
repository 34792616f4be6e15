"""The forward-auth listener: a proxy asks whether a request may pass, and gets yes with the identity, or no.

It takes the same steps as a proxied request (`gateway.admission`) and answers instead of proxying. Only proxies may
reach this listener: a browser that could ask here would show the tokens of a yes to the scripts of a page.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import replace
from time import perf_counter
from typing import Any, Final

import structlog
from starlette.types import Receive, Scope, Send

from bff import contract
from bff.assembly import Bff
from bff.audit import attribute_events
from bff.browser.csrf import FetchMetadata
from bff.browser.request_facts import wants_page
from bff.browser.return_to import is_local
from bff.errors import AuthError, Forbidden, LoginRequired, NotFound, Unavailable
from bff.settings.header_names import added_header_names
from bff.settings.tables import ForwardAuthMode, RouteSettings
from bff.web.refused import NOT_SET_UP
from gateway.access.credentials import Caller
from gateway.access.paths import AmbiguousPath, forward_target
from gateway.access.request import KIT_HEADER, Incoming, read_endpoint, read_request
from gateway.access.session_cache import SessionCache
from gateway.access_log import AccessLog
from gateway.admission import Admission
from gateway.app import GatewayApp
from gateway.forward_auth.answers import longest_location, refusal, sign_in_address
from gateway.forward_auth.forgeries import find_forgery
from gateway.forward_auth.identity import AnsweredIdentity, cookies_for
from gateway.forward_auth.original import Original, Refused, as_written, is_handshake, read_original
from gateway.headers.forwarded import ClientEndpoint
from gateway.headers.request import RawHeaders, owned_headers
from gateway.problems import send_page, stamping
from gateway.relay.use import is_use

NAVIGABLE: Final = frozenset({"GET", "HEAD"})
COMPARING_BYTES: Final = frozenset({"envoy", "haproxy"})
"""Modes of proxies that do not decode a path before they choose an application."""
OK_ENDING: Final = [(b"cache-control", b"no-store"), (b"content-length", b"0")]


def create_verify_app(app: GatewayApp) -> VerifyApp:
    """Build the application of the forward-auth listener. It shares the sessions of `app`."""
    return VerifyApp(app.bff, app.cache)


class VerifyApp:
    """Serves `{auth_path}/verify`, any method and any suffix. It reads no body."""

    def __init__(self, bff: Bff, cache: SessionCache) -> None:
        self._bff = bff
        self._cache = cache
        self._server = bff.settings.server
        self._modes = frozenset(bff.settings.forward_auth.modes)
        self._longest_location = longest_location(bff.settings.forward_auth.head_bytes)
        self._base = (bff.urls.base_path + bff.urls.auth_path + contract.PATH_VERIFY).encode("ascii")
        self._owned = owned_headers(added_header_names(bff.settings.routes))
        self._admission = Admission(bff, cache)
        self._identity = AnsweredIdentity(bff)
        self._access = AccessLog(enabled=bff.settings.log.access)
        self._log = structlog.get_logger("vestibule.gateway")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        started = perf_counter()
        client, request_id = read_endpoint(scope, self._server)
        attribute_events(client=client.address, request_id=request_id)
        asked = _Asked(scope, client, request_id, send)
        try:
            headers = await self._answer(asked)
        except AuthError as error:
            self._bff.audit.refusal(error)
            await self._refuse(asked, error)
        except Exception as error:
            self._log.error("unexpected_error", kind=type(error).__name__, request_id=request_id, exc_info=True)
            await self._refuse(asked, AuthError())
        else:
            asked.status = 200
            headers = [*headers, (b"x-request-id", request_id.encode("ascii")), *OK_ENDING]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            seconds = perf_counter() - started
            self._access.write(
                asked.original, client.address, request_id, asked.route, asked.status, seconds, code=asked.code
            )

    async def _answer(self, asked: _Asked) -> RawHeaders:
        incoming = self._read(asked)
        if self._admission.is_reserved(incoming):
            raise Forbidden("reserved_path", NOT_SET_UP, detail="a proxy must send this address to the public listener")
        route = self._admission.match(incoming)
        asked.route = route.id if route else ""
        self._admission.check_address(incoming, route)
        self._check_written(asked.mode, incoming, route)
        if any(name == KIT_HEADER for name, _ in incoming.headers):
            raise Forbidden("kit_credential", "This call must go to the front door.", detail="a kit call behind verify")
        if route is None:
            nobody = (await self._admission.credentials.identify(incoming, None)).live is None
            raise LoginRequired() if nobody else NotFound()
        caller = await self._admission.caller_of(incoming, route)
        self._admission.check(incoming, route, caller)
        await self._slide(incoming, route, caller)
        told = await self._identity.headers(caller, route)
        if asked.mode == "traefik" and incoming.scope["type"] == "websocket":
            told = [*told, (b"upgrade", b"websocket")]  # Traefik removes an Upgrade that no answer names
        return [*told, *cookies_for(asked.mode, incoming.headers, route)]

    def _check_written(self, mode: ForwardAuthMode, incoming: Incoming, route: RouteSettings | None) -> None:
        """Refuse `/%61pi` where the proxy compares bytes: it would send it, with the token for `/api`, elsewhere."""
        written = as_written(incoming.raw_path) if mode in COMPARING_BYTES else ""
        if written and self._admission.routes.match(incoming.facts.urls.host, written) is not route:
            raise AmbiguousPath(reason="a needless escape in a part that a route names")

    async def _slide(self, incoming: Incoming, route: RouteSettings, caller: Caller) -> None:
        if caller.person is not None and self._cache.is_slide_due(caller.person) and is_use(incoming, route):
            await self._cache.slide(caller.person)

    def _read(self, asked: _Asked) -> Incoming:
        """Return the original request, as if it had come to the public listener.

        Raises:
            NotFound: this is no address of verify.
            Forbidden: `forward_auth_peer`, `forward_auth_mode`, `forward_auth_original`: who asked, or how.
            Forbidden: `forged_header`.
            Misdirected: the original host is not served here.
            BadRequest: `ambiguous_path`, `ambiguous_query`.
        """
        raw_path: bytes = asked.scope["raw_path"]
        if raw_path != self._base and not raw_path.startswith(self._base + b"/"):
            raise NotFound()
        mode, suffix = self._mode_of(raw_path[len(self._base) :])
        asked.mode = mode
        if not asked.client.is_through_proxy:
            peer = asked.scope["client"][0] if asked.scope.get("client") else "a Unix socket"
            why = "which is not in server.trusted_proxies"
            if self._server.trusted_proxy_secret.get_secret_value():
                why += f", or did not send the secret in {contract.HEADER_PROXY}"
            raise Forbidden("forward_auth_peer", NOT_SET_UP, detail=f"asked by {peer}, {why}")
        query: bytes = asked.scope["query_string"]
        original = read_original(
            mode,
            asked.scope["headers"],
            method=asked.scope["method"],
            suffix=suffix + (b"?" + query if query else b""),
        )
        if isinstance(original, Refused):
            raise Forbidden("forward_auth_original", NOT_SET_UP, detail=f"{mode}: {original.detail}")
        if forgery := find_forgery(asked.scope["headers"], owned=self._owned):
            raise Forbidden("forged_header", "This request holds a header that may not pass.", detail=forgery)
        return self._as_incoming(asked, original)

    def _mode_of(self, rest: bytes) -> tuple[ForwardAuthMode, bytes]:
        """Split what follows `/verify` into the mode and the rest of the target."""
        named, slash, suffix = rest[1:].partition(b"/")
        name = named.decode("latin-1") or ("" if suffix else "nginx")
        if name not in self._modes:
            raise Forbidden("forward_auth_mode", NOT_SET_UP, detail=f"{name[:32]!a} is not in forward_auth.modes")
        mode: Any = name
        return mode, slash + suffix

    def _as_incoming(self, asked: _Asked, original: Original) -> Incoming:
        if len(original.target) > self._bff.settings.limits.url_bytes:
            raise Forbidden("url_too_long", "This address is too long.", detail="limits.url_bytes")
        is_socket = is_handshake(asked.scope["headers"])
        asked.original = {
            "type": "websocket" if is_socket else "http",
            "method": original.method,
            "path": "",
            "raw_path": original.raw_path,
            "query_string": original.query,
            "headers": asked.scope["headers"],
        }
        client = replace(asked.client, host=original.host, scheme=original.scheme or asked.client.scheme)
        incoming = read_request(
            asked.original, client, request_id=asked.request_id, origins=self._bff.origins, server=self._server
        )
        if original.scheme and incoming.facts.urls.is_secure != (original.scheme == "https"):
            detail = f"the original scheme is {original.scheme}, that of {incoming.facts.urls.origin} is another"
            raise Forbidden("forward_auth_original", NOT_SET_UP, detail=detail)
        if is_socket and original.method != "GET":
            raise Forbidden("forward_auth_original", detail="a WebSocket handshake is a GET")
        forward_target(incoming.raw_path, original.query)  # the proxy sends the query on as it is
        asked.incoming = incoming
        return incoming

    async def _refuse(self, asked: _Asked, error: AuthError) -> None:
        incoming = asked.incoming
        urls = incoming.facts.urls if incoming else self._bff.urls
        navigation = False
        target: dict[str, str] = {}
        if incoming is not None and incoming.scope["type"] == "http":
            navigation = wants_page(FetchMetadata.from_headers(incoming.headers), incoming.headers)
            if navigation and error.status in (401, 403):
                target, error = await self._target(incoming, asked, error)
        asked.code = error.code
        page = refusal(error, asked.mode, navigation=navigation, request_id=asked.request_id, urls=urls, target=target)
        asked.status = page.status
        await send_page(asked.scope, stamping(asked.send, asked.request_id, secure=urls.is_secure), page)

    async def _target(self, incoming: Incoming, asked: _Asked, error: AuthError) -> tuple[dict[str, str], AuthError]:
        """Return where a sign-in leads, as parameters of the sign-in, and what to answer."""
        route, here, urls = self._admission.match(incoming), incoming.here, incoming.facts.urls
        start = {"return_to": urls.base_path + "/"}
        if incoming.method not in NAVIGABLE or (route is not None and route.kind == "api"):
            return {}, error
        if not is_local(here, own_origin=urls.origin):
            return (start if error.status == 401 else {}), error
        target = {"return_to": here}
        if len(sign_in_address(urls, target)) <= self._longest_location:
            return target, error
        if error.status == 403:
            return {}, error  # the page of the refusal says a little less: nobody has to come back
        try:
            kept = await self._bff.return_targets.keep(here, origin=urls.origin, address=asked.client.address)
        except Unavailable as unavailable:
            return start, unavailable
        return {"return_id": kept}, error


class _Asked:
    """A question of a proxy, and what is known so far of the request that it is about."""

    __slots__ = ("client", "code", "incoming", "mode", "original", "request_id", "route", "scope", "send", "status")

    def __init__(self, scope: Scope, client: ClientEndpoint, request_id: str, send: Send) -> None:
        self.scope = scope
        self.client = client
        self.request_id = request_id
        self.send = send
        self.original: MutableMapping[str, Any] = scope
        """The scope of the original request; that of the question until it can be read."""
        self.incoming: Incoming | None = None
        self.mode: ForwardAuthMode = "nginx"
        self.route = ""
        self.status = 0
        self.code = ""
