"""Response headers with which one answer affects the whole origin. No upstream may send them, since several share it.

A browser applies them to every page of the host, also to pages of other routes and of `/auth`. It deletes what these
pages stored, reports what they do, loads them from another server, or accepts plain http. Pure.
"""

from __future__ import annotations

from typing import Final

ORIGIN_WIDE: Final = frozenset(
    {
        b"accept-ch",  # client hints sent with every request (RFC 8942)
        b"accept-ch-lifetime",
        b"alt-svc",  # another server for the origin (RFC 7838)
        b"cache-group-invalidation",  # stored answers of other routes (RFC 9875)
        b"clear-site-data",  # cookies, storage and caches (W3C Clear Site Data)
        b"critical-ch",  # like accept-ch, with a second request
        b"expect-ct",  # reports for the host (RFC 9163)
        b"idp-signin-status",  # the old name of set-login
        b"nel",  # reports about every request (W3C Network Error Logging)
        b"observe-browsing-topics",  # topics of the site (Topics API)
        b"origin-agent-cluster",  # which process the origin's pages share (HTML)
        b"origin-isolation",  # the same under its old name
        b"origin-policy",
        b"public-key-pins",  # keys of the host (RFC 7469)
        b"public-key-pins-report-only",
        b"report-to",  # where the origin's reports go (W3C Reporting)
        b"reporting-endpoints",
        b"service-worker-allowed",  # the scope of a worker (W3C Service Workers)
        b"set-login",  # whether the browser believes that somebody is signed in here (W3C FedCM)
        b"shared-storage-write",  # the origin's shared storage
        b"strict-transport-security",  # https for the host; `max-age=0` ends it (RFC 6797)
        b"use-as-dictionary",  # a body to decode later answers with (RFC 9842)
    }
)
ORIGIN_WIDE_PREFIXES: Final = (
    b"attribution-reporting-",  # registrations of the origin (Attribution Reporting)
    b"sec-session-",  # device bound session credentials (W3C), under their two names
    b"secure-session-",
)


def is_origin_wide(name: bytes) -> bool:
    """True if the lower-case `name` is such a header."""
    return name in ORIGIN_WIDE or name.startswith(ORIGIN_WIDE_PREFIXES)
