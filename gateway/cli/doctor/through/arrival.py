"""Judge what arrived at the door: Host, forwarded headers, identity headers, cookies. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bff.settings.tables import RouteSettings, ServerSettings
from gateway.cli.doctor.checks import Finding
from gateway.cli.doctor.through.fixes import fix
from gateway.headers.request import identity_entry

FORGED_ADDRESS: Final = "203.0.113.99"
"""An address that nobody has (RFC 5737)."""
FORGED_HOST: Final = "forged.invalid"
FORGED_IDENTITY: Final = (
    "X-Auth-Request-User",
    "X-Auth-Request-Email",
    "X-Auth-Request-Groups",
    "x_auth_request_user",
    "X.Auth.Request.User",
    "X-Forwarded-User",
    "X-Forwarded-Access-Token",
    "Remote-User",
    "X-Remote-User",
    "X-WEBAUTH-USER",
    "X-User",
    "Cf-Access-Authenticated-User-Email",
    "X-Vestibule-Assertion",
)
"""Names under which applications believe who somebody is, in spellings that some servers read as the same."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a proxy must write: the Host that people type, and the scheme they use."""

    host: str
    scheme: str


def forged_headers(routes: Iterable[RouteSettings], *, scheme: str) -> list[tuple[str, str]]:
    """Build what an attacker would send: another address, scheme and host, and somebody else's name.

    The names are the usual ones, and those that a route lets pass because its proxy is to set them.
    """
    listed = (name for route in routes if route.forward_headers != "all" for name in route.forward_headers)
    admitted = [name for name in listed if identity_entry(name.lower().encode("latin-1", "replace"))]
    names = {name.lower(): name for name in (*FORGED_IDENTITY, *admitted) if "*" not in name}
    other = "http" if scheme == "https" else "https"
    return [
        ("X-Forwarded-For", FORGED_ADDRESS),
        ("X-Real-IP", FORGED_ADDRESS),
        ("X-Forwarded-Proto", other),
        ("X-Forwarded-Host", FORGED_HOST),
        ("Forwarded", f"for={FORGED_ADDRESS};proto={other};host={FORGED_HOST}"),
        *((name, "forged") for name in names.values()),
    ]


def judge_arrival(seen: Mapping[str, Any], expected: Expected, server: ServerSettings) -> Iterator[Finding]:
    """Yield what is right and wrong with a request that had `forged_headers`."""
    yield _host(seen, expected, server)
    yield from _client(seen, server)
    yield from _scheme(seen, expected)
    yield _identity(seen)
    if seen["version"] == "1.0":
        yield Finding("warning", "http", f"the proxy speaks HTTP/1.0 to the door; {fix('http')}")
    if not seen["cookies"]:
        yield Finding(
            "fault", "cookie", f"cookies do not reach the door, so nobody stays signed in; {fix('cookie_dropped')}"
        )


def _host(seen: Mapping[str, Any], expected: Expected, server: ServerSettings) -> Finding:
    got = ", ".join(seen["host"]) or "none"
    asked = seen["asked_host"] or "none"
    if asked == expected.host:
        return Finding("ok", "host", f"{expected.host} arrives")
    if server.trusted_host_header and asked == FORGED_HOST:
        says = f"the door believes an X-Forwarded-Host that a client sent ({FORGED_HOST})"
        return Finding("fault", "host", f"{says}; {fix('forwarded_host')}")
    return Finding(
        "fault", "host", f"Host arrives as {got}, not as {expected.host}: the door answers 421; {fix('host')}"
    )


def _client(seen: Mapping[str, Any], server: ServerSettings) -> Iterator[Finding]:
    peer, client = seen["peer"] or "its Unix socket", seen["client"]
    hops = [hop.strip() for value in seen["forwarded"].get("x-forwarded-for", ()) for hop in value.split(",")]
    is_proxied = hops != [FORGED_ADDRESS] or server.trusted_proxies
    if seen["unproven_proxy"]:
        says = f"the proxy at {peer} does not show server.trusted_proxy_secret, so its headers count for nothing"
        yield Finding("fault", "client", f"{says}; {fix('proxy_secret')}")
    elif not seen["through_proxy"] and is_proxied:
        says = f"server.trusted_proxies does not name the proxy at {peer}: the door takes it for every client"
        yield Finding("fault", "client", f'{says}; vestibule.toml: trusted_proxies = ["{peer}"]')
    elif not seen["through_proxy"]:
        yield Finding("ok", "client", f"{client}; no proxy is trusted, and a forged X-Forwarded-For has no effect")
    elif client == FORGED_ADDRESS:
        yield Finding("fault", "client", f"{_how_forged(hops)}; {fix('forwarded_for')}")
    elif FORGED_ADDRESS in hops:
        says = f"the door finds {client}, but the proxy appends to X-Forwarded-For ({', '.join(hops)})"
        yield Finding("warning", "client", f"{says} instead of writing it; {fix('forwarded_for')}")
    elif not hops:
        says = f"X-Forwarded-For does not arrive: the door takes the proxy at {peer} for every client"
        yield Finding("fault", "client", f"{says}; {fix('forwarded_for')}")
    else:
        yield Finding("ok", "client", f"{client}; a forged X-Forwarded-For is gone")


def _how_forged(hops: Sequence[str]) -> str:
    start = (
        f"forging works: this command sent X-Forwarded-For: {FORGED_ADDRESS}, and the door takes that for its address"
    )
    if hops == [FORGED_ADDRESS]:
        return f"{start}, because the proxy passes on what a client sends"
    return (
        f"{start}, because the proxy appends ({', '.join(hops)}) and server.trusted_proxies names its other addresses"
    )


def _scheme(seen: Mapping[str, Any], expected: Expected) -> Iterator[Finding]:
    if not seen["through_proxy"] or seen["scheme"] == expected.scheme:
        return
    says = f"X-Forwarded-Proto arrives as {seen['scheme']}, but people use {expected.scheme}"
    yield Finding("fault", "scheme", f"{says}; {fix('forwarded_proto')}")


def _identity(seen: Mapping[str, Any]) -> Finding:
    if seen["passing"]:
        found = "; ".join(f"route {route}: {', '.join(names)}" for route, names in seen["passing"].items())
        says = f"names that a client invents reach an application ({found})"
        names = sorted({name for found in seen["passing"].values() for name in found})
        clearing = " ".join(f'proxy_set_header {name} "";' for name in names)
        return Finding("fault", "identity", f"{says}; nginx: {clearing} | vestibule.toml: not in forward_headers")
    arrived = len(seen["identity"])
    where = f"the door removes the {arrived} that the proxy passes on" if arrived else "the proxy lets none pass"
    return Finding("ok", "identity", f"invented names reach no upstream: {where}")


def judge_cookie(received: Sequence[str], sent: str) -> Finding:
    """Compare the Set-Cookie headers that came with the one that the door sent."""
    if list(received) == [sent]:
        return Finding("ok", "cookie", "name, flags and path arrive as the door sends them")
    if len(received) != 1:
        return Finding("fault", "cookie", f"{len(received)} Set-Cookie arrive, 1 was sent; {fix('cookie_changed')}")
    had, has = (dict.fromkeys(part.strip() for part in text.split(";")) for text in (sent, received[0]))
    missing = [part for part in had if part not in has]
    new = [part for part in has if part not in had]
    says = "; ".join(
        [*(f"{part.partition('=')[0]} is missing or changed" for part in missing), *(f"{part} is new" for part in new)]
    )
    return Finding("fault", "cookie", f"the proxy changes cookies: {says or 'another order'}; {fix('cookie_changed')}")
