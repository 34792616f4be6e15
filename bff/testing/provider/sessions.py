"""Who is signed in at the provider, and in which browser. Single sign-on and `prompt=none` need this."""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One sign-in at the provider. `cookie` is the browser's secret. `sid` is in tokens and gives no access."""

    sid: str
    sub: str
    auth_time: int
    acr: str = ""
    cookie: str = field(repr=False)


class Sessions:
    """All sessions, in memory. Safe to use from several threads."""

    def __init__(self) -> None:
        self._by_sid: dict[str, Session] = {}
        self._lock = threading.Lock()

    def open(self, sub: str, *, now: float, acr: str = "") -> Session:
        session = Session(
            sid=secrets.token_hex(8), sub=sub, auth_time=int(now), acr=acr, cookie=secrets.token_urlsafe(24)
        )
        with self._lock:
            self._by_sid[session.sid] = session
        return session

    def renew(self, session: Session, *, now: float, acr: str = "") -> Session:
        """Give the session a new time: the same person signed in again. If it has ended meanwhile, it reopens."""
        renewed = replace(session, auth_time=int(now), acr=acr)
        with self._lock:
            self._by_sid[session.sid] = renewed
        return renewed

    def of_cookie(self, cookie: str) -> Session | None:
        return next((one for one in self.all() if secrets.compare_digest(one.cookie.encode(), cookie.encode())), None)

    def of_sid(self, sid: str) -> Session | None:
        return self._by_sid.get(sid)

    def all(self) -> list[Session]:
        """Return every session, the newest last."""
        with self._lock:
            return list(self._by_sid.values())

    def end(self, sid: str) -> Session | None:
        """End a session and return it; None if there is none."""
        with self._lock:
            return self._by_sid.pop(sid, None)
