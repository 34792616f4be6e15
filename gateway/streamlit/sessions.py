"""Records of who owns a Streamlit session: written when the app announces it, checked before uploads and resumptions.

For Streamlit, the session id in an address is enough for an upload, and without a mapped header it is enough for a
resumption. So the gateway keeps its own record: the person on whose WebSocket the app announced the id. A browser can
only claim a session id; a record is made from the app's own messages alone.

Somebody who is not signed in is known by the token in Streamlit's XSRF cookie, which is random for each browser.
Without that cookie there is nothing to tell browsers apart, and such sessions are open to everybody on the route.
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
"""A record stays this long after its socket has ended. Streamlit itself forgets a session after 120 s by default."""
CLAIM = 2
"""`Sec-WebSocket-Protocol: streamlit, <xsrf token>, <session id to resume>`: Streamlit reads them by position."""
UPLOAD_REFUSED = "upload_not_yours"
RESUMPTION_REFUSED = "streamlit_session_not_yours"


@dataclass(frozen=True, slots=True)
class Owner:
    """The owner of Streamlit sessions: `name` for new records, and all names that belong to the same caller."""

    name: str
    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class Handshake:
    """The subprotocols that may go to the app. `session_id` is the session that the browser rightly claims, or ""."""

    subprotocols: list[str]
    session_id: str = ""


class StreamlitSessions:
    """Records in the store, one key each: HMAC of the session id → HMAC of its owner."""

    def __init__(self, bff: Bff, *, seconds: float = SECONDS) -> None:
        self._bff = bff
        self.seconds = seconds

    def owner_of(self, incoming: Incoming, route: RouteSettings, caller: Caller) -> Owner:
        """Return the owner for a caller. On a public route the browser is the owner, whether signed in or not."""
        keyring = self._bff.keyring
        names: list[str] = []
        if caller.live is not None and route.auth != "public":
            identity = caller.live.identity
            names += keyring.owner_names("streamlit-person", identity.iss, identity.sub)
        tokens = browser_tokens(incoming)
        if tokens:
            names += keyring.owner_names("streamlit-browser", *tokens)
        if len(tokens) > 1:  # one of them came later, perhaps from a neighbouring host
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
        """Remove a session id that belongs to somebody else from a handshake. The app then begins a new session."""
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
        """Write or renew the record that the session belongs to `owner`. False if it belongs to somebody else.

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
        """Leave an audit event that says who it was."""
        session = caller.live.session if caller.live and route.auth != "public" else None
        self._bff.audit.event(event, session=session, reason=reason, route=route.id)


def browser_tokens(incoming: Incoming) -> list[str]:
    """Return the tokens of all copies of the cookie, sorted.

    A page of a neighbouring host can add a copy whose token it knows. So all copies count together: somebody who knows
    one of them is not this browser, and an added copy does not make the browser unknown.
    """
    own = contract.STREAMLIT_XSRF_COOKIE.encode("ascii")
    pairs = split_cookies(cookie_headers(incoming.headers))
    return sorted({xsrf_token(value.decode("latin-1")) for name, value in pairs if name == own} - {""})


def _upload_refused() -> Forbidden:
    error = Forbidden(
        UPLOAD_REFUSED, "This upload belongs to a page that is not yours, or is gone. Please reload the page."
    )
    error.is_audited = True
    return error
