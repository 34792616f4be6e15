"""One step of an explanation."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """What was looked at (`subject`, "" to go on with the one before), and what was found.

    `holds` is None for a remark. With `ends`, nothing after it is looked at.
    """

    subject: str
    says: str
    holds: bool | None = None
    ends: bool = False
