"""Settings as text: complete for the pipe to a worker, masked for a person."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import tomlkit
from pydantic import SecretStr

from bff.settings.profiles import PROFILES
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
    masked["outgoing"]["proxy_url"] = _mask_passwords(settings.outgoing.proxy_url.get_secret_value())
    for name, provider in settings.providers.items():
        masked["providers"][name]["proxy_url"] = _mask_passwords(provider.proxy_url.get_secret_value())
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
    """Write `tables` as TOML. What is None is left out: TOML has no such value.

    A comment marks each value that a provider's profile has set.
    """
    document = tomlkit.parse(tomlkit.dumps(_without_none(tables)))
    for name, provider in tables.get("providers", {}).items():
        for key, value in PROFILES.get(provider["profile"], {}).items():
            if provider[key] == _plain(value, reveal=False):
                document["providers"][name].item(key).comment(f"from the profile {provider['profile']}")
    return tomlkit.dumps(document)


def _without_none(value: Any) -> Any:
    match value:
        case Mapping():
            return {key: _without_none(inner) for key, inner in value.items() if inner is not None}
        case list():
            return [_without_none(inner) for inner in value]
        case _:
            return value
