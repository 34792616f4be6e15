"""Install applications from the package index into a separate environment, which is kept between runs."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

INSTALL = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:", "--no-compile")
"""Without compiling: a program compiles the few modules that it uses, and they are thousands."""


class InstallFailed(Exception):
    """pip could not install the packages. The message is the end of pip's output."""


def installed_python(requirements: Path, folder: Path, *, seconds: float) -> Path:
    """Return the interpreter of an environment below `folder` that has what `requirements` pins.

    Raises:
        InstallFailed: no network, or no such version for this Python.
    """
    digest = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    final = folder / f"{requirements.stem}-{digest[:16]}"
    python = final / "bin" / "python"
    if python.exists():
        return python
    folder.mkdir(parents=True, exist_ok=True)
    # Programs of a moved environment start only with `python -m`, as ours do.
    with tempfile.TemporaryDirectory(dir=folder, prefix=f"{final.name}-unfinished-") as unfinished:
        own = Path(unfinished) / "environment"
        venv.create(own, with_pip=True)
        _install(own / "bin" / "python", requirements, seconds=seconds)
        try:
            own.rename(final)
        except OSError:
            if not python.exists():  # else another run was faster, with the same packages
                raise
    return python


def _install(python: Path, requirements: Path, *, seconds: float) -> None:
    command = [str(python), *INSTALL, "-r", str(requirements)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        raise InstallFailed(f"pip did not install {requirements.name} within {seconds:.0f} s") from None
    if done.returncode:
        raise InstallFailed(f"pip could not install {requirements.name}:\n{done.stderr[-2000:]}")
