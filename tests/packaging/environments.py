"""New environments with only the built wheel and the packages that one extra requires.

The distributions are those of this environment, linked file by file, so that no network is needed. The requirements of
an extra are read from the wheel's metadata, as pip does it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

from tests.repository import ROOT


def build_wheel(folder: Path) -> Path:
    """Build the wheel of this checkout with the build tools of this environment."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "--wheel-dir", str(folder), str(ROOT)], check=True, timeout=110)
    (wheel,) = folder.glob("vestibule-*.whl")
    return wheel


def make_environment(folder: Path, wheel: Path, *, extras: Iterable[str] = ()) -> Path:
    """Make a virtual environment with `wheel` and the requirements of `extras`; its interpreter."""
    venv.create(folder, symlinks=True, with_pip=False)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = folder / "lib" / version / "site-packages"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    (metadata,) = packages.glob("vestibule-*.dist-info")
    for found in _closure(Distribution.at(metadata), frozenset(extras)):
        _link(found, packages)
    return folder / "bin" / "python"


def _closure(root: Distribution, extras: frozenset[str]) -> list[Distribution]:
    """Every distribution that `root` with `extras` needs, itself excepted."""
    found: dict[str, Distribution] = {}
    waiting = [(root, extras)]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        owner, wanted = waiting.pop()
        for text in owner.requires or ():
            requirement = Requirement(text)
            if not any(_applies(requirement, extra) for extra in (wanted or {""})):
                continue
            key = (requirement.name.lower(), frozenset(requirement.extras))
            if key in seen:
                continue
            seen.add(key)
            try:
                needed = root if key[0] == "vestibule" else distribution(requirement.name)
            except PackageNotFoundError:
                continue  # for another platform or Python
            if needed is not root:
                found[key[0]] = needed
            waiting.append((needed, key[1]))
    return list(found.values())


def _applies(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def _link(found: Distribution, packages: Path) -> None:
    for file in found.files or ():
        source, target = Path(str(file.locate())), packages / file
        if ".." in file.parts or not source.is_file() or target.exists():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        os.symlink(source, target)
