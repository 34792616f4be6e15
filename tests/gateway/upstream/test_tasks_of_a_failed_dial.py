"""A socket whose upstream cannot be dialled leaves no task behind."""

from __future__ import annotations

import asyncio

import pytest
from starlette.types import Message

from gateway.upstream.dial import DialFailed
from gateway.upstream.socket_closer import SocketCloser
from gateway.upstream.websocket import relay_websocket
from gateway.upstream.websocket_client import WebSocketUpstream
from tests.ports import free_port


async def connected() -> Message:
    return {"type": "websocket.connect"}


async def nowhere(_: Message) -> None:
    return None


def test_a_failed_dial_leaves_no_task_behind() -> None:
    async def dial() -> set[str]:
        before = asyncio.all_tasks()
        with pytest.raises(DialFailed):
            await relay_websocket(
                {"type": "websocket"},
                connected,
                nowhere,
                upstream=WebSocketUpstream(f"http://127.0.0.1:{free_port()}"),
                request_headers=[(b"host", b"localhost")],
                target=b"/ws",
                subprotocols=(),
                max_client_message=1,
                max_upstream_message=1,
                closer=SocketCloser(),
            )
        return {str(task.get_coro()) for task in asyncio.all_tasks() - before}

    assert asyncio.run(dial()) == set()
