"""The task that renews the record of a Streamlit session ends with its socket."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from starlette.types import Message

from gateway.streamlit.sessions import StreamlitSessions
from gateway.streamlit.socket import StreamlitSocket
from gateway.upstream.socket_closer import SocketCloser


class SlowSessions:
    """Sessions whose store does not answer. A call that is broken off gives its connection back after a moment."""

    seconds = 0

    def __init__(self) -> None:
        self.is_asked = asyncio.Event()
        self.open_calls = 0

    async def keep(self, *_: object) -> bool:
        self.open_calls += 1
        self.is_asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.02)
            self.open_calls -= 1
        return True


async def test_no_call_to_the_store_is_open_when_the_socket_is_closed() -> None:
    sessions, nothing = SlowSessions(), cast(Any, None)
    socket = StreamlitSocket(
        cast(StreamlitSessions, sessions),
        nothing,
        nothing,
        owner=nothing,
        subprotocols=[],
        claimed="a-session",
        outage_seconds=1,
    )

    async def send(_: Message) -> None:
        """Nobody listens."""

    socket.announcing(send, SocketCloser())
    await sessions.is_asked.wait()
    assert sessions.open_calls == 1
    await socket.aclose()
    assert sessions.open_calls == 0
