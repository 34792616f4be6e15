"""Make the pytest plugin known as an installer does, even if this environment was installed before it existed."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

from tests.repository import ROOT


def with_plugin(folder: Path) -> dict[str, str]:
    """Write the entry point of pyproject.toml into `folder`. Return the variables with which Python finds it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [f"{name} = {module}" for name, module in project["entry-points"]["pytest11"].items()]
    metadata = folder / "entry_point_of_the_plugin-1.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: entry-point-of-the-plugin\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("\n".join(["[pytest11]", *lines]) + "\n")
    return {"PYTHONPATH": os.pathsep.join((str(folder), str(ROOT)))}
