"""What a route is told about a person, and in how many bytes. Pure.

A list is sent whole or not at all: half a list of groups would look like all of them. What does not fit is left out and
named (`contract.HEADER_OMITTED`, the claim `omitted`). An application that needs it can ask for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Final

from bff.contract import IDENTITY_BYTES, IDENTITY_LINE_BYTES, Identity
from bff.settings.tables import RouteSettings

EVERYTHING: Final = ("*",)
HANDLE_LINE_BYTES: Final = 512
"""Room for the line with a session handle."""
SHARED_LINE_BYTES: Final = 2560
"""The longest assertion where a route gets two of them: one for its API, one for its page."""


def forwarded(identity: Identity, globs: Sequence[str]) -> Identity:
    """Return the person with only the groups that match one of `globs` (`groups_forwarded`)."""
    if "*" in globs:
        return identity
    groups = tuple(group for group in identity.groups if any(fnmatchcase(group, glob) for glob in globs))
    claims = {**identity.claims, "groups": list(groups)} if "groups" in identity.claims else identity.claims
    return replace(identity, groups=groups, claims=claims)


def forwarded_to_kit(client: str, routes: Iterable[RouteSettings]) -> tuple[str, ...]:
    """Return the globs of the groups that a kit client may see: those of all its pages.

    Without a page it may see all.
    """
    globs = [glob for route in routes if route.kit == client for glob in route.groups_forwarded]
    pages = any(route.kit == client for route in routes)
    return tuple(dict.fromkeys(globs)) if pages else EVERYTHING


def forwarded_to_audience(audience: str, routes: Iterable[RouteSettings]) -> tuple[str, ...]:
    """Return the globs of the groups that an audience may get: those of all its routes.

    Without a route it may get all.
    """
    there = [route for route in routes if route.audience == audience]
    globs = [glob for route in there for glob in route.groups_forwarded]
    return tuple(dict.fromkeys(globs)) if there else EVERYTHING


def assertion_line_bytes(route: RouteSettings) -> int:
    """Return how long a line with an assertion may be in a request to `route`."""
    return SHARED_LINE_BYTES if route.kit and route.token == "assertion" else IDENTITY_LINE_BYTES


def header_bytes(route: RouteSettings) -> int:
    """Return how many bytes the identity headers of a request to `route` may have, beside its assertions."""
    assertions = bool(route.kit) + (route.token == "assertion")
    return IDENTITY_BYTES - assertions * assertion_line_bytes(route) - (HANDLE_LINE_BYTES if route.kit else 0)


@dataclass(frozen=True, slots=True)
class AnswerRoom:
    """How the bytes of one answer of forward-auth are shared: a line with an assertion, and the identity headers."""

    assertion_line: int
    headers: int


def answer_room(route: RouteSettings, *, most_bytes: int) -> AnswerRoom:
    """Share `most_bytes` of an answer about `route` among its assertions and the identity headers.

    A provider's token has the length that it has; the caller takes it off first.
    """
    assertions = bool(route.kit) + (route.token == "assertion")
    left = most_bytes - (HANDLE_LINE_BYTES if route.kit else 0)
    line = min(assertion_line_bytes(route), left // (assertions + 1))
    return AnswerRoom(line, min(IDENTITY_BYTES, left - assertions * line))


def choose_omitted(
    sizes: Mapping[str, int], *, surplus: int, too_long: frozenset[str] = frozenset()
) -> tuple[str, ...]:
    """Choose what to leave out: what is `too_long` by itself, then the groups, then the largest, until `surplus` bytes
    are saved. What fits after all is kept.

    `sizes` has what may be left out, in bytes. The answer has the order of `sizes`.
    """
    omitted = set(too_long)
    left = surplus - sum(sizes[name] for name in omitted)
    chosen: list[str] = []
    for name in sorted(sizes.keys() - omitted, key=lambda name: (name != "groups", -sizes[name], name)):
        if left > 0 and sizes[name] > 0:
            chosen.append(name)
            left -= sizes[name]
    for name in chosen:
        if left + sizes[name] <= 0:
            left += sizes[name]
        else:
            omitted.add(name)
    return tuple(name for name in sizes if name in omitted)
