"""Test doubles that are real servers on real sockets, and a strict client to drive them."""

from typing import TYPE_CHECKING, Any

from .answers import ProtocolError
from .background import LoopThread, UvicornThread, bind_socket
from .bends import Bends, EndpointBend, Gate, TokenBend, is_grant
from .browser import EVIL_ORIGIN, CookieClient
from .clients import Client
from .clock import FakeClock
from .cookie_store import Cookie, CookieStore
from .hits import Grant, Hit, Reuse
from .keys import SigningKey, generate_key, write_jws
from .people import Login, Person
from .provider_state import BACKCHANNEL_EVENT, DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, OMIT, Options
from .recorded import RecordedRequest
from .replies import HANG, Reply, pattern_blocks, pattern_sha256, sse_reply
from .upstream import RecordingUpstream
from .upstream_websocket import Message, UpstreamWebSocket, WebSocketReply

if TYPE_CHECKING:
    from .provider import FakeProvider

__all__ = [
    "BACKCHANNEL_EVENT",
    "DEFAULT_CLIENT_ID",
    "DEFAULT_CLIENT_SECRET",
    "EVIL_ORIGIN",
    "HANG",
    "OMIT",
    "Bends",
    "Client",
    "Cookie",
    "CookieClient",
    "CookieStore",
    "EndpointBend",
    "FakeClock",
    "FakeProvider",
    "Gate",
    "Grant",
    "Hit",
    "Login",
    "LoopThread",
    "Message",
    "Options",
    "Person",
    "ProtocolError",
    "RecordedRequest",
    "RecordingUpstream",
    "Reply",
    "Reuse",
    "SigningKey",
    "TokenBend",
    "UpstreamWebSocket",
    "UvicornThread",
    "WebSocketReply",
    "bind_socket",
    "generate_key",
    "is_grant",
    "pattern_blocks",
    "pattern_sha256",
    "sse_reply",
    "write_jws",
]


def __getattr__(name: str) -> Any:
    # Not imported above: `python -m tests.fakes.provider` would find its own module loaded already, and warn.
    if name == "FakeProvider":
        from .provider import FakeProvider

        return FakeProvider
    raise AttributeError(name)
