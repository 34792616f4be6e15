"""Every documented option of oauth2-proxy 7.15, the order in which they are read, and the ways to find one by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from gateway.cli.migrate import cookies, headers, listeners, logs_and_pages, people, provider, upstreams
from gateway.cli.migrate.options import LIST_OF, Option

RELEASE: Final = "7.15"
SUBJECTS: Final[Mapping[str, tuple[Option, ...]]] = {
    "Identity provider": provider.OPTIONS,
    "Who may come in": people.OPTIONS,
    "Cookies, sessions, store": cookies.OPTIONS,
    "Upstreams and open paths": upstreams.OPTIONS,
    "Headers": headers.OPTIONS,
    "Listeners, addresses, proxies": listeners.OPTIONS,
    "Logs and pages": logs_and_pages.OPTIONS,
}
OPTIONS: Final = tuple(option for options in SUBJECTS.values() for option in options)
OF_THE_COMMAND: Final = frozenset(
    {"config", "alpha-config", "config-test", "convert-config-to-alpha", "version", "help"}
)
"""Flags of the command itself. The two files that it may name are read too."""


def _by_flag() -> Iterator[tuple[str, Option]]:
    for option in OPTIONS:
        if option.flag:
            yield option.flag, option
            yield from ((name, option) for name in option.older)


def _by_key() -> Iterator[tuple[str, Option]]:
    for option in OPTIONS:
        if option.flag:
            yield option.config_key, option
            yield from ((name, option) for name in option.older)
            if option.config_key == "auth_request_response_mode":
                yield "auth-request-response-mode", option  # as the documentation spells it


BY_FLAG: Final = dict(_by_flag())
BY_KEY: Final = dict(_by_key())
BY_VARIABLE: Final = {option.variable: option for option in OPTIONS if option.flag} | {
    f"OAUTH2_PROXY_{name.upper()}": option for name, option in BY_KEY.items() if name in option.older
}
BY_FIELD: Final = {field: option for option in OPTIONS for field in option.alpha}


def page_tables() -> Iterator[str]:
    """Yield the tables of docs/coming-from-oauth2-proxy.md, one per subject, as Markdown."""
    for subject, options in SUBJECTS.items():
        rows = [f"| {_names(option)} | {LIST_OF[type(option.usual)]} | {option.usual.says} |" for option in options]
        head = f"### {subject}\n\n| option | list | what becomes of it |\n|---|---|---|"
        yield "\n".join([head, *rows])


def _names(option: Option) -> str:
    names = ([option.config_key] if option.flag else []) + [f"{field} (alpha)" for field in option.alpha]
    return ", ".join(f"`{name}`" for name in names).replace(" (alpha)`", "` (alpha)")
