"""The text of a scope as names (RFC 6749 section 3.3). Pure."""

from __future__ import annotations


def scope_names(scope: str) -> tuple[str, ...]:
    """Return the names in `scope`, in its order."""
    return tuple(scope.split())
