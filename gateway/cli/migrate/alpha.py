"""The alpha configuration of oauth2-proxy (YAML): find each field and the option that has its meaning. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.cli.migrate.options import Option
from gateway.cli.migrate.table import BY_FIELD
from gateway.cli.migrate.values import Raw

TOP: Final = frozenset(
    {"upstreamConfig", "upstreams", "injectRequestHeaders", "injectResponseHeaders", "server", "metricsServer"}
    | {"providers"}
)


@dataclass(frozen=True, slots=True)
class Field:
    """One field: its place, its value, and its option; None if oauth2-proxy has no such field."""

    place: str
    raw: Raw = field(repr=False)
    option: Option | None


def is_alpha(tree: Any) -> bool:
    """True for a tree with the tables of the alpha configuration and nothing of a compose file or a manifest."""
    return isinstance(tree, Mapping) and bool(TOP & tree.keys()) and not {"services", "kind"} & tree.keys()


def read_fields(tree: Mapping[str, Any]) -> Iterator[Field]:
    """Yield every field. Of several providers only the first is one: oauth2-proxy serves no more either."""
    for key, value in tree.items():
        yield from _read(str(key), str(key), value)


def _read(name: str, place: str, value: Any) -> Iterator[Field]:
    option = BY_FIELD.get(name)
    if option is not None and option.kind == "table":
        items = value if isinstance(value, list) else [value]
        for number, item in enumerate(items):
            yield Field(f"{place}[{number}]", item if isinstance(item, dict) else {}, option)
    elif option is not None:
        if value is not None:
            yield Field(place, value, option)
    elif name == "providers" and isinstance(value, list):
        for number, item in enumerate(value):
            inner = f"{place}[{number}]"
            if number == 0 and isinstance(item, Mapping):
                yield from _inside(name, inner, item)
            else:
                yield Field(inner, "", None)
    elif isinstance(value, Mapping):
        yield from _inside(name, place, value)
    else:
        yield Field(place, "", None)


def _inside(name: str, place: str, table: Mapping[str, Any]) -> Iterator[Field]:
    for key, value in table.items():
        yield from _read(f"{name}.{key}", f"{place}.{key}", value)
