"""The members of a message from elsewhere: what is absent, and how a value may be written into a log. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

MAX_WRITTEN: Final = 200


def present(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members of `message` that say something: those that are neither null nor empty text.

    Every message is read through this once, before its rules are checked. So a required member that is null counts as
    missing, and an optional one as absent. Only members that must not be there are looked for in `message` itself. They
    are refused with any value.
    """
    return {name: value for name, value in message.items() if not is_absent(value)}


def is_absent(value: object) -> bool:
    """True for null and empty text. Many programs write them where others leave the member out."""
    return value is None or value == ""


def written(value: object) -> str:
    """Write a value for the operator's log: one line of ASCII, at most `MAX_WRITTEN` characters, "nothing" if absent.

    Only for names of issuers, audiences, algorithms and types. Nothing secret may be in `value`.
    """
    if is_absent(value):
        return "nothing"
    text = value if isinstance(value, str) else json.dumps(value)
    escaped = text.encode("unicode_escape").decode("ascii")
    return escaped if len(escaped) <= MAX_WRITTEN else escaped[: MAX_WRITTEN - 1] + "~"
