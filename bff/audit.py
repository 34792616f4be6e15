"""Security events: a closed list, one structured line each, with stable reason codes and never a secret."""

from __future__ import annotations

import hashlib
from contextvars import ContextVar
from typing import Literal, Protocol, get_args

import structlog

from bff.contract import Identity
from bff.errors import AuthError, Forbidden, ProviderUnavailable, StoreUnavailable, UpstreamFailed

Event = Literal[
    "login_started",
    "login_ok",
    "login_failed",
    "claim_unread",
    "logout",
    "logout_failed",
    "backchannel_logout",
    "refresh_ok",
    "refresh_failed",
    "session_ended",
    "access_denied",
    "request_refused",
    "duplicate_cookie",
    "groups_unknown",
    "identity_omitted",
    "limit_reached",
    "store_failed",
    "provider_failed",
    "upstream_failed",
    "upstream_down",
    "upstream_back",
    "kit_refused",
    "admin_action",
]
EVENTS: frozenset[str] = frozenset(get_args(Event))
WARN = frozenset(
    {
        "login_failed",
        "claim_unread",
        "groups_unknown",
        "logout_failed",
        "refresh_failed",
        "request_refused",
        "duplicate_cookie",
        "kit_refused",
    }
)
ERROR = frozenset({"store_failed", "provider_failed", "upstream_failed", "upstream_down"})
LIMITS = frozenset({"kit_code_limit", "login_limit", "logout_limit", "probe_limit", "state_limit", "websocket_limit"})
MAX_FIELD = 256
UNREMARKABLE = frozenset({401, 404, 405, 408})
"""Statuses of everyday refusals: nobody is signed in, an address is wrong, a line is slow. The access log has them."""
_asking: ContextVar[tuple[str, str]] = ContextVar("vestibule_asking", default=("", ""))


class Audited(Protocol):
    """The session that an event is about; `name` is its record name."""

    @property
    def name(self) -> str: ...

    @property
    def identity(self) -> Identity: ...


def attribute_events(*, client: str, request_id: str) -> None:
    """Set the request id and client address for all events of this task and of the tasks that it starts."""
    _asking.set((client, request_id))


class Audit:
    """Writes audit events through structlog's logger `vestibule.audit`."""

    def __init__(self) -> None:
        self._log = structlog.get_logger("vestibule.audit")

    def event(
        self,
        event: Event,
        *,
        session: Audited | None = None,
        reason: str = "",
        route: str = "",
        provider: str = "",
        client: str = "",
        detail: str = "",
    ) -> None:
        """Write one line, with the client and request id from `attribute_events`.

        `client` is used if `attribute_events` was not called. The line shows the session as a hash of its record name,
        and the person as issuer and hashed subject.
        """
        asking, request_id = _asking.get()
        fields = {
            "reason": reason,
            "route": route,
            "provider": provider or (session.identity.provider if session else ""),
            "client": client or asking,
            "request_id": request_id,
            "detail": detail,
        }
        if session is not None:
            fields["session"] = masked(session.name)
            fields["iss"] = session.identity.iss
            fields["subject"] = masked(session.identity.sub)
        known = {name: clean(value) for name, value in fields.items() if value}
        write = self._log.error if event in ERROR else self._log.warning if event in WARN else self._log.info
        write(event, audit=True, **known)

    def refusal(self, error: AuthError, *, event: Event | None = None, provider: str = "") -> None:
        """One line for a refusal, unless it has one already or is an everyday one.

        `event` None takes the event of the error. What a page's server gets wrong always has a line.
        """
        event = event or refusal_event(error)
        if error.is_audited or (error.status in UNREMARKABLE and event != "kit_refused"):
            return
        self.event(event, reason=error.code, provider=provider, detail=error.detail)


def refusal_event(error: AuthError) -> Event:
    """Return the event that says which part of the server a refusal is about."""
    match error:
        case StoreUnavailable():
            return "store_failed"
        case ProviderUnavailable():
            return "provider_failed"
        case UpstreamFailed():
            return "upstream_failed"
    if error.code == Forbidden.default_code:
        return "access_denied"
    if error.code in LIMITS:
        return "limit_reached"
    return "kit_refused" if error.code.startswith("kit_") else "request_refused"


def masked(name: str) -> str:
    """Return 12 hex characters that name a record or subject in logs and on the account page."""
    return hashlib.sha256(b"masked" + name.encode()).hexdigest()[:12]


def clean(text: str) -> str:
    """Put `text` on one line: escape unprintable characters and limit the length (log injection, CWE-117)."""
    short = text[:MAX_FIELD]
    return short if short.isprintable() else short.encode("unicode_escape").decode("ascii")
