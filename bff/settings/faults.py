"""Faults of form in the words of `vestibule.toml`. Each has its place, a path such as `("routes", 0, "kit")`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from bff.settings.tables import SECRET_FIELDS, Settings

Place = tuple[str | int, ...]
PARTS = re.compile(r"\[(\d+)\]|([^.\[\]]+)")

FORMS: dict[str, tuple[str, str]] = {
    "bool_parsing": ("true or false", "true"),
    "bool_type": ("true or false", "true"),
    "dict_type": ("a table", "a [table] of its own"),
    "float_parsing": ("a number", "60"),
    "float_type": ("a number", "60"),
    "int_from_float": ("a whole number", "2"),
    "int_parsing": ("a whole number", "2"),
    "int_type": ("a whole number", "2"),
    "ip_v4_network": ("a network", '"10.0.0.0/8"'),
    "ip_v6_network": ("a network", '"10.0.0.0/8"'),
    "model_attributes_type": ("a table", "a [table] of its own"),
    "model_type": ("a table", "a [table] of its own"),
    "string_type": ("text in quotes", '"text"'),
    "tuple_type": ("a list", '["api"]'),
}
"""Kind of fault → what the value has to be, and how that is written."""
PATTERNS = {
    r"^/": ("does not begin with /", 'write a path, as in "/api/"'),
    r"^[a-z0-9][a-z0-9_-]{0,62}$": ("is no name", "use at most 63 of a-z, 0-9, - and _, a letter or digit first"),
    r"^/[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$": ("is no path", 'write it as "/auth", without / at its end'),
    r"^[A-Za-z0-9._-][A-Za-z0-9._:-]{0,62}:$": ("is no prefix", 'write it as "vestibule:", with : at its end'),
}
BOUNDS = {
    "greater_than": ("must be over {gt:g}", "write a larger number"),
    "greater_than_equal": ("must be at least {ge:g}", "write a larger number"),
    "less_than": ("must be under {lt:g}", "write a smaller number"),
    "less_than_equal": ("must be at most {le:g}", "write a smaller number"),
}


def place_of(key: str) -> Place:
    """Return a key such as `routes[0].kit` as a path."""
    return tuple(int(number) if number else word for number, word in PARTS.findall(key))


def key_of(place: Place) -> str:
    """Return a path as people read it."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).lstrip(".")


def route_name(tables: Mapping[str, Any], place: Place) -> str:
    """Return the id of the route around `place`. A number would make the reader count."""
    try:
        return str(tables["routes"][place[1]]["id"]) if place[0] == "routes" else ""
    except (IndexError, KeyError, TypeError):
        return ""


@dataclass(frozen=True, slots=True)
class FormFault:
    """One value that has the wrong form, or a key that does not exist."""

    place: Place
    message: str
    fix: str


def form_faults_of(error: ValidationError, tables: Mapping[str, Any]) -> list[FormFault]:
    """Return the faults, one per place: a value that fits none of several types is reported once."""
    grouped: dict[Place, list[Any]] = {}
    for found in error.errors(include_input=False, include_url=False):
        place = tuple(found["loc"])
        if found["type"] != "missing":
            place = _without_type_names(place, tables)
        grouped.setdefault(place, []).append(found)
    return [_fault(place, group) for place, group in grouped.items()]


def _without_type_names(place: Place, tables: Any) -> Place:
    """Remove the types that pydantic adds to a place, as in `("forward_headers", "tuple[str, ...]")`."""
    kept: list[str | int] = []
    for part in place:
        is_there = part in tables if isinstance(tables, Mapping) else _has_item(tables, part)
        if not is_there:
            break
        tables = tables[part]
        kept.append(part)
    return tuple(kept) or place[:1]


def _has_item(value: Any, part: str | int) -> bool:
    return isinstance(value, list | tuple) and isinstance(part, int) and part < len(value)


def _fault(place: Place, group: list[Any]) -> FormFault:
    first = group[0]
    kind, context = first["type"], first.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown_key(place)
    if kind == "missing":
        return FormFault(place, "missing", "set it")
    if kind == "literal_error" and len(group) == 1:
        return FormFault(
            place, "is not one of the known words", f"write {context['expected'].replace(chr(39), chr(34))}"
        )
    if kind == "string_pattern_mismatch" and context["pattern"] in PATTERNS:
        return FormFault(place, *PATTERNS[context["pattern"]])
    if kind in BOUNDS:
        message, fix = BOUNDS[kind]
        return FormFault(place, message.format(**context), fix)
    forms = dict.fromkeys(_form(found) for found in group)
    if all(forms):
        nouns, examples = zip(*(form for form in forms if form), strict=True)
        return FormFault(place, f"must be {' or '.join(nouns)}", f"write it as in {examples[-1]}")
    return FormFault(place, first["msg"].removeprefix("Value error, "), "correct it")


def _form(found: Mapping[str, Any]) -> tuple[str, str] | None:
    if found["type"] == "literal_error":
        words = found["ctx"]["expected"].replace("'", '"')
        return words, words
    return FORMS.get(found["type"])


def _unknown_key(place: Place) -> FormFault:
    close = closest(str(place[-1]), keys_at(place[:-1]))
    if not close:
        return FormFault(place, "unknown key", "remove it or correct its spelling")
    return FormFault(place, "unknown key", f"did you mean {close}?")


def closest(name: str, known: Iterable[str]) -> str:
    """Return the known name that `name` may be a misspelling of; "" if none is close."""
    return next(iter(get_close_matches(name, list(known), n=1, cutoff=0.7)), "")


def keys_at(place: Place) -> list[str]:
    """Return the keys that the table at `place` may have; an empty list for an unknown table."""
    model: type[BaseModel] = Settings
    for part in place:
        field = model.model_fields.get(str(part))
        if field is None:
            continue  # the name of a provider or the position of a route
        inner = next(_models_in(field.annotation), None)
        if inner is None:
            return []
        model = inner
    secrets = next((names for where, names in SECRET_FIELDS.items() if where.split(".")[0] == str((*place, "")[0])), ())
    return [*model.model_fields, *(f"{name}_file" for name in secrets)]


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)
