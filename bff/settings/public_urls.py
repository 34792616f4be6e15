"""Absolute URLs of this front door. They come only from `server.public_url` and `origins`, never from a Host header."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

from bff import contract
from bff.settings.tables import ServerSettings, Settings

_OWN_PORTS = {"http": ":80", "https": ":443"}


@dataclass(frozen=True, slots=True)
class PublicUrls:
    """URLs below one public origin.

    `base` is scheme://host[:port][/path] without a trailing slash; `auth` the same with `server.auth_path`.
    """

    base: str
    auth_path: str = contract.AUTH_PATH
    callback_path: str = ""
    """The path of the one redirect URI, "" if each provider has its own below `auth_path`."""
    has_old_names: bool = False
    """True for the pages below `/oauth2`: a proxy may pass only these names on to us, so their links stay below it."""

    @property
    def origin(self) -> str:
        """As a browser writes it: lower case, and without the port that the scheme has by itself (RFC 6454 6.2)."""
        return _origin_of(self.base)

    @property
    def host(self) -> str:
        """What a browser's Host header says: lower case, without the scheme's own port."""
        return self.origin.partition("://")[2]

    @property
    def base_path(self) -> str:
        """Path of `public_url`, "" if it has none."""
        return urlsplit(self.base).path

    @property
    def auth(self) -> str:
        return self.base + self.auth_path

    def callback(self, provider: str) -> str:
        """Return the `redirect_uri` to register for `provider`. One each is the mix-up defence (RFC 9700 4.4.2.2)."""
        if self.callback_path:
            return self.base + self.callback_path
        return f"{self.auth}{contract.PATH_CALLBACK}/{provider}"

    @property
    def post_logout(self) -> str:
        """`post_logout_redirect_uri` to register; "" if the browser cannot come to it through the proxy."""
        return "" if self.has_old_names else self.auth + contract.PATH_LOGGED_OUT

    def backchannel_logout(self, provider: str) -> str:
        return f"{self.auth}{contract.PATH_BACKCHANNEL_LOGOUT}/{provider}"

    def frontchannel_logout(self, provider: str) -> str:
        return f"{self.auth}{contract.PATH_FRONTCHANNEL_LOGOUT}/{provider}"

    def initiate(self, provider: str) -> str:
        """`initiate_login_uri` to register for third-party initiated login (OpenID Connect Core section 4)."""
        return f"{self.auth}{contract.PATH_INITIATE}/{provider}"

    @property
    def logout_path(self) -> str:
        """Where a person signs out."""
        own = contract.OAUTH2_SIGN_OUT if self.has_old_names else self.auth_path + contract.PATH_LOGOUT
        return self.base_path + own

    @property
    def jwks(self) -> str:
        return self.auth + contract.PATH_JWKS

    def has(self, route_host: str) -> bool:
        """True for a route of this origin: it names this host, with or without the port, or no host."""
        return route_host.lower() in ("", self.host, without_port(self.host))

    @property
    def is_secure(self) -> bool:
        return self.base.startswith("https://")


def canonical_origin(origin: str) -> str:
    """Lower-case an origin, and drop the port that its scheme has by itself: `http://name:80` is `http://name`."""
    scheme, separator, host = origin.lower().partition("://")
    own_port = _OWN_PORTS.get(scheme)
    return f"{scheme}{separator}{host.removesuffix(own_port) if own_port else host}"


@lru_cache(maxsize=256)
def _origin_of(base: str) -> str:
    url = urlsplit(base)
    return canonical_origin(f"{url.scheme}://{url.netloc}")


def without_port(host: str) -> str:
    """The name in a Host header."""
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host


def callback_path_of(settings: Settings) -> str:
    """Return the path of the one redirect URI that is registered for oauth2-proxy already; "" without it."""
    return contract.OAUTH2_CALLBACK if settings.compat.oauth2_proxy else ""


def urls_of_origin(origins: Mapping[str, PublicUrls], origin: str) -> PublicUrls | None:
    """Return the URLs of `origin`, for example that of a session; None if it is no longer served."""
    return next((urls for urls in origins.values() if urls.origin == origin), None)


def urls_of_route(server: ServerSettings, route_host: str) -> PublicUrls:
    """Return the first origin that serves a route with `host = "…"`; `public_url` for a route without `host`."""
    every = list(all_origins(server).values())
    return next((urls for urls in every if urls.has(route_host)), every[0])


def all_origins(server: ServerSettings, *, callback_path: str = "") -> dict[str, PublicUrls]:
    """Return every origin of this front door by its Host in lower case. The first is `public_url`."""
    base_path = urlsplit(server.public_url.rstrip("/")).path
    bases = [server.public_url.rstrip("/"), *(origin.rstrip("/") + base_path for origin in server.origins)]
    urls = [PublicUrls(base, server.auth_path, callback_path) for base in bases]
    return {url.host: url for url in urls}


def origins_by_host(server: ServerSettings, *, callback_path: str = "") -> dict[str, PublicUrls]:
    """Every origin by each Host header that names it: with and without the scheme's own port."""
    found = all_origins(server, callback_path=callback_path)
    own_port = _OWN_PORTS["https" if next(iter(found.values())).is_secure else "http"]
    named = {host + own_port: urls for host, urls in found.items() if without_port(host) == host}
    return {**found, **named}
