"""The session cookie of a request: from the raw Cookie headers to the record that it names."""

from __future__ import annotations

from collections.abc import Sequence

from bff.audit import Audit
from bff.browser.cookies import CookieNames, DuplicateCookie, find_session_cookie
from bff.sessions.lifecycle import Sessions


def presented_record(cookies: Sequence[bytes], sessions: Sessions, *, names: CookieNames, audit: Audit) -> str:
    """The record name in the session cookie, "" without a cookie whose signature holds. No I/O.

    Two session cookies count as none, and leave a line in the audit log.
    """
    try:
        value = find_session_cookie(cookies, names.session)
    except DuplicateCookie:
        audit.event("duplicate_cookie", reason="session_cookie")
        return ""
    return (sessions.name_of(value) or "") if value else ""
