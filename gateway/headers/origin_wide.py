"""Response headers by which one answer speaks for the whole origin: several upstreams share ours, so none may. Pure.

A browser keeps them for, or does them to, every page of the host, the pages of other routes and of `/auth` included:
it drops what they stored, reports what they do, reaches them elsewhere, or takes plain http for good enough.
"""

from __future__ import annotations

from typing import Final

ORIGIN_WIDE: Final = frozenset(
    {
        b"accept-ch",  # client hints sent with every request (RFC 8942)
        b"accept-ch-lifetime",
        b"alt-svc",  # another server for the origin (RFC 7838)
        b"cache-group-invalidation",  # stored answers of others (RFC 9875)
        b"clear-site-data",  # cookies, storage and caches (W3C Clear Site Data)
        b"critical-ch",  # as accept-ch, with a second request
        b"expect-ct",  # reports for the host (RFC 9163)
        b"idp-signin-status",  # set-login by its old name
        b"nel",  # reports of every request's fate (W3C Network Error Logging)
        b"observe-browsing-topics",  # topics of the site (Topics API)
        b"origin-agent-cluster",  # which process the origin's pages share (HTML)
        b"origin-isolation",  # the same, by its old name
        b"origin-policy",
        b"public-key-pins",  # keys of the host (RFC 7469)
        b"public-key-pins-report-only",
        b"report-to",  # where the origin's reports go (W3C Reporting)
        b"reporting-endpoints",
        b"service-worker-allowed",  # the scope of a worker (W3C Service Workers)
        b"set-login",  # whether the browser believes somebody to be signed in here (W3C FedCM)
        b"shared-storage-write",  # the origin's shared storage
        b"strict-transport-security",  # https for the host; `max-age=0` ends it (RFC 6797)
        b"use-as-dictionary",  # a body to decode later answers with (RFC 9842)
    }
)
ORIGIN_WIDE_PREFIXES: Final = (
    b"attribution-reporting-",  # registrations of the origin (Attribution Reporting)
    b"sec-session-",  # device bound session credentials (W3C), by their two names
    b"secure-session-",
)


def is_origin_wide(name: bytes) -> bool:
    """True for a lower-case name of the class."""
    return name in ORIGIN_WIDE or name.startswith(ORIGIN_WIDE_PREFIXES)
