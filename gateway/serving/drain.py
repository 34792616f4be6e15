"""How long a stopping server waits. The supervisor needs this number, and none of the modules that serve."""

from __future__ import annotations

from typing import Final

DRAIN_SECONDS: Final = 3
"""Seconds that open requests get after a stop signal. The whole stop takes less than 5 s."""
