"""Read `vestibule.toml`, the environment and the command line into one `Settings`.

All faults of form are reported at once; when the forms hold, all faults of rules at once.

Precedence: command line > environment (`VESTIBULE_SERVER__PUBLIC_URL`) > file > defaults.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bff.settings.environment import GivenVariables, read_variables
from bff.settings.faults import FormFault, Place, form_faults_of, key_of, place_of, route_name
from bff.settings.profiles import with_profiles
from bff.settings.rules import Fault, find_faults
from bff.settings.secrets import exposed_files, holds_secrets, place_files, read_secret_files, secret_paths
from bff.settings.tables import SECRET_FIELDS, Settings

__all__ = ["ConfigurationError", "Draft", "Fault", "load_draft", "load_settings", "parse_settings"]

CREDENTIALS = ("client_secret", "client_key")
"""What proves at a provider who we are. A person can have it only after they have registered there."""


@dataclass(eq=False)  # not frozen: Python itself writes to exceptions, `__traceback__` and notes
class ConfigurationError(Exception):
    """The configuration cannot be used. `faults` holds every fault found, each with file, key and fix."""

    faults: tuple[Fault, ...]

    def __str__(self) -> str:
        return "\n".join(str(fault) for fault in self.faults)


@dataclass(frozen=True, slots=True)
class Draft:
    """Settings that hold, except that credentials of providers are missing or cannot be used: `missing` says which."""

    settings: Settings
    missing: tuple[Fault, ...]


def load_settings(
    file: Path | None, *, environ: Mapping[str, str], overrides: Mapping[str, Any] | None = None
) -> Settings:
    """Load settings from `file` (None: defaults), `environ` and `overrides` (nested tables).

    Raises:
        ConfigurationError: with every fault of every source.
    """
    return _complete(_build(_read(file), file=file, folder=_folder(file), environ=environ, overrides=overrides))


def load_draft(file: Path | None, *, environ: Mapping[str, str]) -> Draft:
    """Load settings that need not have the providers' credentials yet. Nothing may run with them.

    Raises:
        ConfigurationError: with every fault, if one of them is about something else.
    """
    return _build(_read(file), file=file, folder=_folder(file), environ=environ, overrides=None)


def _complete(draft: Draft) -> Settings:
    if draft.missing:
        raise ConfigurationError(draft.missing)
    return draft.settings


def _folder(file: Path | None) -> Path:
    return file.parent if file else Path()


def _read(file: Path | None) -> dict[str, Any]:
    raw: dict[str, Any] = {}
    if file is not None:
        try:
            raw = tomllib.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ConfigurationError((Fault(str(file), "", "no such file", "run `vestibule init`"),)) from None
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
            raise ConfigurationError(
                (Fault(str(file), "", f"not readable as TOML: {exc}", "correct the file"),)
            ) from exc
    return raw


def parse_settings(
    raw: Mapping[str, Any],
    *,
    source: str = "settings",
    folder: Path = Path(),
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Settings:
    """Make settings of tables that were read already. Relative paths of files start at `folder`."""
    return _complete(_build(raw, source=source, folder=folder, environ=environ or {}, overrides=overrides))


def _build(
    raw: Mapping[str, Any],
    *,
    file: Path | None = None,
    source: str = "",
    folder: Path,
    environ: Mapping[str, str],
    overrides: Mapping[str, Any] | None,
) -> Draft:
    source = source or str(file or "settings")
    given = read_variables(environ)
    merged = with_profiles(_merge(_merge(_merge({}, raw), given.tables), overrides or {}))
    exposed = exposed_files(merged, raw, file=file, folder=folder, environ=environ)
    of_form = [one.fault for one in exposed if one.is_refused]
    of_files = list(read_secret_files(merged, folder=folder))
    of_credentials = [one for one in of_files if _credential(one.place)]
    of_form += [one for one in of_files if one not in of_credentials]
    place_files(merged, folder=folder)
    try:
        settings = Settings(**merged)
    except ValidationError as error:
        of_form += form_faults_of(error, merged)
    if of_form or given.faults:
        of_form += of_credentials
        raise ConfigurationError((*given.faults, *_located(of_form, merged, given=given, source=source)))
    said = {_credential(one.place) for one in of_credentials}
    found = list(_located(of_credentials, merged, given=given, source=source))
    is_usable = True
    for fault in find_faults(settings, source=source):
        credential = _credential(place_of(fault.key))
        is_usable = is_usable and bool(credential)
        if credential not in said:
            found.append(_blame(fault, given))
    if not is_usable:
        raise ConfigurationError(tuple(found))
    return Draft(settings, tuple(found))


def _credential(place: Place) -> str:
    """Return which credential of a provider a fault is about; "" if it is about something else."""
    if len(place) != 3 or place[0] != "providers":
        return ""
    name = str(place[2]).removesuffix("_file")
    return f"{place[1]}.{name}" if name in CREDENTIALS else ""


def weak_secret_files(file: Path, *, environ: Mapping[str, str]) -> Iterator[Fault]:
    """Yield warnings about the secret files of a configuration that has no faults."""
    own = tomllib.loads(file.read_text(encoding="utf-8"))
    tables = _merge(own, read_variables(environ).tables)
    found = exposed_files(tables, own, file=file, folder=file.parent, environ=environ)
    for fault in (exposed.fault for exposed in found if not exposed.is_refused):
        yield Fault(str(file), key_of(fault.place), fault.message, fault.fix, route_name(tables, fault.place))


def secret_places(file: Path | None, *, environ: Mapping[str, str]) -> Iterator[tuple[str, Path]]:
    """Yield key and path of every file with a secret, also the configuration itself if it holds one."""
    own = tomllib.loads(file.read_text(encoding="utf-8")) if file else {}
    tables = _merge(_merge({}, own), read_variables(environ).tables)
    for place, path in secret_paths(tables, file.parent if file else Path()):
        yield key_of(place), path
    if file is not None and holds_secrets(own):
        yield "a secret is written into it", file


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Put `over` on top of `base`. A secret given in `over`, as `x` or `x_file`, replaces it in both spellings."""
    merged = {key: value for key, value in base.items() if _other_spelling(key) not in over}
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def _other_spelling(key: str) -> str:
    name = key.removesuffix("_file")
    if not any(name in names for names in SECRET_FIELDS.values()):
        return ""
    return name if key != name else f"{name}_file"


def _located(
    faults: list[FormFault], tables: Mapping[str, Any], *, given: GivenVariables, source: str
) -> Iterator[Fault]:
    for fault in faults:
        name = route_name(tables, fault.place)
        yield _blame(Fault(source, key_of(fault.place), fault.message, fault.fix, name), given)


def _blame(fault: Fault, given: GivenVariables) -> Fault:
    """Name the environment variable instead of the file's key when the value comes from that variable."""
    place = place_of(fault.key)
    variable = given.variable_of(place)
    if not variable:
        return fault
    is_part = place not in given.origins and (*place[:-1], f"{place[-1]}_file") not in given.origins
    message = f"{fault.key}: {fault.message}" if is_part else fault.message
    return replace(fault, file="environment", key=variable, message=message)
