"""An option of oauth2-proxy: its names, the kind of its value, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from gateway.cli.migrate.values import Raw, read_flag, read_list, read_number, read_seconds, read_text
from gateway.faults import UsageFault

if TYPE_CHECKING:
    from gateway.cli.migrate.draft import Draft

T = TypeVar("T")
Kind = Literal["text", "flag", "list", "duration", "number", "table"]


@dataclass(frozen=True, slots=True)
class Taken:
    """Vestibule has the same: `says` names key and value."""

    says: str


@dataclass(frozen=True, slots=True)
class Instead:
    """Vestibule has no such option; `says` tells what it does instead. If `is_open`, a person has to decide."""

    says: str
    is_open: bool = False


@dataclass(frozen=True, slots=True)
class Safer:
    """The option made something unsafe; `says` tells what holds now. If `is_open`, a person has to decide."""

    says: str
    is_open: bool = False


Outcome = Taken | Instead | Safer
LIST_OF = {Taken: "taken over", Instead: "no counterpart", Safer: "safe now"}
"""How the report and the page call the list that an outcome is in."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option. `usual` is its outcome if `handle` does not decide it by the value; the page shows it.

    `alpha` are its places in the alpha configuration, and `older` the names that it had in older releases.
    """

    flag: str
    usual: Outcome
    handle: Callable[[Given, Draft], Outcome] | None = None
    kind: Kind = "text"
    key: str = ""
    alpha: tuple[str, ...] = ()
    older: tuple[str, ...] = ()

    @property
    def config_key(self) -> str:
        """Return the name in a configuration file; for a list it is usually the plural. "" for an alpha field."""
        return self.key or self.flag.replace("-", "_")

    @property
    def name(self) -> str:
        """Return the name that the report and the page use."""
        return self.config_key if self.flag else self.alpha[0]

    @property
    def variable(self) -> str:
        """Return the name of the environment variable."""
        return f"OAUTH2_PROXY_{self.config_key.upper().replace('-', '_')}"


@dataclass(frozen=True, slots=True)
class Given:
    """An option with its value. `source` says where it was found; the value may be a secret and is never shown."""

    option: Option
    raw: Raw = field(repr=False)
    source: str

    @property
    def text(self) -> str:
        return self._read(read_text)

    @property
    def is_on(self) -> bool:
        return self._read(read_flag)

    @property
    def items(self) -> tuple[str, ...]:
        return self._read(read_list)

    @property
    def seconds(self) -> float:
        return self._read(read_seconds)

    @property
    def number(self) -> int:
        return self._read(read_number)

    @property
    def fields(self) -> Mapping[str, Any]:
        """Return the fields of a table.

        Raises:
            UsageFault: it is none.
        """
        if not isinstance(self.raw, dict):
            raise UsageFault(f"{self.source}: a table is expected here")
        return self.raw

    def word(self, name: str, usual: str = "") -> str:
        """Return a field of a table as text."""
        raw = self.fields.get(name)
        if raw is None:
            return usual
        if isinstance(raw, dict | list):
            raise UsageFault(f"{self.source}.{name}: one value is expected here")
        return read_text(raw)

    def rows(self, name: str) -> list[Any]:
        """Return a field of a table that is a list."""
        raw = self.fields.get(name)
        if raw is not None and not isinstance(raw, list):
            raise UsageFault(f"{self.source}.{name}: a list is expected here")
        return raw or []

    def _read(self, reader: Callable[[Raw], T]) -> T:
        try:
            return reader(self.raw)
        except ValueError as exc:
            raise UsageFault(f"{self.source}: {exc}") from None


Handler = Callable[[Given, "Draft"], Outcome]


def unsafe_if_on(safer: str, *, as_before: str) -> Handler:
    """Make the handler of a switch that is unsafe when it is on."""
    return _switch(on=Safer(safer), off=Taken(as_before))


def unsafe_if_off(safer: str, *, as_before: str) -> Handler:
    """Make the handler of a switch that is unsafe when it is off."""
    return _switch(on=Taken(as_before), off=Safer(safer))


def none_if_on(instead: str, *, as_before: str) -> Handler:
    """Make the handler of a switch that has no counterpart when it is on."""
    return _switch(on=Instead(instead), off=Taken(as_before))


def none_if_off(instead: str, *, as_before: str) -> Handler:
    """Make the handler of a switch that has no counterpart when it is off."""
    return _switch(on=Taken(as_before), off=Instead(instead))


def _switch(*, on: Outcome, off: Outcome) -> Handler:
    def handle(given: Given, draft: Draft) -> Outcome:
        return on if given.is_on else off

    return handle
