"""The packages of `package-lock.json`, installed once per lock and kept between runs."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
MANIFESTS = ("package.json", "package-lock.json")
INSTALL = ("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error")
INSTALL_SECONDS = 100


class InstallFailed(Exception):
    """npm could not install the packages. The message is the end of npm's output."""


def installed_packages(npm: Path, folder: Path) -> Path:
    """The folder below `folder` that holds `node_modules`; npm verifies every package against its hash in the lock.

    Raises:
        InstallFailed: no network, or a package that is not the locked one.
    """
    digest = hashlib.sha256(b"".join((HERE / name).read_bytes() for name in MANIFESTS)).hexdigest()
    final = folder / f"node-packages-{digest[:16]}"
    if final.is_dir():
        return final
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix="node-packages-unfinished-") as unfinished:
        _install(npm, Path(unfinished))
        try:
            Path(unfinished).rename(final)
        except OSError:
            if not final.is_dir():  # else another run was faster, with the same packages
                raise
        else:
            Path(unfinished).mkdir()  # the context manager removes it
    return final


def _install(npm: Path, folder: Path) -> None:
    for name in MANIFESTS:
        shutil.copy(HERE / name, folder)
    try:
        done = subprocess.run(
            [npm, *INSTALL], cwd=folder, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise InstallFailed(f"npm ci did not end within {INSTALL_SECONDS} s") from None
    if done.returncode:
        raise InstallFailed(f"npm ci failed:\n{done.stderr[-2000:]}")
