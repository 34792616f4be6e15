"""How `vestibule doctor --through` shall look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

QUIET_SECONDS: Final = 65
"""More than the time-out that nginx has by itself."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """How to look: `quiet_seconds` 0 leaves the time-outs out; `http_port` is where plain http is redirected."""

    quiet_seconds: int = QUIET_SECONDS
    http_port: int = 0
    ca_file: str = ""
