"""Settings as text: complete for the pipe to a worker, masked for a person."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from pydantic import SecretStr

from bff.settings.tables import Settings

MASK = "********"
_PASSWORD = re.compile(r"((?:^|&)[^=&]*password=)[^&]*", re.IGNORECASE)


def to_pipe(settings: Settings) -> bytes:
    """Write all settings with their secrets. Use this only for a pipe to our own process, never for a file, an argument
    or a variable."""
    return json.dumps(_plain(settings.model_dump(), reveal=True)).encode()


def from_pipe(data: bytes) -> Settings:
    """Reverse `to_pipe`. The settings were checked before they were sent."""
    return Settings(**json.loads(data))


def to_masked(settings: Settings) -> dict[str, Any]:
    """Return the values in effect. All secrets are masked, and so are all variables for a child."""
    masked: dict[str, Any] = _plain(settings.model_dump(), reveal=False)
    masked["store"]["url"] = _mask_passwords(settings.store.url.get_secret_value())
    for route in masked["routes"]:
        route["streamlit"]["env"] = dict.fromkeys(route["streamlit"]["env"], MASK)
    return masked


def _plain(value: Any, *, reveal: bool) -> Any:
    match value:
        case SecretStr():
            text = value.get_secret_value()
            return text if reveal or not text else MASK
        case IPv4Network() | IPv6Network():
            return str(value)
        case Mapping():
            return {str(key): _plain(inner, reveal=reveal) for key, inner in value.items()}
        case tuple() | list():
            return [_plain(inner, reveal=reveal) for inner in value]
        case _:
            return value


def _mask_passwords(url: str) -> str:
    """Mask the password before the host of `url`, and the sentinels' password in its query."""
    parts = urlsplit(url)
    query = _PASSWORD.sub(rf"\1{MASK}", parts.query)
    userinfo, at, host = parts.netloc.rpartition("@")
    user, colon, _ = userinfo.partition(":")
    netloc = f"{user}{colon}{MASK if colon else ''}@{host}" if at else parts.netloc
    return urlunsplit(parts._replace(netloc=netloc, query=query))


def to_toml(tables: Mapping[str, Any]) -> str:
    """`tables` as TOML: plain values, then tables, then arrays of tables, each in the order given."""
    return "\n".join(_lines(tables, path=())).lstrip("\n") + "\n"


def _lines(table: Mapping[str, Any], *, path: tuple[str, ...]) -> Iterator[str]:
    for key, value in table.items():
        if value is not None and not _is_table(value):
            yield f"{_key(key)} = {_value(value)}"
    for key, value in table.items():
        inner = (*path, _key(key))
        if isinstance(value, Mapping):
            if _is_worth_a_heading(value):
                yield f"\n[{'.'.join(inner)}]"
            yield from _lines(value, path=inner)
        elif _is_table(value):
            for row in value:
                yield f"\n[[{'.'.join(inner)}]]"
                yield from _lines(row, path=inner)


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping) or (isinstance(value, list) and bool(value) and isinstance(value[0], Mapping))


def _is_worth_a_heading(table: Mapping[str, Any]) -> bool:
    return not table or any(value is not None and not _is_table(value) for value in table.values())


def _key(key: str) -> str:
    return key if key and key.isascii() and all(char.isalnum() or char in "_-" for char in key) else _string(key)


def _value(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case list():
            return "[" + ", ".join(_value(inner) for inner in value) + "]"
        case str():
            return _string(value)
        case _:
            return repr(value)


def _string(text: str) -> str:
    """JSON's quoting is TOML's, but for DEL, which TOML wants escaped, and for pairs of surrogates, which it lacks."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
