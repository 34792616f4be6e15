"""HTTP for the provider on 127.0.0.1. Only the standard library is used: an API's tests have no server package."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Callable, Mapping
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from bff.testing.provider.messages import Refused, Reply, Request, parse_parameters, refusal
from bff.testing.provider.pages import refusal_page

HOST = "127.0.0.1"
MAX_BODY_BYTES = 65_536
POLL_SECONDS = 0.02
FORM = "application/x-www-form-urlencoded"

Endpoint = Callable[[Request], Reply]


class ProviderServer(ThreadingHTTPServer):
    """A server that listens from the start.

    It answers after it is started and has `routes` (method and path to endpoint).
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int = 0) -> None:
        self.routes: Mapping[tuple[str, str], Endpoint] = {}
        self.is_down: Callable[[], bool] = lambda: False
        self.missing_page: Callable[[Request], Reply | None] = lambda _: None
        """The page for a browser at an address that does not exist; None: a general one."""
        super().__init__((HOST, port), _Handler)
        self._thread = threading.Thread(target=self.serve_forever, args=(POLL_SECONDS,), daemon=True)

    def server_bind(self) -> None:
        """Bind without asking a name server about 127.0.0.1: without a network that takes seconds."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, self.server_address[1]

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        if self._thread.is_alive():
            self.shutdown()
            self._thread.join()
        self.server_close()

    def answer(self, request: Request) -> Reply:
        """Return the endpoint's reply, or why there is none; as a page if a browser asks."""
        if self.is_down():
            return Reply(503)
        try:
            endpoint = self.routes.get((request.method, request.path))
            if endpoint is None:
                raise self._missing(request)
            return endpoint(request)
        except Refused as refused:
            if refused.status == 404 and request.wants_page and (page := self.missing_page(request)):
                return page
            return refusal_page(refused) if request.wants_page else refusal(refused)

    def _missing(self, request: Request) -> Refused:
        methods = [method for method, path in self.routes if path == request.path]
        if methods:
            return Refused(405, "invalid_request", f"This address takes {' and '.join(methods)} only.")
        return Refused(404, "not_found", "Nothing is here.")


class _Handler(BaseHTTPRequestHandler):
    """One request, one reply, one connection."""

    server: ProviderServer
    timeout = 30

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        try:
            reply = self.server.answer(self._read())
        except Refused as refused:
            reply = refusal(refused)
        try:
            self._send(reply)
        except ConnectionError:
            self.close_connection = True  # the client has gone

    def _read(self) -> Request:
        address = urlsplit(self.path)
        raw_form = self._read_form() if self.command == "POST" else ""
        headers = {name.lower(): value for name, value in self.headers.items()}
        return Request(
            method=self.command,
            path=address.path,
            raw_query=address.query,
            query=parse_parameters(address.query),
            raw_form=raw_form,
            form=parse_parameters(raw_form),
            headers=headers,
            cookies=_cookies(headers.get("cookie", "")),
        )

    def _read_form(self) -> str:
        length = self.headers.get("content-length", "0")
        if not (length.isascii() and length.isdecimal()) or "transfer-encoding" in self.headers:
            raise Refused(411, "invalid_request", "a body needs a content-length")
        if int(length) > MAX_BODY_BYTES:
            raise Refused(413, "invalid_request", f"a body may have {MAX_BODY_BYTES} bytes")
        body = self.rfile.read(int(length))
        if body and self.headers.get_content_type() != FORM:
            raise Refused(415, "invalid_request", f"a body must be {FORM}")
        try:
            return body.decode("ascii")
        except UnicodeDecodeError:
            raise Refused(400, "invalid_request", "the form cannot be read") from None

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in reply.headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)

    def log_message(self, *_: object) -> None:
        """Write nothing: only the output of the test, or of the command, matters."""


def _cookies(header: str) -> dict[str, str]:
    try:
        return {name: morsel.value for name, morsel in SimpleCookie(header).items()}
    except CookieError:
        return {}
