"""Ids of parametrised cases that say what the case is, made from the values themselves.

A value that this module cannot describe, such as a lambda, needs an id that its author writes.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Collection, Mapping
from dataclasses import MISSING, fields, is_dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import PurePath
from typing import Any

MAX_LENGTH = 90
"""Characters of one value; the rest is cut. A payload of half a kilobyte is not a good name of a case."""
CONTROL_NAMES = {"\r": "<CR>", "\n": "<LF>", "\t": "<TAB>", "\0": "<NUL>", "\x1b": "<ESC>", "\x7f": "<DEL>"}
PLAIN_TYPES = (PurePath, IPv4Address, IPv4Network, IPv6Address, IPv6Network)
REPETITION = re.compile(r"(.{1,6}?)\1{7,}")
SIGNED_TOKEN = re.compile(r"eyJ[\w-]+\.[\w-]*\.[\w-]*")
UNSEEN = re.compile(r"[^ -~]")
LITERAL = re.compile(r"-?[0-9.]+|true|false|null|none|nan", re.IGNORECASE)
NO_WORDS = re.compile(r"(?:<[^<>]*>|[^A-Za-z])*")


class NeedsAnId(ValueError):
    """The case needs an id of its own: `ids=[…]` or `pytest.param(…, id="…")`."""


def id_of(name: str, value: object) -> str | None:
    """The id of `value` as argument `name`; None leaves it to pytest, which knows names of classes and functions."""
    if isinstance(value, enum.Enum):
        return value.name
    if getattr(value, "__name__", None) is not None:
        if value.__name__ == "<lambda>":  # type: ignore[attr-defined]  # seen just above
            raise NeedsAnId(f"a lambda as {name!r} has no name: give its case an id")
        return None
    if value is None:
        return f"no {name}"
    if isinstance(value, str | bytes):
        return _id_of_text(name, value)
    text = shortened(described(value))
    return f"{name} {text}" if isinstance(value, bool | int | float) or NO_WORDS.fullmatch(text) else text


def _id_of_text(name: str, value: str | bytes) -> str:
    whole = described(value)
    if SIGNED_TOKEN.fullmatch(whole):
        raise NeedsAnId(f"a signed token as {name!r} says nothing and differs in every process: give its case an id")
    text = shortened(whole)
    if not text.strip():
        return f"blank {name}" if text else f"empty {name}"
    return f"{name} {text}" if NO_WORDS.fullmatch(text) else text


def described(value: object) -> str:
    """`value` in words, the same in every process: sets are sorted, and no address in memory is shown."""
    if isinstance(value, bytes):
        return visible(value.decode("utf-8", "surrogateescape"))
    if isinstance(value, str):
        text = visible(value)
        return f"'{text}'" if LITERAL.fullmatch(text) else text  # else the text "5" would look like the number
    if value is None or isinstance(value, bool | int | float | complex):
        return repeated(str(value))
    if isinstance(value, BaseException):
        return " ".join(filter(None, (type(value).__name__, visible(str(value)))))
    if isinstance(value, PLAIN_TYPES):
        return str(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{described(key)}={_part(each)}" for key, each in value.items()) or "{}"
    if is_dataclass(value) and not isinstance(value, type):
        return _described_fields(value)
    return _described_further(value)


def _described_further(value: object) -> str:
    if isinstance(value, Collection) and not isinstance(value, type):
        parts = [_part(each) for each in value]
        return f"[{', '.join(sorted(parts) if isinstance(value, set | frozenset) else parts)}]"
    named = str(getattr(value, "__name__", "<lambda>"))
    if named != "<lambda>":
        return named
    if type(value).__repr__ in (object.__repr__, type(id_of).__repr__):
        raise NeedsAnId(f"a value of type {type(value).__name__} cannot be described: give its case an id")
    return visible(repr(value))


def _part(value: object) -> str:
    """A value inside another: what is empty must be seen there."""
    if isinstance(value, Mapping) and value:
        return f"{{{described(value)}}}"
    return described(value) if not isinstance(value, str | bytes) or value.strip() else f'"{described(value)}"'


def _described_fields(value: Any) -> str:
    """The fields of a dataclass that differ from their defaults."""
    changed = (
        f"{field.name}={_part(getattr(value, field.name))}"
        for field in fields(value)
        if field.repr and (field.default is MISSING or getattr(value, field.name) != field.default)
    )
    return " ".join((type(value).__name__, ", ".join(changed))).strip()


def visible(text: str) -> str:
    """`text` in ASCII. Other characters are named, because nobody can tell look-alikes and white space apart by eye."""
    return repeated(UNSEEN.sub(lambda found: _name_of(found[0]), text))


def _name_of(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # a byte that is not UTF-8, see `surrogateescape`
        return f"<byte {ord(character) - 0xDC00:02X}>"
    return CONTROL_NAMES.get(character, f"<U+{ord(character):04X}>")


def repeated(text: str) -> str:
    """`aaaaaaaaaa` as `a*10`: the number tells more than the letters."""
    return REPETITION.sub(lambda found: f"{found[1]}*{len(found[0]) // len(found[1])}", text)


def shortened(text: str) -> str:
    """`text` without its middle when it is too long: cases often differ at one of the ends."""
    return text if len(text) <= MAX_LENGTH else f"{text[: MAX_LENGTH - 53]}...{text[-50:]}"
