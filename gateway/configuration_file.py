"""Which configuration file a command means, and what `--port` changes in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bff.settings import Settings
from gateway.listeners import split_bind

DEFAULT = Path("vestibule.toml")
VARIABLE = "VESTIBULE_CONFIG"


def find_configuration(given: Path | None, *, environ: Mapping[str, str]) -> Path | None:
    """`given`, else what VESTIBULE_CONFIG names, else vestibule.toml here; None when variables alone configure."""
    if given is not None:
        return given
    if environ.get(VARIABLE):
        return Path(environ[VARIABLE])
    is_configured = any(name.upper().startswith("VESTIBULE_PROVIDERS__") for name in environ)
    return None if is_configured and not DEFAULT.exists() else DEFAULT


def with_port(settings: Settings, port: int) -> dict[str, Any]:
    """Overrides that listen on `port`; a local public URL with the old port moves along, for it is the same address."""
    server = settings.server
    host, old = split_bind(server.bind)
    changed = {"bind": f"[{host}]:{port}" if ":" in host else f"{host}:{port}"}
    url = urlsplit(server.public_url)
    if settings.is_development and url.port == old:
        changed["public_url"] = url._replace(netloc=f"{url.netloc.rpartition(':')[0]}:{port}").geturl()
    return {"server": changed}
