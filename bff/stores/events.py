"""The events that stores send to every process about sessions, and their form on the wire."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from bff.contract import EndReason


@dataclass(frozen=True, slots=True)
class SessionsEnded:
    """One session (`name`), or every session of an owner that began at or before `at`, is over."""

    reason: EndReason
    name: str = ""
    owner: str = ""
    at: float = 0


@dataclass(frozen=True, slots=True)
class SessionChanged:
    """The record `name` was rewritten: tokens or claims are new."""

    name: str


@dataclass(frozen=True, slots=True)
class EverythingUnknown:
    """Events may have been lost: everything remembered about sessions has to be read again."""


SessionEvent = SessionsEnded | SessionChanged | EverythingUnknown
Listener = Callable[[SessionEvent], None]


def event_to_wire(event: SessionEvent) -> bytes:
    match event:
        case SessionsEnded():
            table: Mapping[str, Any] = {"e": "ended", **asdict(event)}
        case SessionChanged(name):
            table = {"e": "changed", "name": name}
        case EverythingUnknown():
            table = {"e": "unknown"}
    return json.dumps(table, separators=(",", ":")).encode()


def event_from_wire(data: bytes) -> SessionEvent:
    """Reverse `event_to_wire`.

    Raises:
        ValueError, TypeError, KeyError: not an event of this version.
    """
    table: dict[str, Any] = json.loads(data)
    kind = table.pop("e")
    if kind == "changed":
        return SessionChanged(str(table["name"]))
    if kind == "unknown":
        return EverythingUnknown()
    if kind != "ended":
        raise ValueError("an event of another version")
    return SessionsEnded(EndReason(table["reason"]), str(table["name"]), str(table["owner"]), float(table["at"]))
