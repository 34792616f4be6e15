"""Write the new configuration, its secrets and the report. They are checked first, and nothing is replaced."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bff.settings.loading import ConfigurationError, load_settings, parse_settings
from gateway.cli.configuration_file import NAME
from gateway.cli.initialise import see_that_nobody_else_may_write
from gateway.cli.key_files import new_key, new_secret, write_secret
from gateway.cli.migrate.assembling import ADMIN_TOKEN, KEYS, build_tables, build_toml
from gateway.cli.migrate.draft import SECRETS
from gateway.cli.migrate.provider import CLIENT_KEY, CLIENT_SECRET
from gateway.cli.migrate.report import build_report
from gateway.cli.migrate.translation import Translation
from gateway.faults import CommandFault, UsageFault

REPORT: Final = "migrated-from-oauth2-proxy.txt"


@dataclass(frozen=True, slots=True)
class Migrated:
    """The new file, and the report that was also written beside it."""

    file: Path
    report: str


def write_configuration(translation: Translation, *, folder: Path) -> Migrated:
    """Check the new configuration, write it into `folder`, and check what was written.

    Raises:
        UsageFault: it would have faults, a file is there already, or others could change the folder.
        CommandFault: a file cannot be written.
    """
    draft = translation.draft
    text = build_toml(draft, build_tables(draft))
    secrets = {KEYS: new_key(), ADMIN_TOKEN: new_secret(), **draft.secrets}
    check_before(text, secrets)
    report = build_report(translation, steps=_steps(translation, folder))
    places = {folder / SECRETS / name: secret for name, secret in secrets.items()}
    places |= {folder / NAME: text, folder / REPORT: report.rstrip()}
    see_that_nobody_else_may_write(folder)
    if taken := sorted(str(path) for path in places if path.exists()):
        raise UsageFault(
            f"there already, and nothing was written: {', '.join(taken)}; choose another folder with --out"
        )
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / SECRETS).mkdir(mode=0o700, exist_ok=True)
        (folder / SECRETS).chmod(0o700)
        (folder / SECRETS / ".gitignore").write_text("*\n", encoding="utf-8")
    except OSError as exc:
        raise CommandFault(f"{exc.filename} cannot be written: {exc.strerror}") from exc
    for path, content in places.items():
        write_secret(path, content)
    _check_after(folder / NAME, secrets)
    return Migrated(folder / NAME, report)


def check_before(text: str, secrets: Mapping[str, str]) -> None:
    """Check the configuration with its secrets in place. A secret that is not known yet is replaced for the check."""
    tables = _with_secrets(tomllib.loads(text), secrets)
    try:
        parse_settings(tables, source="the new configuration")
    except ConfigurationError as error:
        is_to_come = secrets.get(CLIENT_KEY) == ""
        faults = [fault for fault in error.faults if not (is_to_come and fault.key.endswith(".client_key"))]
        if faults:
            raise UsageFault("nothing was written:\n" + "\n".join(map(str, faults))) from None


def _with_secrets(tables: Mapping[str, Any], secrets: Mapping[str, str]) -> dict[str, Any]:
    """Replace each `<name>_file` of `secrets/` by what the file will hold."""
    plain: dict[str, Any] = {}
    for key, value in tables.items():
        if isinstance(value, Mapping):
            plain[key] = _with_secrets(value, secrets)
        elif key.endswith("_file") and str(value).startswith(f"{SECRETS}/"):
            name = Path(value).name
            secret = secrets[name] or (new_secret() if name == CLIENT_SECRET else "")
            plain[key.removesuffix("_file")] = [secret] if name == KEYS else secret
        else:
            plain[key] = value
    return plain


def _check_after(file: Path, secrets: Mapping[str, str]) -> None:
    """Check the files that were written. The only faults allowed are secrets that are not known yet."""
    try:
        load_settings(file, environ={})
    except ConfigurationError as error:
        missing = {f"{name}_file" for name, secret in _OPEN.items() if secrets.get(secret) == ""}
        faults = [fault for fault in error.faults if fault.key.rpartition(".")[2] not in missing]
        if faults:
            raise CommandFault("\n".join(map(str, faults))) from None


_OPEN: Final = {"client_secret": CLIENT_SECRET, "client_key": CLIENT_KEY}


def _steps(translation: Translation, folder: Path) -> list[str]:
    draft, steps = translation.draft, list(translation.draft.steps)
    for name in (one for one, secret in draft.secrets.items() if not secret):
        steps.append(f"Put the secret into {folder / SECRETS / name}: it is empty, and nothing can run yet")
    if not translation.is_complete:
        steps.append("Decide about the lines marked with !. What they would open stays closed until then")
    if not draft.upstreams:
        steps += [
            "An nginx that asks /oauth2/auth goes on working, but gets no token. Better let it ask /auth/verify/nginx "
            "at the address of [forward_auth] bind: docs/coming-from-oauth2-proxy.md shows the lines",
            "If the proxy in front is not nginx, name it in [forward_auth] modes",
            *(["Long tokens need a larger head: [forward_auth] head_bytes"] if "token" in draft.route else []),
        ]
    config = f" --config {folder / NAME}"
    return [*steps, f"vestibule config check{config}", f"vestibule doctor{config}", f"vestibule run{config}"]


def default_folder() -> Path:
    """Return where the files go if nobody says so: a new folder here, to be looked at before it is used."""
    return Path(os.curdir) / "vestibule"
