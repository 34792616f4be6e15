"""The answer in place of an API that is not running during development: 503 with the reason, for all requests."""

from __future__ import annotations

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from bff.contract import CODE_API_NOT_RUNNING

MOST_BODY = 1 << 20
SECONDS = 5.0


class DownNotice:
    """Answers whoever connects to `listener` that the API is not running, and why, until `close`."""

    def __init__(self, listener: socket.socket, detail: str) -> None:
        body = {
            "type": f"docs/errors.md#{CODE_API_NOT_RUNNING}",
            "title": "Service Unavailable",
            "status": 503,
            "detail": detail,
            "code": CODE_API_NOT_RUNNING,
        }
        handler = type("Answer", (_Answer,), {"body": json.dumps(body).encode(), "timeout": SECONDS})
        self._server = ThreadingHTTPServer(listener.getsockname(), handler, bind_and_activate=False)
        self._server.socket.close()
        self._server.socket = listener.dup()
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
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
