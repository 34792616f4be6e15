"""Make the claims of an assertion fit into one header line. Pure.

Groups are left out first, then the longest of what else may go. The claim `omitted` names what is missing, so that a
reader never takes a missing list for an empty one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from bff.access.forwarded_identity import choose_omitted

OMITTED: Final = "omitted"
REFERENCE: Final = "identity"
"""Claims of an assertion that leaves something out: what it is, and a sealed reference to the session that has it."""
MAY_GO: Final = ("groups", "roles", "scope", "routes", "name", "email", "preferred_username", "acr")
_SIGNATURE: Final = 86 + 2
"""An ES256 signature in base64url, and the two dots of a token."""


def bound_claims(
    claims: Mapping[str, Any],
    *,
    header: Mapping[str, str],
    token_bytes: int,
    reference: Callable[[], str] | None = None,
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the claims of a token of at most `token_bytes`, and the names of those that were left out.

    `reference` makes the value of the claim `identity`; it is called only if something is left out.
    """
    room = (token_bytes - _SIGNATURE - _encoded(_json_bytes(header))) * 3 // 4
    sizes = {name: _json_bytes({name: claims[name]}) - 1 for name in MAY_GO if name in claims}
    fixed = _json_bytes({name: value for name, value in claims.items() if name not in sizes})
    if fixed + sum(sizes.values()) <= room:
        return dict(claims), ()
    marks: dict[str, Any] = {OMITTED: list(sizes)}
    if reference is not None:
        marks[REFERENCE] = reference()
    surplus = fixed + sum(sizes.values()) + _json_bytes(marks) - room
    too_long = frozenset(name for name, size in sizes.items() if size > room)
    omitted = choose_omitted(sizes, surplus=surplus, too_long=too_long)
    kept = {name: value for name, value in claims.items() if name not in omitted}
    return kept | marks | {OMITTED: list(omitted)}, omitted


def _json_bytes(value: object) -> int:
    return len(json.dumps(value, separators=(",", ":")))


def _encoded(size: int) -> int:
    return -(-size * 4 // 3)
