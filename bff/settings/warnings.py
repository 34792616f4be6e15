"""Warnings about settings without faults: the front door starts, but the settings may let somebody in."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, ip_network

from bff.settings.rules import Fault, RuleFault
from bff.settings.tables import Requirements, Settings

FREE_ACCOUNTS = frozenset({"https://accounts.google.com", "https://gitlab.com"})
LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"), ip_network("::ffff:127.0.0.0/104"))


def find_warnings(settings: Settings, *, source: str) -> Iterator[Fault]:
    """Yield one warning per risk: the key, what it means, and what to do."""
    for key, message, fix in (*_proxies(settings), *_open_to_the_world(settings)):
        yield Fault(source, key, message, fix)


def _proxies(settings: Settings) -> Iterator[RuleFault]:
    server = settings.server
    if server.trusted_proxy_secret.get_secret_value() or not _starts_pages(settings):
        return
    if any(_holds_loopback(network) for network in server.trusted_proxies):
        message = "trusts this machine, and page code runs on it: a page can call the front door as the proxy"
        yield "server.trusted_proxies", message, "set trusted_proxy_secret and let the proxy send X-Vestibule-Proxy"


def _open_to_the_world(settings: Settings) -> Iterator[RuleFault]:
    """Warn of routes that anybody with a free account may open: Google's and GitLab's own sign-in take everybody."""
    public = {name for name, provider in settings.providers.items() if provider.issuer in FREE_ACCOUNTS}
    for route in settings.routes:
        named = {route.provider} if route.provider else set(settings.providers)
        if route.auth == "required" and route.require == Requirements() and named & public:
            which = ", ".join(sorted(named & public))
            message = f"has no rule, and everybody in the world can get an account of {which}"
            fix = 'say who may come in, as in require = { email_domains = ["example.com"] }'
            yield f"routes.{route.id}.require", message, fix


def _starts_pages(settings: Settings) -> bool:
    return any(target.startswith("streamlit:") for route in settings.routes for target in route.upstream)


def _holds_loopback(network: IPv4Network | IPv6Network) -> bool:
    return any(network.version == one.version and network.overlaps(one) for one in LOOPBACK)
