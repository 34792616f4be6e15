"""A secret shared by the front door and an API: for ASGI applications that other programs can reach too.

    app = FastAPI()
    app.add_middleware(RequireUpstreamSecret, secret=read_upstream_secret())

The front door sends it as `X-Vestibule-Upstream` on every request of a route with `upstream_secret`. It removes any
such header of a client. So a request with the secret came through the front door, and its identity headers can be
trusted. Without the secret, an API on loopback answers every program on the machine, also the code of Streamlit pages.
"""

from __future__ import annotations

import hmac
import json
import logging
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from bff.contract import HEADER_UPSTREAM
from bff.secret_files import find_exposure

ENV_SECRET: Final = "VESTIBULE_API_UPSTREAM_SECRET"
ENV_SECRET_FILE: Final = "VESTIBULE_API_UPSTREAM_SECRET_FILE"
LEAST_CHARACTERS: Final = 16
_HEADER: Final = HEADER_UPSTREAM.lower().encode("ascii")
_log = logging.getLogger(__name__)


class UpstreamSecretMisconfigured(ValueError):
    """The secret is missing, too short or unreadable; the message names the variable or file, never the content."""


def read_upstream_secret(environ: Mapping[str, str] = os.environ) -> str:
    """Read `VESTIBULE_API_UPSTREAM_SECRET`, or the file that `VESTIBULE_API_UPSTREAM_SECRET_FILE` names.

    Raises:
        UpstreamSecretMisconfigured: neither or both are set, the file cannot be read, or everybody may read it.
    """
    file, text = environ.get(ENV_SECRET_FILE, ""), environ.get(ENV_SECRET, "")
    if bool(file) == bool(text):
        raise UpstreamSecretMisconfigured(f"set exactly one of {ENV_SECRET_FILE} and {ENV_SECRET}")
    if file:
        try:
            exposure = find_exposure(Path(file), environ=environ)
            if exposure is not None and exposure.who == "everybody":
                raise UpstreamSecretMisconfigured(f"{ENV_SECRET_FILE}: {exposure.message}; {exposure.fix}")
            text = Path(file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as exc:
            raise UpstreamSecretMisconfigured(f"{ENV_SECRET_FILE} {file}: {type(exc).__name__}") from None
    return _checked(text.strip())


class RequireUpstreamSecret:
    """ASGI middleware that answers 403 to requests and WebSockets without the front door's secret.

    `open_paths` are exact paths that need no secret, such as a health check. The application does not see the secret.

    Raises:
        UpstreamSecretMisconfigured: on construction, if the secret is too short.
    """

    def __init__(self, app: ASGIApp, *, secret: str, open_paths: Collection[str] = ()) -> None:
        self._app = app
        self._secret = _checked(secret).encode()
        self._open_paths = frozenset(open_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        given = [value for name, value in scope["headers"] if name == _HEADER]
        is_shown = len(given) == 1 and hmac.compare_digest(given[0], self._secret)
        if not is_shown and scope["path"] not in self._open_paths:
            _log.warning("a request without the front door's secret was refused")
            await _refuse(scope, send)
            return
        rest = [(name, value) for name, value in scope["headers"] if name != _HEADER]
        await self._app({**scope, "headers": rest}, receive, send)


async def _refuse(scope: Scope, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})  # before it is accepted: the server answers 403
        return
    body = json.dumps({"error": "proxy_untrusted", "error_description": "this API answers only behind its front door"})
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": body.encode()})


def _checked(secret: str) -> str:
    if len(secret) < LEAST_CHARACTERS:
        raise UpstreamSecretMisconfigured(f"{ENV_SECRET}: shorter than {LEAST_CHARACTERS} characters")
    return secret
