"""What counts as use of a session: only what a person can have caused slides its idle time. Pure.

Pages also send by themselves: they poll, answer pings and connect again. A tab that nobody looks at does so all night.
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.types import Message

from bff.settings.tables import RouteSettings
from gateway.access.request import Incoming
from gateway.headers.request import RawHeaders
from gateway.relay.engine_io import is_engine_io, is_own_packet, is_own_request
from gateway.streamlit.messages import is_user_action
from gateway.streamlit.paths import QUIET

MessageRule = Callable[[Message], bool]
"""Says of what an ASGI server received from a WebSocket whether it is use."""


def is_use(incoming: Incoming, route: RouteSettings) -> bool:
    """True if a person can have caused the request or handshake."""
    if route.no_slide or _quiet_path(incoming.path, route) is not None:
        return False
    if route.kind == "page" and incoming.path.endswith(QUIET):
        return False
    return not is_own_request(
        incoming.method,
        incoming.scope["query_string"],
        length=_length(incoming.headers),
        is_socket=incoming.scope["type"] == "websocket",
    )


def message_rule(incoming: Incoming, route: RouteSettings) -> MessageRule | None:
    """Return what says of a message of this WebSocket whether a person can have caused it; None: of none.

    Messages below a quiet path can be use: Jupyter runs cells below the path that it polls. A WebSocket whose own
    address is a quiet path is quiet as a whole.
    """
    if route.no_slide or _quiet_path(incoming.path, route) == incoming.path.rstrip("/"):
        return None
    speaks_engine_io = is_engine_io(incoming.scope["query_string"])

    def is_use_message(message: Message) -> bool:
        if message["type"] != "websocket.receive":
            return False
        data, text = message.get("bytes"), message.get("text")
        if data and route.kind == "page":
            return is_user_action(data)
        return not (text and speaks_engine_io and is_own_packet(text))

    return is_use_message


def _quiet_path(path: str, route: RouteSettings) -> str | None:
    """Return the longest quiet path of `route` that `path` is, or lies below; None for most paths."""
    prefix = route.path.rstrip("/")
    found = [
        written
        for quiet in route.quiet_paths
        for written in (quiet.rstrip("/"), prefix + quiet.rstrip("/"))
        if f"{path}/".startswith(f"{written}/")
    ]
    return max(found, key=len, default=None)


def _length(headers: RawHeaders) -> int | None:
    stated = next((value for name, value in headers if name == b"content-length"), b"")
    return int(stated) if stated.isdigit() else None
