"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Config = Annotated[
    Path | None, typer.Option("--config", "-c", help="Configuration file; else the first in the usual places.")
]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]
