"""What was found wrong in a table: one finding for each kind of problem and column."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """`count` cells, rows or names of `column` have this `problem`; `fix` is what cleaning does about it."""

    problem: str
    column: str
    count: int
    example: str = ""
    fix: str = ""
