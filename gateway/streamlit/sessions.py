"""Whose page a Streamlit session is: kept when the app announces it, asked before an upload and before a resumption.

To Streamlit the session id in an address is all that an upload needs, and without a mapped header all that a
resumption needs. So the gateway keeps a record of its own: the person whose WebSocket the app announced the id on. What
a browser says about its session id is a claim; only the app's own messages make a record.

Somebody who is not signed in is known by the token in Streamlit's XSRF cookie, which is random for each browser; where
there is not even that, by nothing, and such sessions are open to everybody of the route.
"""

from __future__ import annotations

from dataclasses import dataclass

from bff import contract
from bff.assembly import Bff
from bff.audit import Event
from bff.browser.cookies import cookie_headers, split_cookies, xsrf_token
from bff.errors import Forbidden
from bff.settings.tables import RouteSettings
from gateway.access.credentials import Caller
from gateway.access.request import Incoming
from gateway.streamlit.paths import is_session_id, upload_session

SECONDS = 3600.0
"""A record outlasts its socket by this; Streamlit itself forgets a session 120 s after its socket, as a default."""
CLAIM = 2
"""`Sec-WebSocket-Protocol: streamlit, <xsrf token>, <session id to resume>`: Streamlit reads them by position."""
UPLOAD_REFUSED = "upload_not_yours"
RESUMPTION_REFUSED = "streamlit_session_not_yours"


@dataclass(frozen=True, slots=True)
class Owner:
    """Who a caller is to a Streamlit session: `name` for a new record, and every name that is theirs."""

    name: str
    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class Handshake:
    """The subprotocols that may go to the app; `session_id` is a claim that holds, "" for none."""

    subprotocols: list[str]
    session_id: str = ""


class StreamlitSessions:
    """Records in the store, one key each: HMAC of the session id → HMAC of its owner."""

    def __init__(self, bff: Bff, *, seconds: float = SECONDS) -> None:
        self._bff = bff
        self.seconds = seconds

    def owner_of(self, incoming: Incoming, route: RouteSettings, caller: Caller) -> Owner:
        """A route that is public knows nobody: there a person is the browser, signed in or not."""
        keyring = self._bff.keyring
        names: list[str] = []
        if caller.live is not None and route.auth != "public":
            identity = caller.live.identity
            names += keyring.owner_names("streamlit-person", identity.iss, identity.sub)
        tokens = _browser_tokens(incoming)
        if tokens:
            names += keyring.owner_names("streamlit-browser", *tokens)
        if len(tokens) > 1:  # one of them came since, perhaps from a neighbour
            names += (name for token in tokens for name in keyring.owner_names("streamlit-browser", token))
        names += keyring.owner_names("streamlit-nobody")
        return Owner(names[0], frozenset(names))

    async def check_upload(self, incoming: Incoming, route: RouteSettings, caller: Caller) -> None:
        """Refuse an upload into a session that was not announced to this caller.

        Raises:
            Forbidden: `upload_not_yours`.
            StoreUnavailable: nobody can tell.
        """
        session_id = upload_session(incoming.path) if route.kind == "page" else None
        if session_id is None:
            return
        holder = await self._holder(session_id) if session_id else None
        if holder is None or holder not in self.owner_of(incoming, route, caller).names:
            self.note("access_denied", UPLOAD_REFUSED, route, caller)
            raise _upload_refused()

    async def read_handshake(self, incoming: Incoming, owner: Owner, route: RouteSettings, caller: Caller) -> Handshake:
        """Take the session id out of a handshake that claims somebody else's: the app then begins a new session."""
        subprotocols: list[str] = list(incoming.scope["subprotocols"])
        claimed = subprotocols[CLAIM] if len(subprotocols) > CLAIM else ""
        holder = await self._holder(claimed) if is_session_id(claimed) else None
        if holder is None:
            return Handshake(subprotocols)
        if holder in owner.names:
            return Handshake(subprotocols, claimed)
        self.note("request_refused", RESUMPTION_REFUSED, route, caller)
        return Handshake(subprotocols[:CLAIM])

    async def keep(self, session_id: str, owner: Owner) -> bool:
        """Record, or go on recording, that the session is `owner`'s; False when it is somebody else's.

        Raises:
            StoreUnavailable: nothing was recorded.
        """
        holder = await self._holder(session_id)
        if holder is not None and holder not in owner.names:
            return False
        newest = self._names(session_id)[0]
        return await self._bff.store.lock(newest, holder or owner.name, seconds=self.seconds)

    async def _holder(self, session_id: str) -> str | None:
        for name in self._names(session_id):
            holder = await self._bff.store.holder_of(name)
            if holder is not None:
                return holder
        return None

    def _names(self, session_id: str) -> list[str]:
        return [f"streamlit:{name}" for name in self._bff.keyring.owner_names("streamlit-session", session_id)]

    def note(self, event: Event, reason: str, route: RouteSettings, caller: Caller) -> None:
        """Leave an event that says who it was."""
        session = caller.live.session if caller.live and route.auth != "public" else None
        self._bff.audit.event(event, session=session, reason=reason, route=route.id)


def _browser_tokens(incoming: Incoming) -> list[str]:
    """The tokens of every copy of the cookie, in one order.

    A page of a neighbouring host can add a copy whose token it knows. So the copies count together: who knows one of
    them is not this browser, and a copy does not make the browser unknown.
    """
    own = contract.STREAMLIT_XSRF_COOKIE.encode("ascii")
    pairs = split_cookies(cookie_headers(incoming.headers))
    return sorted({xsrf_token(value.decode("latin-1")) for name, value in pairs if name == own} - {""})


def _upload_refused() -> Forbidden:
    error = Forbidden(
        UPLOAD_REFUSED, "This upload belongs to a page that is not yours, or is gone. Please reload the page."
    )
    error.is_noted = True
    return error
