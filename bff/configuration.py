"""Read `vestibule.toml`, the environment and the command line into one `Settings`, reporting every fault at once.

Precedence: command line > environment (`VESTIBULE_SERVER__PUBLIC_URL`) > file > defaults.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import EnvSettingsSource
from pydantic_settings.exceptions import SettingsError

from bff.settings import SECRET_FIELDS, Settings
from bff.settings_rules import Problem, find_problems

FOREIGN_PREFIXES = (
    "VESTIBULE_API_",
    "VESTIBULE_CONFIG",
    "VESTIBULE_DEV_",
    "VESTIBULE_JWT__",
    "VESTIBULE_KIT__",
    "VESTIBULE_TEST_",
)
"""Variables with the prefix that belong to the kit, to APIs or to the command, not to the file's tables."""

__all__ = ["ConfigurationError", "Problem", "load_settings", "parse_settings"]


@dataclass(eq=False)  # not frozen: Python itself writes to exceptions, `__traceback__` and notes
class ConfigurationError(Exception):
    """`problems` holds every fault found, each with file, key and mend."""

    problems: tuple[Problem, ...]

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


def load_settings(
    file: Path | None, *, environ: Mapping[str, str], overrides: Mapping[str, Any] | None = None
) -> Settings:
    """Settings from `file` (none: defaults), `environ` and `overrides` (nested tables).

    Raises:
        ConfigurationError: with every problem of every source.
    """
    raw: dict[str, Any] = {}
    if file is not None:
        try:
            raw = tomllib.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ConfigurationError((Problem(str(file), "", "no such file", "run `vestibule init`"),)) from None
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
            raise ConfigurationError(
                (Problem(str(file), "", f"not readable as TOML: {exc}", "mend the file"),)
            ) from exc
    return parse_settings(
        raw,
        source=str(file or "settings"),
        folder=file.parent if file else Path(),
        environ=environ,
        overrides=overrides,
    )


def parse_settings(
    raw: Mapping[str, Any],
    *,
    source: str = "settings",
    folder: Path = Path(),
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Settings:
    """`load_settings` on tables already read; relative `*_file` paths are taken from `folder`."""
    environ = environ or {}
    problems = list(_unknown_variables(environ))
    merged = _merge({}, raw)
    try:
        merged = _merge(merged, _environment_tables(environ))
    except SettingsError as exc:
        problems.append(_unreadable_variable(exc))
    merged = _merge(merged, overrides or {})
    problems += _read_secret_files(merged, folder=folder, source=source)
    settings: Settings | None = None
    try:
        settings = Settings(**merged)
    except ValidationError as exc:
        problems += _problems_of(exc, source=source)
    if settings is not None:
        problems += find_problems(settings, source=source)
    if problems or settings is None:
        raise ConfigurationError(tuple(problems))
    return settings


class _GivenEnvironment(EnvSettingsSource):
    """pydantic-settings' reader of nested variables, on a mapping that is passed in."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        super().__init__(Settings)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return {name.lower(): value for name, value in self._environ.items()}


def _unreadable_variable(error: SettingsError) -> Problem:
    """pydantic-settings names the table it was reading; the value may be a secret and is not repeated."""
    field = re.search(r'for field "(\w+)"', str(error))
    name = f"VESTIBULE_{field[1].upper() if field else ''}"
    return Problem("environment", name, "cannot be read as JSON", "write lists and tables as JSON")


def _environment_tables(environ: Mapping[str, str]) -> dict[str, Any]:
    own = {name: value for name, value in environ.items() if name.upper().startswith("VESTIBULE_")}
    return dict(_GivenEnvironment(own)())


def _unknown_variables(environ: Mapping[str, str]) -> Iterator[Problem]:
    for name in sorted(environ):
        upper = name.upper()
        if not upper.startswith("VESTIBULE_") or upper.startswith(FOREIGN_PREFIXES):
            continue
        table = upper.removeprefix("VESTIBULE_").split("__")[0].lower()
        if table not in Settings.model_fields:
            yield Problem("environment", name, "no such setting", "correct or unset this variable")


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` on top of `base`; a secret given there as `x` or `x_file` replaces it in either spelling."""
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


def _read_secret_files(raw: MutableMapping[str, Any], *, folder: Path, source: str) -> Iterable[Problem]:
    problems: list[Problem] = []
    for place, names in SECRET_FIELDS.items():
        for label, table in _tables_at(raw, place):
            for name in names:
                path = table.pop(f"{name}_file", "")
                if not path:
                    continue
                key = f"{label}.{name}_file"
                if table.get(name):
                    problems.append(Problem(source, key, f"given beside {name}", f"keep one of {name} and {name}_file"))
                    continue
                try:
                    text = (folder / str(path)).read_text(encoding="utf-8")
                except (OSError, UnicodeDecodeError) as exc:
                    problems.append(
                        Problem(source, key, f"cannot be read: {type(exc).__name__}", f"check the path {path}")
                    )
                    continue
                table[name] = (
                    [line.strip() for line in text.splitlines() if line.strip()] if name == "keys" else text.strip()
                )
    return problems


def _tables_at(raw: MutableMapping[str, Any], place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The tables at `place`, copied into `raw` so that they can be changed; `x.*` means every table below x."""
    head, _, rest = place.partition(".")
    table = raw.get(head)
    if not isinstance(table, Mapping):
        return
    raw[head] = table = dict(table)
    if not rest:
        yield head, table
        return
    for name, inner in table.items():
        if isinstance(inner, Mapping):
            table[name] = copied = dict(inner)
            yield f"{head}.{name}", copied


def _problems_of(error: ValidationError, *, source: str) -> Iterator[Problem]:
    for fault in error.errors(include_input=False, include_url=False):
        key = ".".join(str(part) for part in fault["loc"])
        if fault["type"] == "extra_forbidden":
            yield Problem(source, key, "unknown key", "remove it or correct its spelling")
        elif fault["type"] == "missing":
            yield Problem(source, key, "missing", f"set {key}")
        else:
            yield Problem(source, key, fault["msg"].removeprefix("Value error, "), f"correct {key}")
