"""The report of a migration: three lists, what is unknown, and what is left to do. It shows no secret. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from gateway.cli.migrate.options import Instead, Safer, Taken
from gateway.cli.migrate.translation import Line, Translation

_TITLES: Final = {
    Taken: "Taken over",
    Instead: "No counterpart, and what Vestibule does instead",
    Safer: "Was unsafe, and is safe now",
}
MARK: Final = "!"
"""The sign before a line that a person has to look at."""


def build_report(translation: Translation, *, steps: Iterable[str]) -> str:
    """Write the report: each option that was given is in exactly one list."""
    blocks = [_block(title, _of(translation.lines, kind)) for kind, title in _TITLES.items()]
    unknown = [f"{MARK} {name}: {hint}" for name, hint in sorted(translation.unknown.items())]
    blocks.append(_block("Unknown, and not read", unknown))
    blocks.append(_block("Next", [f"{number}. {step}" for number, step in enumerate(steps, start=1)]))
    return "\n\n".join(block for block in blocks if block) + "\n"


def _of(lines: Iterable[Line], kind: type) -> Iterator[str]:
    for line in lines:
        if isinstance(line.outcome, kind):
            mark = MARK if isinstance(line.outcome, Instead | Safer) and line.outcome.is_open else " "
            yield f"{mark} {line.name}: {line.outcome.says}"


def _block(title: str, lines: Iterable[str]) -> str:
    found = list(lines)
    return (
        "\n".join([f"{title} ({len(found)})" if title != "Next" else title, *(f"  {line}" for line in found)])
        if found
        else ""
    )
