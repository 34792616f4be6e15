"""A Streamlit in this process that helps attackers: it resumes every session that a handshake names."""

from __future__ import annotations

from itertools import count
from typing import Any

from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

_numbers = count()


def new_session(session_id: str) -> bytes:
    """The message with which an app announces a session."""
    message = ForwardMsg()
    message.new_session.initialize.session_id = session_id
    return bytes(message.SerializeToString())


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Read the handshake's header as Streamlit does: the first one, its third entry."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})
    elif scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept", "subprotocol": "streamlit"})
        given = next((value for name, value in scope["headers"] if name == b"sec-websocket-protocol"), b"")
        entries = [entry.strip().decode() for entry in given.split(b",")]
        session_id = entries[2] if len(entries) > 2 else f"session-{next(_numbers)}"
        await send({"type": "websocket.send", "bytes": new_session(session_id)})
        while (await receive())["type"] != "websocket.disconnect":
            pass
