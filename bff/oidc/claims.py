"""Read claims by path: dotted (`realm_access.roles`), or one name that is a URL (`https://example.com/roles`). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MAX_VALUES = 10_000
"""More names than any group service gives a person. A longer list counts as none: part of a list would look whole."""
MAX_VALUE_LENGTH = 256


def claim_at(claims: Mapping[str, Any], path: str) -> Any:
    """Return the value at `path`, None if absent. A top-level claim named exactly `path` wins over a dotted path."""
    name = path.strip("\"'")
    if name in claims:
        return claims[name]
    if "://" in name:
        return None
    value: Any = claims
    for part in name.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return None
        value = value[part]
    return value


def names_at(claims: Mapping[str, Any], path: str) -> tuple[str, ...]:
    """Return the names at `path`: a list of strings, or one string. Any other value, or a list that is longer than
    `MAX_VALUES`, gives no names."""
    value = claim_at(claims, path) if path else None
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list) or len(value) > MAX_VALUES:
        return ()
    return tuple(dict.fromkeys(item for item in value if _is_name(item)))


def text_at(claims: Mapping[str, Any], name: str) -> str:
    """Return a claim as text without control characters, "" if it is absent or not a string."""
    value = claims.get(name)
    if not isinstance(value, str) or len(value) > 1024 or not value.isprintable():
        return ""
    return value


def _is_name(item: object) -> bool:
    return isinstance(item, str) and 0 < len(item) <= MAX_VALUE_LENGTH and item.isprintable()
