"""What browsers ask for by themselves, before anybody has signed in: icons, and a file of the developer tools.

Nobody clicked on these, and a sign-in cannot come of them. Without a session they get an empty 404 and no line in the
log of refusals. With a session they are requests like all others.
"""

from __future__ import annotations

from bff.errors import AuthError, LoginRequired

PATHS = frozenset(
    {
        "/favicon.ico",
        "/apple-touch-icon.png",
        "/apple-touch-icon-precomposed.png",
        "/.well-known/appspecific/com.chrome.devtools.json",
    }
)


def is_unasked(path: str, method: str, error: AuthError) -> bool:
    """True if a browser asked for this by itself, and it was refused only because there is no session."""
    return path in PATHS and method in ("GET", "HEAD") and isinstance(error, LoginRequired)
