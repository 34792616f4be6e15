"""Files with secrets. Only their owner can read them. They are replaced completely or not at all."""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path

from bff.settings.rules import MIN_KEY_BYTES
from gateway.faults import UsageFault

KEPT_KEYS = 3
OWNER_ONLY = 0o600
STANDARD_OUTPUT = "-"


def new_key() -> str:
    """Make a server key: 48 random bytes, base64url."""
    return secrets.token_urlsafe(48)


def new_secret() -> str:
    """Make a secret for a kit client or an administrator: 32 random bytes, base64url."""
    return secrets.token_urlsafe(32)


def write_secret(path: Path, text: str, *, replace: bool = False) -> None:
    """Write `text` and a line end to `path`. The file has mode 0600 from the start.

    Raises:
        UsageFault: the file is there already, or cannot be written.
    """
    try:
        if replace:
            _replace(path, text)
            return
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text + "\n")
    except FileExistsError:
        raise UsageFault(f"{path} is there already; remove it, or choose another name") from None
    except OSError as exc:
        raise UsageFault(f"{path} cannot be written: {exc.strerror}") from exc


def _replace(path: Path, text: str) -> None:
    """Write a new file and rename it, so that readers, also after a crash, find the old file or the new one."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def read_keys(path: Path) -> list[str]:
    """Read the keys in `path`, newest first.

    Raises:
        UsageFault: the file cannot be read, is empty, or has a line that is too short for a key.
    """
    try:
        keys = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as exc:
        raise UsageFault(f"{path} cannot be read: {type(exc).__name__}; make it with `vestibule keys new`") from None
    if not keys or any(len(key.encode()) < MIN_KEY_BYTES for key in keys):
        raise UsageFault(f"{path} is not a key file: each line must hold {MIN_KEY_BYTES} bytes or more")
    return keys


def rotate_keys(path: Path) -> int:
    """Put a new key first and keep the newest three. Return how many there are now.

    Old keys are still accepted, so nobody is signed out before the third rotation.
    """
    keys = [new_key(), *read_keys(path)][:KEPT_KEYS]
    write_secret(path, "\n".join(keys), replace=True)
    return len(keys)
