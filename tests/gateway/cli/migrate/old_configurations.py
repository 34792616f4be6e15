"""Configurations of oauth2-proxy for the tests: a small complete one, and ways to change it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomlkit

from bff.settings.loading import load_settings
from bff.settings.tables import Settings
from gateway.cli.migrate.sources import read_sources
from gateway.cli.migrate.translation import Line, Translation, translate
from tests.gateway.commands import vestibule

ISSUER = "https://idp.example.com/realms/corp"
PASSWORD = "oht8Iephei7Aehei"
SECRET = "Gahng4ohcoh5Ahb9"
COMPLETE: Mapping[str, Any] = {
    "provider": "oidc",
    "oidc_issuer_url": ISSUER,
    "client_id": "front",
    "client_secret": SECRET,
    "cookie_secret": "not-a-secret-of-anybody",
    "redirect_url": "https://apps.example.com/oauth2/callback",
    "email_domains": ["example.com"],
    "upstreams": ["http://127.0.0.1:8080/"],
}


def write_old(folder: Path, *, without: tuple[str, ...] = (), name: str = "oauth2-proxy.cfg", **options: Any) -> Path:
    """Write the complete configuration with `options` in place of or beside its own."""
    file = folder / name
    kept = {key: value for key, value in {**COMPLETE, **options}.items() if key not in without}
    file.write_text(tomlkit.dumps(kept), encoding="utf-8")
    return file


def translated(folder: Path, *, without: tuple[str, ...] = (), **options: Any) -> Translation:
    """Translate the complete configuration with `options`."""
    file = write_old(folder, without=without, **options)
    return translate(read_sources([file], environ={}, with_environ=False), folder=folder)


def line_of(translation: Translation, name: str) -> Line:
    """The one line about an option."""
    found = [line for line in translation.lines if line.name == name]
    assert len(found) == 1, [line.name for line in translation.lines]
    return found[0]


def migrate(folder: Path, *more: str, variables: dict[str, str] | None = None) -> tuple[int, str]:
    """Run the command on the old configuration in `folder`; its status and everything that it said."""
    file = [str(folder / "oauth2-proxy.cfg")] if (folder / "oauth2-proxy.cfg").exists() else []
    done = vestibule(
        "migrate", "oauth2-proxy", *file, "--out", str(folder / "new"), *more, folder=folder, variables=variables
    )
    return done.returncode, done.stdout + done.stderr


def settings_in(folder: Path) -> Settings:
    return load_settings(folder / "new" / "vestibule.toml", environ={})


def assert_passes_the_check(folder: Path) -> None:
    checked = vestibule("config", "check", "--config", str(folder / "new" / "vestibule.toml"), folder=folder)
    assert checked.returncode == 0, checked.stderr
    assert checked.stdout == "ok\n"
