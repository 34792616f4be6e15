"""What the options add up to while they are read one by one: settings, secrets, rules, upstreams, open questions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gateway.cli.migrate.options import Given, Taken
from gateway.cli.migrate.products import Product

SECRETS = "secrets"


@dataclass(frozen=True, slots=True)
class Upstream:
    """A server behind oauth2-proxy, at `path`. `is_exact` if oauth2-proxy served that one path and none below it."""

    path: str
    target: str
    is_exact: bool = False
    keys: Mapping[str, Any] = field(default_factory=dict)

    def holds(self, path: str) -> bool:
        """True if oauth2-proxy sends requests for `path` here, unless a longer one holds it too."""
        return path == self.path or (not self.is_exact and path.startswith(self.path))


@dataclass(frozen=True, slots=True)
class OpenPath:
    """A path that oauth2-proxy lets everybody open. `methods` empty: all."""

    path: str
    is_exact: bool
    methods: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Return what a route table tells routes apart by."""
        return self.path.rstrip("/")

    def __str__(self) -> str:
        which = f"{'/'.join(self.methods)} " if self.methods else ""
        return f"{which}{self.path}" + (" and nothing below it" if self.is_exact else " and what is below it")


@dataclass(slots=True)
class Rules:
    """Who may come in. Addresses and domains are alternatives; so are groups, roles and client roles."""

    is_any_address: bool = False
    emails: tuple[str, ...] = ()
    email_domains: tuple[str, ...] = ()
    groups: list[str] = field(default_factory=list)
    roles: list[str] = field(default_factory=list)
    client_roles: dict[str, list[str]] = field(default_factory=dict)
    always: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Draft:
    """The new configuration in the making.

    `given` holds every option by name, but for the tables of the alpha configuration. Relative paths of the old
    configuration start at `folder`. `product` is the identity provider. `missing` names options whose value is not
    here. `steps` is what a person has to do before it works.
    """

    given: Mapping[str, Given]
    folder: Path
    product: Product
    has_alpha: bool = False
    missing: frozenset[str] = frozenset()
    public_url: str = ""
    trusted_proxies: tuple[str, ...] = ()
    server: dict[str, Any] = field(default_factory=dict)
    store: dict[str, Any] = field(default_factory=dict)
    session: dict[str, Any] = field(default_factory=dict)
    provider: dict[str, Any] = field(default_factory=dict)
    log: dict[str, Any] = field(default_factory=dict)
    route: dict[str, Any] = field(default_factory=dict)
    origins: list[str] = field(default_factory=list)
    upstreams: list[Upstream] = field(default_factory=list)
    open_paths: dict[str, OpenPath] = field(default_factory=dict)
    rules: Rules = field(default_factory=Rules)
    secrets: dict[str, str] = field(default_factory=dict, repr=False)
    comments: dict[str, str] = field(default_factory=dict)
    steps: list[str] = field(default_factory=list)

    def text(self, name: str) -> str:
        """Return the text of an option, "" if it is not given."""
        given = self.given.get(name)
        return given.text if given is not None else ""

    def is_on(self, name: str, *, usually: bool = False) -> bool:
        given = self.given.get(name)
        return given.is_on if given is not None else usually

    def items(self, name: str) -> tuple[str, ...]:
        given = self.given.get(name)
        return given.items if given is not None else ()

    def put(self, given: Given, place: str, value: Any) -> Taken:
        """Set a key such as `session.cookie` and say so."""
        table, _, key = place.partition(".")
        self.table(table)[key] = value
        shown = f"providers.{self.product.name}.{key}" if table == "provider" else place
        self.comments[shown] = given.option.name
        return Taken(f"{shown} = {_shown(value)}")

    def put_secret(self, given: Given, place: str, text: str, *, file: str) -> Taken:
        """Keep a secret for a file of its own and name that file. A secret that is not known leaves an empty file."""
        self.secrets[file] = text
        return self.put(given, f"{place}_file", f"{SECRETS}/{file}")

    def table(self, name: str) -> dict[str, Any]:
        tables = {
            "server": self.server,
            "store": self.store,
            "session": self.session,
            "provider": self.provider,
            "log": self.log,
            "routes": self.route,
        }
        return tables[name]

    def place(self, path: str) -> Path:
        """Return where a file of the old configuration is: where it says, or beside it, as with a container's path."""
        place, beside = self.folder / path, self.folder / Path(path).name
        return beside if not place.exists() and beside.exists() else place

    def is_for(self, *products: str) -> bool:
        """True if the identity provider in use is one of these `provider` values."""
        return self.product.kind in products

    @property
    def is_development(self) -> bool:
        return self.server.get("environment") == "development"

    @property
    def public_host(self) -> str:
        return urlsplit(self.public_url).hostname or ""


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_shown(one) for one in value) + "]"
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_shown(one)}" for key, one in value.items()) + " }"
    return f'"{value}"' if isinstance(value, str) else str(value)
