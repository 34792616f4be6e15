"""What a proxy must know of a configuration: hosts, listeners, applications, headers. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from bff import contract
from bff.settings.public_urls import PublicUrls, all_origins, without_port
from bff.settings.tables import RouteSettings, Settings
from gateway.access.routes import RouteTable
from gateway.cli.proxy_config.names import identity_names, removed_names, variable_of
from gateway.faults import UsageFault
from gateway.targets import parse_target

_PLAIN_PATH: Final = re.compile(r"/[A-Za-z0-9._~/-]*\Z")
_OWN_NAMES: Final = frozenset(
    {"vestibule", "vestibule_verify", "plain", "apps", "verify", "connections", "application"}
)
_FIRST_PLACEHOLDER: Final = 9001
_USUAL_PORT: Final = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class App:
    """A route as a proxy sees it. `label` names it in the proxy's file, `names` are its hosts, "" means all of them."""

    label: str
    path: str
    is_exact: bool
    names: tuple[str, ...]
    address: str
    note: str = ""

    @property
    def host(self) -> str:
        return self.address.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> str:
        return self.address.rpartition(":")[2]

    @property
    def below(self) -> str:
        """The prefix of everything below the path."""
        return self.path.rstrip("/") + "/"

    @property
    def has_a_name(self) -> bool:
        """True if DNS knows the address, not the file."""
        try:
            ip_address(self.host)
        except ValueError:
            return True
        return False

    @property
    def haproxy_rule(self) -> str:
        """The condition for this application; "" if it gets what no other one gets."""
        host = f"{{ hdr(host),field(1,:) -i {' '.join(self.names)} }} " if self.names else ""
        if self.is_exact:
            return f"{host}{{ path {self.path} }}"
        if self.path == "/":
            return host.strip()
        return f"{host}{{ path,url_dec -m str {self.path} }} || {host}{{ path,url_dec -m beg {self.below} }}"


@dataclass(frozen=True, slots=True)
class Site:
    """Hosts with the same applications."""

    label: str
    names: tuple[str, ...]
    apps: tuple[App, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """All that the templates use. Paths of Vestibule's own begin with the path of `server.public_url`."""

    url: str
    is_https: bool
    port: int
    names: tuple[str, ...]
    sites: tuple[Site, ...]
    apps: tuple[App, ...]
    vestibule: str
    verify: str
    own_pages: str
    verify_path: str
    oauth2: str
    is_oauth2_open: bool
    identity: tuple[str, ...]
    has_secret: bool
    head_bytes: int
    notes: tuple[str, ...]

    @property
    def closed(self) -> tuple[str, ...]:
        """Paths that nobody outside may ask for."""
        return (self.verify_path,) if self.is_oauth2_open else (self.verify_path, self.oauth2)

    @property
    def told_as(self) -> list[tuple[str, str]]:
        """Each header of a yes, with its variable in nginx. `Authorization` is the last one."""
        return [(name, variable_of(name)) for name in (*self.identity, "Authorization")]

    @property
    def sent_as(self) -> list[tuple[str, str]]:
        return [(name, variable_of(name)) for name in ("Authorization", *self.identity)]

    @property
    def emptied(self) -> list[str]:
        return removed_names(self.identity)

    @property
    def head_kilobytes(self) -> int:
        return -(-self.head_bytes // 1024)

    @property
    def hosts(self) -> str:
        """Traefik's rule for every host."""
        return hosts_rule(self.names)


def build_plan(settings: Settings, *, route_id: str = "") -> Plan:
    """Read from `settings` what a proxy in front must know; with `route_id` of this route alone.

    Raises:
        UsageFault: there is no such route, or something that no proxy's file can hold.
    """
    origins = list(all_origins(settings.server).values())
    first = origins[0]
    wanted, notes = _wanted(settings, route_id)
    apps, more = _apps(wanted, first)
    url = urlsplit(first.base)
    auth = _checked(first.base_path + settings.server.auth_path)
    names = tuple(dict.fromkeys(without_port(urls.host) for urls in origins))
    return Plan(
        url=first.base,
        is_https=first.is_secure,
        port=url.port or _USUAL_PORT[url.scheme],
        names=names,
        sites=_sites(apps, names),
        apps=apps,
        vestibule=_reachable(settings.server.bind),
        verify=_reachable(settings.forward_auth.bind),
        own_pages=auth,
        verify_path=auth + contract.PATH_VERIFY,
        oauth2=first.base_path + contract.OAUTH2_PATH,
        is_oauth2_open=settings.compat.oauth2_proxy,
        identity=tuple(identity_names(wanted)),
        has_secret=bool(settings.server.trusted_proxy_secret.get_secret_value()),
        head_bytes=settings.forward_auth.head_bytes,
        notes=(*notes, *more),
    )


def hosts_rule(names: Sequence[str]) -> str:
    """Traefik's rule for one of these hosts."""
    rule = " || ".join(f"Host(`{name}`)" for name in names)
    return f"({rule})" if len(names) > 1 else rule


def _wanted(settings: Settings, route_id: str) -> tuple[list[RouteSettings], list[str]]:
    """Return the routes that the file gets, in the order in which Vestibule tries them, and what is left out."""
    routes = list(RouteTable(settings.routes).in_order())
    if route_id:
        routes = [route for route in routes if route.id == route_id]
        if not routes:
            raise UsageFault(f"--route: there is no route {route_id}; vestibule routes list shows them")
    managed = [route.id for route in routes if any(one.startswith("streamlit:") for one in route.upstream)]
    notes = [
        f"route {one} is left out: Vestibule starts its page and must see its WebSockets; use --mode front for it"
        for one in managed
    ]
    return [route for route in routes if route.id not in managed], notes


def _apps(routes: Sequence[RouteSettings], urls: PublicUrls) -> tuple[tuple[App, ...], list[str]]:
    apps: list[App] = []
    notes: list[str] = []
    for route in routes:
        path = _checked(urls.base_path + route.path)
        path = path if path == "/" else path.rstrip("/")
        address, note = _address(route, placeholder=f"127.0.0.1:{_FIRST_PLACEHOLDER + len(apps)}")
        if route.strip_prefix:
            notes.append(f"route {route.id}: strip_prefix is not taken over; its application gets the whole path")
        if note:
            notes.append(f"route {route.id}: {note}")
        label = f"route-{route.id}" if route.id in _OWN_NAMES else route.id
        names = (without_port(route.host.lower()),) if route.host else ()
        shown = f"CHANGE: route {route.id}: {note}" if note else ""
        apps.append(App(label, path, route.exact, names, address, shown))
    return tuple(apps), notes


def _address(route: RouteSettings, *, placeholder: str) -> tuple[str, str]:
    """Return host:port of the application, and what an operator must change there."""
    if not route.upstream:
        return placeholder, f"write the address of its application in place of {placeholder}"
    target = parse_target(route.upstream[0])
    if target.is_tls or target.socket_path or target.base_path:
        return placeholder, f"write the address of its application in place of {placeholder}: {route.upstream[0]}"
    host = f"[{target.host}]" if ":" in target.host else target.host
    others = f"only the first of its {len(route.upstream)} upstreams is here" if len(route.upstream) > 1 else ""
    return f"{host}:{target.port}", others


def _sites(apps: Sequence[App], names: Sequence[str]) -> tuple[Site, ...]:
    """Put hosts together that have the same applications."""
    grouped: dict[tuple[App, ...], list[str]] = {}
    for name in names:
        served: dict[tuple[str, bool], App] = {}
        for app in apps:
            if name in app.names or not app.names:
                served.setdefault((app.path, app.is_exact), app)  # a route of this host comes before one of all hosts
        grouped.setdefault(tuple(served.values()), []).append(name)
    return tuple(
        Site("apps" if number == 0 else f"apps_{number + 1}", tuple(hosts), members)
        for number, (members, hosts) in enumerate(grouped.items())
    )


def _checked(path: str) -> str:
    if not _PLAIN_PATH.match(path):
        raise UsageFault(f"the path {path!a} has signs that mean something in a proxy's file; write it there yourself")
    return path


def _reachable(bind: str) -> str:
    """Where a proxy on this machine reaches a listener."""
    host, _, port = bind.rpartition(":")
    return f"127.0.0.1:{port}" if host in ("", "0.0.0.0", "[::]", "*") else bind
