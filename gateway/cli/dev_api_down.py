"""The answer in place of an API that is not running during development: 503 with the reason, for all requests."""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CODE = "api_not_running"
MOST_BODY = 1 << 20
SECONDS = 5.0


class DownNotice:
    """Listens on `address` until `close`, and answers that the API is not running, and why."""

    def __init__(self, address: tuple[str, int], detail: str) -> None:
        body = {
            "type": f"docs/errors.md#{CODE}",
            "title": "Service Unavailable",
            "status": 503,
            "detail": detail,
            "code": CODE,
        }
        handler = type("Answer", (_Answer,), {"body": json.dumps(body).encode(), "timeout": SECONDS})
        self._server: ThreadingHTTPServer | None = None
        with suppress(OSError):  # something of the API still has the port: it answers, or nobody does
            self._server = ThreadingHTTPServer(address, handler)
            threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()


class _Answer(BaseHTTPRequestHandler):
    body = b""

    def answer(self) -> None:
        length = self.headers.get("Content-Length", "")
        if length.isascii() and length.isdigit():
            self.rfile.read(min(int(length), MOST_BODY))  # a reset connection would hide the answer
        self.send_response_only(503)
        for name, value in (
            ("Content-Type", "application/problem+json"),
            ("Content-Length", str(len(self.body))),
            ("Cache-Control", "no-store"),
            ("Retry-After", "2"),
            ("Connection", "close"),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.close_connection = True
        if self.command != "HEAD":
            self.wfile.write(self.body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the terminal has said it already."""
