"""How long a WebSocket handshake may be: as long as any other request and answer, wherever the handshake is read.

The `websockets` library reads lines of 8,192 bytes and 128 headers unless it is told otherwise. It reads the handshakes
of browsers (in Uvicorn), the answers of upstreams, and in a managed Streamlit child what this front door sends. All of
these have their own, stricter limit already: `[limits]` for browsers, and the limit of response heads for upstreams.
"""

from __future__ import annotations

from typing import Final

from websockets import http11

from bff.contract import IDENTITY_BYTES
from bff.oidc.jwt_reading import MAX_TOKEN
from bff.settings.tables import LimitSettings, RouteSettings
from gateway.upstream.response_parser import MOST_HEAD_BYTES

ENV_LINE_BYTES: Final = "WEBSOCKETS_MAX_LINE_LENGTH"
ENV_HEADERS: Final = "WEBSOCKETS_MAX_NUM_HEADERS"
OWN_HEADERS: Final = 64
"""Room for the headers that the front door adds to a client's, besides `claim_headers`."""
LINE_OVERHEAD: Final = 256
"""Method, version, header name and line end around the longest value."""
PROVIDER_TOKENS: Final = frozenset({"access_token", "id_token", "exchange", "client_credentials"})


def allow_whole_heads(limits: LimitSettings) -> None:
    """Let the library in this process read every handshake that `limits` let in, and every answer of an upstream."""
    lines = max(limits.header_bytes, limits.url_bytes, MOST_HEAD_BYTES) + LINE_OVERHEAD
    http11.MAX_LINE_LENGTH = max(http11.MAX_LINE_LENGTH, lines)
    http11.MAX_NUM_HEADERS = max(http11.MAX_NUM_HEADERS, limits.header_count + OWN_HEADERS)


def child_limits(limits: LimitSettings, route: RouteSettings) -> dict[str, str]:
    """Return the variables with which a managed child reads every handshake that its route may send to it."""
    token = MAX_TOKEN if route.token in PROVIDER_TOKENS else 0
    line = max(limits.header_bytes, limits.url_bytes, IDENTITY_BYTES, token) + LINE_OVERHEAD
    count = limits.header_count + OWN_HEADERS + len(route.claim_headers)
    return {ENV_LINE_BYTES: str(line), ENV_HEADERS: str(count)}
