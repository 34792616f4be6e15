"""What the front door runs and believes: a page that could change it would be the front door after the next start."""

from __future__ import annotations

import os
import site
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from gateway.sandbox.interpreters import MARKER, OWN_PACKAGES, PACKAGES_FOLDER, links_of
from gateway.sandbox.reach import Part

INSTALLED = ("stdlib", "platstdlib", "purelib", "platlib", "scripts")


def own_parts() -> Iterator[Part]:
    """This program's packages, its Python, and the folders it imports from."""
    for package in OWN_PACKAGES:
        yield Part(PACKAGES_FOLDER / package, "code of the front door", is_whole=True)
    for program in links_of(Path(sys.executable).absolute()):
        yield Part(program, "Python of the front door")
    yield Part(Path(sys.prefix, MARKER), "Python of the front door")
    for name in INSTALLED:
        yield Part(Path(sysconfig.get_path(name)), "Python of the front door", is_whole=True)
    if site.ENABLE_USER_SITE:
        yield Part(Path(site.getusersitepackages()), "packages of the front door", is_whole=True)
    for entry in dict.fromkeys(sys.path):
        if os.path.isabs(entry):
            yield Part(Path(entry), "folder that the front door imports from")
