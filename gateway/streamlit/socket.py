"""One WebSocket between a browser and a Streamlit app. Its session is recorded before the browser is told about it.

So the browser never knows an upload address that the front door would still refuse, in whichever process the upload
arrives.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.types import Message, Send

from bff.contract import CloseCode
from bff.errors import StoreUnavailable
from bff.settings.tables import RouteSettings
from gateway.access.credentials import Caller
from gateway.access.request import Incoming
from gateway.streamlit.messages import Announcement, read_announcement
from gateway.streamlit.paths import is_stream
from gateway.streamlit.sessions import RESUMPTION_REFUSED, Owner, StreamlitSessions
from gateway.upstream.socket_closer import SocketCloser

RETRY_SECONDS = 0.25
RENEWALS = 12
"""While its socket is open, a record is renewed this many times within its lifetime."""
CHANGED = "streamlit_session_changed"


class StreamlitSocket:
    """A socket from `open_streamlit_socket`. `subprotocols` may go to the app. Call `aclose` when it is over."""

    def __init__(
        self,
        sessions: StreamlitSessions,
        route: RouteSettings,
        caller: Caller,
        *,
        owner: Owner,
        subprotocols: list[str],
        claimed: str,
        outage_seconds: float,
    ) -> None:
        self.subprotocols = subprotocols
        self._sessions = sessions
        self._route = route
        self._caller = caller
        self._owner = owner
        self._outage_seconds = outage_seconds
        self._announced = ""
        self._renewed = claimed
        """The session whose record is renewed. It starts as the claimed one: an app that resumes a session announces
        none."""
        self._renewing: asyncio.Task[None] | None = None

    def announcing(self, send: Send, closer: SocketCloser) -> Send:
        """Return a `send` that holds a message back until the session that it announces is recorded."""
        self._renewing = asyncio.create_task(self._renew_for_ever(closer))

        async def announced(message: Message) -> None:
            data = message.get("bytes") if message["type"] == "websocket.send" else None
            found = read_announcement(data) if data else None
            if found is not None and not await self._is_recorded(found, closer):
                await asyncio.Event().wait()  # the socket is being closed: the browser is never told about it
            await send(message)

        return announced

    async def aclose(self) -> None:
        """Stop renewing the record; returns when that has ended."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.wait([self._renewing])

    async def _is_recorded(self, found: Announcement, closer: SocketCloser) -> bool:
        if self._announced and found.session_id != self._announced:
            return self._refuse(CHANGED, closer)
        if self._announced and not found.hands_out_address:
            return True
        try:
            is_theirs = await self._keep_patiently(found.session_id)
        except StoreUnavailable:
            closer.close(CloseCode.UNAVAILABLE, "unavailable")
            return False
        if not is_theirs:
            return self._refuse(RESUMPTION_REFUSED, closer)
        self._announced = self._renewed = found.session_id
        return True

    async def _keep_patiently(self, session_id: str) -> bool:
        """Record the session; while the store does not answer, wait as long as sockets may. The browser waits too."""
        deadline = asyncio.get_running_loop().time() + self._outage_seconds
        while True:
            try:
                return await self._sessions.keep(session_id, self._owner)
            except StoreUnavailable:
                if asyncio.get_running_loop().time() >= deadline:
                    raise
                await asyncio.sleep(RETRY_SECONDS)

    async def _renew_for_ever(self, closer: SocketCloser) -> None:
        while True:
            await asyncio.sleep(self._sessions.seconds / RENEWALS)
            if not self._renewed:
                continue
            with suppress(StoreUnavailable):  # there is time for several more
                if not await self._sessions.keep(self._renewed, self._owner):
                    self._refuse(RESUMPTION_REFUSED, closer)

    def _refuse(self, reason: str, closer: SocketCloser) -> bool:
        self._sessions.note("access_denied", reason, self._route, self._caller)
        closer.close(CloseCode.FORBIDDEN, "forbidden")
        return False


async def open_streamlit_socket(
    sessions: StreamlitSessions, incoming: Incoming, caller: Caller, route: RouteSettings, *, outage_seconds: float
) -> StreamlitSocket | None:
    """Prepare a handshake that opens Streamlit's stream; None for any other socket.

    Raises:
        StoreUnavailable: the handshake claims a session, and nobody knows whose it is.
    """
    if route.kind != "page" or not is_stream(incoming.path):
        return None
    owner = sessions.owner_of(incoming, route, caller)
    handshake = await sessions.read_handshake(incoming, owner, route, caller)
    return StreamlitSocket(
        sessions,
        route,
        caller,
        owner=owner,
        subprotocols=handshake.subprotocols,
        claimed=handshake.session_id,
        outage_seconds=outage_seconds,
    )
