"""Find the configuration file of a command and the place for a new one, and apply `--port`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bff.settings.tables import Settings
from gateway.processes.listeners import split_bind

NAME = "vestibule.toml"
DEFAULT = Path(NAME)
VARIABLE = "VESTIBULE_CONFIG"
SYSTEM_FOLDER = Path("/etc/vestibule")


def find_configuration(given: Path | None, *, environ: Mapping[str, str]) -> Path | None:
    """Return `given`, or the file that VESTIBULE_CONFIG names, or the first of `usual_places` that exists.

    None if no file exists but there are settings in variables. The first place if there is nothing at all.
    """
    if given is not None:
        return given
    if environ.get(VARIABLE):
        return Path(environ[VARIABLE])
    found = next((file for file in usual_places(environ) if file.exists()), None)
    is_configured = any(name.upper().startswith("VESTIBULE_PROVIDERS__") for name in environ)
    return found or (None if is_configured else DEFAULT)


def usual_places(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Return where vestibule.toml may be: the current folder, the person's settings folder, and the system's."""
    own = own_folder(environ)
    return (DEFAULT, *((own / NAME,) if own is not None else ()), SYSTEM_FOLDER / NAME)


def own_folder(environ: Mapping[str, str]) -> Path | None:
    """Return `$XDG_CONFIG_HOME/vestibule` or `~/.config/vestibule`; None for a user without a home folder."""
    base, home = environ.get("XDG_CONFIG_HOME", ""), environ.get("HOME", "")
    if Path(base).is_absolute():  # a relative one is to be ignored (XDG Base Directory Specification)
        return Path(base) / "vestibule"
    return Path(home) / ".config" / "vestibule" if Path(home).is_absolute() else None


def folder_for_new(environ: Mapping[str, str], *, is_root: bool | None = None) -> Path:
    """Return where `vestibule init` writes: never beside pages, because their code could read the secrets."""
    root = os.geteuid() == 0 if is_root is None else is_root
    own = own_folder(environ)
    return SYSTEM_FOLDER if root or own is None else own


def with_port(settings: Settings, port: int) -> dict[str, Any]:
    """Build settings that listen on `port`. A local public URL with the old port gets the new one as well."""
    server = settings.server
    host, old = split_bind(server.bind)
    changed = {"bind": f"[{host}]:{port}" if ":" in host else f"{host}:{port}"}
    url = urlsplit(server.public_url)
    if settings.is_development and url.port == old:
        changed["public_url"] = url._replace(netloc=f"{url.netloc.rpartition(':')[0]}:{port}").geturl()
    return {"server": changed}
