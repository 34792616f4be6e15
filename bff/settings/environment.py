"""Settings from environment variables: which table each one fills, and which variable a fault comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic_settings import EnvSettingsSource
from pydantic_settings.exceptions import SettingsError

from bff.settings.faults import Place, closest
from bff.settings.rules import Fault
from bff.settings.tables import Settings

VARIABLE_PREFIX = "VESTIBULE_"
FOREIGN_PREFIXES = (
    "VESTIBULE_API_",
    "VESTIBULE_CONFIG",
    "VESTIBULE_DEV_",
    "VESTIBULE_JWT__",
    "VESTIBULE_KIT__",
    "VESTIBULE_TEST_",
)
"""Variables with our prefix for the kit, for APIs or for the command. They fill no table of the file."""


@dataclass(frozen=True, slots=True)
class GivenVariables:
    """The settings from variables. `origins` maps the place of each value to its variable."""

    tables: dict[str, Any] = field(default_factory=dict)
    origins: dict[Place, str] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()

    def variable_of(self, place: Place) -> str:
        """Return the variable that set the value at `place`, or the list or secret file around it; "" for none."""
        for length in range(len(place), 0, -1):
            *way, last = place[:length]
            for spelling in (last, f"{last}_file"):
                if name := self.origins.get((*way, spelling), ""):
                    return name
        return ""


class _GivenEnvironment(EnvSettingsSource):
    """The reader of nested variables from pydantic-settings, for a given mapping."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        super().__init__(Settings)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return {name.lower(): value for name, value in self._environ.items()}


def read_variables(environ: Mapping[str, str]) -> GivenVariables:
    """Read each variable by itself, tables before their keys. Values may be secrets and are never repeated."""
    given = GivenVariables()
    faults: list[Fault] = []
    for name in sorted(environ, key=lambda name: (name.count("__"), name)):
        if not name.upper().startswith(VARIABLE_PREFIX) or name.upper().startswith(FOREIGN_PREFIXES):
            continue
        place = tuple(name.upper().removeprefix(VARIABLE_PREFIX).lower().split("__"))
        if place[0] not in Settings.model_fields:
            faults.append(_unknown(name, place[0]))
            continue
        try:
            table = _GivenEnvironment({name: environ[name]})()
        except SettingsError:
            faults.append(Fault("environment", name, "cannot be read as JSON", "write lists and tables as JSON"))
            continue
        _put(given.tables, table)
        given.origins.update(dict.fromkeys(_leaves(table), name))
    return GivenVariables(given.tables, given.origins, tuple(faults))


def _unknown(name: str, table: str) -> Fault:
    known = closest(table, Settings.model_fields)
    fix = f"did you mean {VARIABLE_PREFIX}{known.upper()}__…?" if known else "correct or unset this variable"
    return Fault("environment", name, "no such setting", fix)


def _put(base: dict[str, Any], over: Mapping[str, Any]) -> None:
    for key, value in over.items():
        if isinstance(base.get(key), dict) and isinstance(value, Mapping):
            _put(base[key], value)
        else:
            base[key] = value


def _leaves(table: Mapping[str, Any], place: Place = ()) -> Iterator[Place]:
    for key, value in table.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, (*place, key))
        else:
            yield (*place, key)
