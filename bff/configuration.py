"""Read `vestibule.toml`, the environment and the command line into one `Settings`, reporting every fault at once.

Precedence: command line > environment (`VESTIBULE_SERVER__PUBLIC_URL`) > file > defaults.
"""

from __future__ import annotations

import stat
import tomllib
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bff.environment_settings import GivenVariables, read_variables
from bff.settings import SECRET_FIELDS, Settings
from bff.settings_faults import Fault, Place, faults_of, read_leniently
from bff.settings_places import is_doubtful, key_of, place_of, route_name
from bff.settings_rules import Problem, find_problems

OTHERS_MAY_READ = stat.S_IROTH | stat.S_IWOTH
RUNTIME_FOLDERS = ("/run", "/var/run")
"""Where container runtimes put secrets, with modes of their own, for one program alone."""
MENDS = {
    "keys": "make it with `vestibule keys new FILE`",
    "client_secret": "put the secret that the provider issued into it",
    "client_key": "put the PEM private key into it",
}

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
    given = read_variables(environ or {})
    merged = _merge(_merge(_merge({}, raw), given.tables), overrides or {})
    faults = list(_read_secret_files(merged, folder=folder))
    settings: Settings | None = None
    try:
        settings = Settings(**merged)
    except ValidationError as error:
        faults += faults_of(error, merged)
    problems = [*given.problems, *_problems_of(faults, merged, given=given, source=source)]
    broken = {place for fault in faults for place in (fault.place, fault.meant) if place} | {*given.unread}
    readable = settings or read_leniently(merged, faults, broken=broken)
    if readable is not None:
        found = find_problems(readable, source=source)
        problems += (_blame(problem, given) for problem in found if not is_doubtful(place_of(problem.key), broken))
    if problems or settings is None:
        raise ConfigurationError(tuple(problems))
    return settings


def exposed_secret_files(file: Path, *, environ: Mapping[str, str]) -> Iterator[Problem]:
    """Files with secrets that everybody on this machine may read, of a configuration that is in order otherwise."""
    tables = _merge(tomllib.loads(file.read_text(encoding="utf-8")), read_variables(environ).tables)
    for place, names in SECRET_FIELDS.items():
        for label, table in _tables_at(tables, place):
            for name in names:
                path = file.parent / str(table.get(f"{name}_file") or "")
                is_own = path.is_file() and not str(path.absolute()).startswith(RUNTIME_FOLDERS)
                if is_own and path.stat().st_mode & OTHERS_MAY_READ:
                    message = f"everybody on this machine may read or change {path}"
                    yield Problem(str(file), f"{label}.{name}_file", message, f"chmod 600 {path}")


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


def _read_secret_files(raw: MutableMapping[str, Any], *, folder: Path) -> Iterator[Fault]:
    """Put what the files hold into `raw`. A file that is not there or empty is one fault, and the secret is not missed
    a second time."""
    for place, names in SECRET_FIELDS.items():
        for label, table in _tables_at(raw, place):
            for name in names:
                path = table.pop(f"{name}_file", "")
                if not path:
                    continue
                at: Place = (*place_of(label), f"{name}_file")
                secret: Place = (*place_of(label), name)
                if table.get(name):
                    yield Fault(at, f"given beside {name}", f"keep one of {name} and {name}_file", secret)
                    continue
                try:
                    text = (folder / str(path)).read_text(encoding="utf-8")
                except (OSError, UnicodeDecodeError) as exc:
                    yield Fault(at, *_unreadable(exc, path, name), secret)
                    continue
                if not text.strip():
                    yield Fault(at, f"{path} is empty", MENDS.get(name, "put the secret into it"), secret)
                    continue
                lines = [line.strip() for line in text.splitlines() if line.strip()]
                table[name] = lines if name == "keys" else text.strip()


def _unreadable(error: OSError | UnicodeDecodeError, path: object, name: str) -> tuple[str, str]:
    if isinstance(error, FileNotFoundError):
        return f"no file {path}", MENDS.get(name, "put the secret into it, readable by its owner alone")
    return f"{path} cannot be read: {type(error).__name__}", "check the path and who may read it"


def _tables_at(raw: MutableMapping[str, Any], place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The tables at `place`, copied into `raw` so that they can be changed; `x.*` means every table below x.

    A list of tables yields each of them, as `x[0]`.
    """
    head, _, rest = place.partition(".")
    table = raw.get(head)
    if isinstance(table, list | tuple):
        raw[head] = rows = [dict(row) if isinstance(row, Mapping) else row for row in table]
        yield from ((f"{head}[{number}]", row) for number, row in enumerate(rows) if isinstance(row, dict))
        return
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


def _problems_of(
    faults: list[Fault], tables: Mapping[str, Any], *, given: GivenVariables, source: str
) -> Iterator[Problem]:
    for fault in faults:
        name = route_name(tables, fault.place)
        yield _blame(Problem(source, key_of(fault.place), fault.message, fault.mend, name), given)


def _blame(problem: Problem, given: GivenVariables) -> Problem:
    """`problem` with the variable in the place of the file's key when that is where the value comes from."""
    place = place_of(problem.key)
    variable = given.variable_of(place)
    if not variable:
        return problem
    is_part = place not in given.origins and (*place[:-1], f"{place[-1]}_file") not in given.origins
    message = f"{problem.key}: {problem.message}" if is_part else problem.message
    return replace(problem, file="environment", key=variable, message=message)
