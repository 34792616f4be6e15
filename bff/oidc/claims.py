"""Read claims by path: dotted (`realm_access.roles`), or one name that is a URL (`https://example.com/roles`). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final

from bff.oidc.members import is_absent

MAX_VALUES = 10_000
"""More names than any group service gives a person. A longer list counts as none: part of a list would look whole."""
MAX_VALUE_LENGTH = 256
MAX_BITS: Final = 128
"""Of a number that is a name: an id, even one as long as a UUID."""
NAMING_MEMBERS: Final = ("name", "display_name", "id")
"""Members of an object that name it, the first one wins."""
SAYS_NO: Final = (None, "", False)
"""Values that say that a key of a map is not a name of this person. 0 is equal to False."""
WORDS_FOR_NO: Final = frozenset({"", "false", "no", "off", "none", "null", "n", "f", "0"})
"""The same values as text: attributes of a directory are often text."""


def claim_at(claims: Mapping[str, Any], path: str) -> Any:
    """Return the value at `path`, None if it is absent, null or empty text.

    A top-level claim named exactly `path` wins over a dotted path.
    """
    name = path.strip("\"'")
    if name in claims:
        return None if is_absent(claims[name]) else claims[name]
    if "://" in name:
        return None
    value: Any = claims
    for part in name.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return None
        value = value[part]
    return None if is_absent(value) else value


@dataclass(frozen=True, slots=True)
class NamesRead:
    """The names of a claim, and what stood there. `lost` counts the values that gave no name."""

    names: tuple[str, ...] = ()
    lost: int = 0
    shape: str = ""


def names_at(claims: Mapping[str, Any], path: str) -> tuple[str, ...]:
    """Return the names at `path`."""
    return read_names(claims, path).names


def read_names(claims: Mapping[str, Any], path: str) -> NamesRead:
    """Read the names at `path`, in every form in which providers write them.

    A text or a number is one name. A list holds names, or objects with `name`, `display_name` or `id`. The keys of a
    map are names, save those whose value says no or is empty. An empty one counts as lost, because nobody knows what it
    means. More than `MAX_VALUES` give no names.
    """
    value = claim_at(claims, path) if path else None
    if is_absent(value):
        return NamesRead()
    values = _values_of(value)
    if len(values) > MAX_VALUES:
        return NamesRead((), len(values), shape_of(value))
    names = [_name_of(item) for item in values]
    return NamesRead(tuple(dict.fromkeys(filter(None, names))), names.count(""), shape_of(value))


def shape_of(value: object) -> str:
    """Describe a value for the operator's log without repeating it: "a list of 3", "a number"."""
    match value:
        case list() | tuple():
            return f"a list of {len(value)}"
        case dict():
            return f"a map of {len(value)}"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case _:
            return "text"


def _values_of(value: Any) -> list[Any]:
    if isinstance(value, dict) and not any(isinstance(value.get(key), str) for key in NAMING_MEMBERS):
        return ["" if _is_empty(granted) else name for name, granted in value.items() if not _says_no(granted)]
    return value if isinstance(value, list) else [value]


def _is_empty(granted: object) -> bool:
    """True for an empty list or map: what would say where or how the name is granted is absent, so it is not."""
    return isinstance(granted, list | dict) and not granted


def _says_no(granted: object) -> bool:
    """True for a value that says no. A list says no if each item does: directories write attributes as lists."""
    if isinstance(granted, list):
        return bool(granted) and all(_says_no(item) or _is_empty(item) for item in granted)
    if isinstance(granted, str):
        return granted.strip().lower() in WORDS_FOR_NO
    return granted in SAYS_NO


def _name_of(item: object) -> str:
    """Return the name that an item is or has, "" if there is none."""
    if isinstance(item, dict):
        return next(filter(None, (_name_of(item.get(key)) for key in NAMING_MEMBERS if _is_plain(item.get(key)))), "")
    if isinstance(item, int) and not isinstance(item, bool) and item.bit_length() <= MAX_BITS:
        return str(item)
    if isinstance(item, float) and isfinite(item):
        return str(int(item)) if item.is_integer() and abs(item) < 2**53 else repr(item)
    return item if isinstance(item, str) and _is_name(item) else ""


def _is_plain(item: object) -> bool:
    return isinstance(item, str | int | float)


GROUPS_UNREACHABLE: Final = "_groups_unreachable"
"""A claim of our own beside the provider's marks: where the groups are known, nobody answered."""
MARKS_OF_GROUPS_LEFT_OUT: Final = ("hasgroups", "_claim_names", "_claim_sources", GROUPS_UNREACHABLE)


def are_groups_left_out(claims: Mapping[str, Any]) -> bool:
    """True if an ID token has no groups but says that there are some: Entra ID marks it so above 200 groups."""
    if claims.get("groups") is not None:
        return False
    elsewhere = claims.get("_claim_names")
    return claims.get("hasgroups") in (True, "true") or (isinstance(elsewhere, Mapping) and "groups" in elsewhere)


def text_at(claims: Mapping[str, Any], name: str) -> str:
    """Return a claim as text without control characters, "" if it is absent or not a string."""
    value = claims.get(name)
    if not isinstance(value, str) or len(value) > 1024 or not value.isprintable():
        return ""
    return value


def _is_name(item: str) -> bool:
    return 0 < len(item) <= MAX_VALUE_LENGTH and item.isprintable()
