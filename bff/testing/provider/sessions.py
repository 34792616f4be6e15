"""Who is signed in at the provider, in which browser: what single sign-on and `prompt=none` rest on."""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One sign-in at the provider. `cookie` is the browser's secret, `sid` is in tokens and opens nothing."""

    sid: str
    sub: str
    auth_time: int
    acr: str = ""
    cookie: str = field(repr=False)


class Sessions:
    """In memory; safe to use from several threads."""

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
        """The same person proved anew who they are: the session stays, with a new time. Ended meanwhile: it reopens."""
        renewed = replace(session, auth_time=int(now), acr=acr)
        with self._lock:
            self._by_sid[session.sid] = renewed
        return renewed

    def of_cookie(self, cookie: str) -> Session | None:
        return next((one for one in self.all() if secrets.compare_digest(one.cookie.encode(), cookie.encode())), None)

    def of_sid(self, sid: str) -> Session | None:
        return self._by_sid.get(sid)

    def all(self) -> list[Session]:
        """Every session, the newest last."""
        with self._lock:
            return list(self._by_sid.values())

    def end(self, sid: str) -> Session | None:
        """The session that was ended; None when there is none."""
        with self._lock:
            return self._by_sid.pop(sid, None)
