"""Find the folders of a Python without running it: its own, that of the Python it was made from, and its packages."""

from __future__ import annotations

import os
import site
import sys
from collections.abc import Iterator
from pathlib import Path

PACKAGES_FOLDER = Path(__file__).parent.parent.parent
OWN_PACKAGES = ("bff", "gateway", "streamlit_kit")
MOST_LINKS = 20
MARKER = "pyvenv.cfg"
"""The file that marks a folder as a virtual environment."""


def folders_of(python: str) -> list[Path]:
    """Return environment and installation of the program `python`. Its links are followed one by one."""
    found: dict[Path, None] = {}
    programs = [Path(python).absolute()]
    while programs and len(found) < MOST_LINKS:
        for program in links_of(programs.pop()):
            folder = program.parent.parent
            if folder in found:
                continue
            if (folder / MARKER).is_file():
                found[folder] = None
                programs += _made_from(folder / MARKER)
            elif any(folder.glob("lib*/python3*/os.py")):  # ~/.local, say, has a `bin` and is not a Python
                found[folder] = None
    return list(found)


def links_of(program: Path) -> Iterator[Path]:
    for _ in range(MOST_LINKS):
        yield program
        if not program.is_symlink():
            return
        program = Path(os.path.normpath(program.parent / os.readlink(program)))


def _made_from(marker: Path) -> Iterator[Path]:
    for line in marker.read_text(encoding="utf-8", errors="replace").splitlines():
        key, _, value = line.partition("=")
        if key.strip() == "home" and value.strip():
            yield Path(value.strip()) / "python3"


def own_folders() -> Iterator[Path]:
    """Return the folders from which this interpreter imports. A page runs in it unless its route names another."""
    yield from folders_of(sys.executable)
    yield from (Path(prefix) for prefix in (sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix))
    yield from (Path(entry) for entry in sys.path[1:] if entry and Path(entry).exists() and not _is_ours(entry))
    if site.ENABLE_USER_SITE:
        yield Path(site.getusersitepackages())


def _is_ours(entry: str) -> bool:
    return Path(entry).resolve() == PACKAGES_FOLDER.resolve()


def user_base() -> dict[str, str]:
    """Return the variable with which a page finds packages installed for the user, although it has its own home."""
    return {"PYTHONUSERBASE": site.getuserbase()} if site.ENABLE_USER_SITE else {}
