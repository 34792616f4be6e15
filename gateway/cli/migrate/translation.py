"""Turn the options that were found into a draft of the new configuration, and a line on what became of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.cli.migrate.cookies import STORE_URL
from gateway.cli.migrate.draft import Draft
from gateway.cli.migrate.headers import settle_headers
from gateway.cli.migrate.listeners import proxies_of, public_url_of, settle_listeners
from gateway.cli.migrate.options import Given, Instead, Outcome, Safer, Taken
from gateway.cli.migrate.people import settle_people
from gateway.cli.migrate.products import USUAL, product_of
from gateway.cli.migrate.provider import settle_provider
from gateway.cli.migrate.sources import Reading
from gateway.cli.migrate.table import OPTIONS
from gateway.faults import UsageFault

MAY_BE_MISSING: Final = frozenset(
    {"client_secret", "jwt_key", "cookie_secret", "basic_auth_password", "signature_key", "github_token"}
)
"""Secrets that a person can put into a file later, or that are not used."""
_EMPTY: Final = Taken("is empty, as if it was not given")


@dataclass(frozen=True, slots=True)
class Line:
    """What became of one option."""

    name: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Translation:
    """The draft, one line per option that was given, and the names that no option has, each with a hint."""

    draft: Draft
    lines: tuple[Line, ...]
    unknown: Mapping[str, str]

    @property
    def is_complete(self) -> bool:
        """True if nothing is unknown and nothing waits for a decision of a person."""
        return not self.unknown and not any(_is_open(line.outcome) for line in self.lines)


def translate(
    reading: Reading, *, folder: Path, public_url: str = "", trusted_proxies: tuple[str, ...] = ()
) -> Translation:
    """Translate everything that was found. Relative paths in it start at `folder`.

    Raises:
        UsageFault: it cannot become a configuration: a provider without OpenID Connect, no client, a bad value.
    """
    _refuse_missing(reading)
    given = {name: one for name, one in reading.given.items() if one.raw != "" or "secret" in name}
    product = product_of(given["provider"].text if "provider" in given else USUAL)
    draft = Draft(given, folder, product, reading.has_alpha, frozenset(reading.missing))
    draft.public_url = (public_url or public_url_of(draft.text("redirect_url"))).rstrip("/")
    draft.trusted_proxies = proxies_of(
        (*trusted_proxies, *draft.items("trusted_proxy_ips")), source="trusted_proxy_ips or --trusted-proxy"
    )
    settle_people(draft)
    lines = tuple(_lines(reading, draft))
    settle_provider(draft)
    settle_listeners(draft)
    settle_headers(draft, is_forward_auth=not draft.upstreams)
    if not draft.upstreams and not draft.trusted_proxies:
        raise UsageFault(
            "there is no upstream, so another proxy asks whether a request may pass, and only a proxy with a known "
            "address may ask: name it with --trusted-proxy 127.0.0.1"
        )
    if "url_file" not in draft.store and STORE_URL not in draft.secrets:
        draft.store.setdefault("url", "memory://")
    return Translation(draft, lines, reading.unknown)


def _refuse_missing(reading: Reading) -> None:
    """Refuse options whose value is not here: what they say may be who may come in."""
    missing = {name: variable for name, variable in reading.missing.items() if name not in MAY_BE_MISSING}
    if missing:
        named = ", ".join(f"{name} ({variable})" for name, variable in sorted(missing.items()))
        raise UsageFault(f"not here: the value of {named}; set these variables, or name the file that sets them")


def _lines(reading: Reading, draft: Draft) -> Iterator[Line]:
    """Handle each option in the order of the table, whatever the order in which they were given."""
    for option in OPTIONS:
        found = [one for one in reading.tables if one.option is option]
        if option.kind != "table" and option.name in reading.given:
            found = [reading.given[option.name]]
        for one in found:
            name = one.source.partition(": ")[2] if option.kind == "table" else option.name
            yield Line(name, _outcome(one, draft))
    for name in dict.fromkeys(reading.of_the_command):
        yield Line(f"--{name}", Taken("read" if name.endswith("config") and name != "convert" else "for the program"))


def _outcome(given: Given, draft: Draft) -> Outcome:
    if given.option.kind != "table" and given.option.name not in draft.given:
        return _EMPTY
    if given.option.handle is None:
        return given.option.usual
    try:
        return given.option.handle(given, draft)
    except ValueError:  # of an address; it may hold a secret, so it is not shown
        raise UsageFault(f"{given.source}: an address in it is not valid") from None


def _is_open(outcome: Outcome) -> bool:
    return isinstance(outcome, Instead | Safer) and outcome.is_open
