"""Who is signed in, as the proxy in front of an API says: for APIs behind the gateway or another proxy.

    user = TrustedProxyUser(["10.0.0.0/24"])

    @app.get("/users/me")
    async def me(caller: Annotated[ProxiedUser, Depends(user)]) -> ...: ...

The headers can be trusted only as far as the network path. So they are read only from the networks that are named,
and the proxy has to set every one of them on each request. Run Uvicorn with `--no-proxy-headers`; otherwise it
replaces the proxy's address with the browser's.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from fastapi import HTTPException
from starlette.requests import HTTPConnection

from bff.contract import HEADER_SUBJECT_KEY

ENV_TRUSTED_PROXIES: Final = "VESTIBULE_API_TRUSTED_PROXIES"
_PREFIX: Final = b"x-auth-request-"
_PRINTABLE: Final = re.compile(rb"[ -~]*\Z")
_BROKEN_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_log = logging.getLogger(__name__)
Network = IPv4Network | IPv6Network


class TrustedProxyMisconfigured(ValueError):
    """The networks of the proxies are missing or malformed; the message names the variable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxiedUser:
    """The person that a proxy names. `sub` is `<provider>:<sub>` if several providers are configured.

    `key` is the stable name of a person at any provider (`X-Auth-Request-Id`), "" from other proxies.
    """

    sub: str
    email: str = ""
    name: str = ""
    preferred_username: str = ""
    provider: str = ""
    key: str = ""
    roles: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    claims: Mapping[str, Any] = field(default_factory=dict)
    omitted: tuple[str, ...] = ()
    """What the proxy left out because it did not fit: an empty list that is named here is unknown."""

    def has_group(self, *groups: str) -> bool:
        """True if the person is in at least one of `groups`."""
        return any(group in self.groups for group in groups)

    def has_role(self, *roles: str) -> bool:
        """True if the person has at least one of `roles`."""
        return any(role in self.roles for role in roles)


class TrustedProxyUser:
    """A dependency that returns the `ProxiedUser` of a request from one of `trusted_proxies` (CIDRs; none by default).

    Raises:
        TrustedProxyMisconfigured: on construction, if an entry is not a network or is the whole internet.
    """

    def __init__(self, trusted_proxies: Iterable[str] = ()) -> None:
        self._networks = tuple(_network(text) for text in trusted_proxies)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> TrustedProxyUser:
        """Read `VESTIBULE_API_TRUSTED_PROXIES`: networks, separated by commas.

        Raises:
            TrustedProxyMisconfigured: the variable is not set or malformed.
        """
        texts = [text.strip() for text in environ.get(ENV_TRUSTED_PROXIES, "").split(",") if text.strip()]
        if not texts:
            raise TrustedProxyMisconfigured(f"{ENV_TRUSTED_PROXIES} is not set")
        return cls(texts)

    async def __call__(self, request: HTTPConnection) -> ProxiedUser:
        """Return the person who made `request`, which may be a WebSocket handshake.

        Raises:
            HTTPException: 403 if the request did not come through the proxy, 401 if nobody is signed in, 400 for
                headers that can be read in two ways.
        """
        if not self._is_proxy(request):
            raise _refused(403, "proxy_untrusted", "this API answers only behind its proxy")
        headers = _identity_headers(request.scope["headers"])
        sub = _text(headers, "user")
        if not sub:
            raise _refused(401, "login_required", "nobody is signed in")
        return ProxiedUser(
            sub=sub,
            email=_text(headers, "email"),
            name=_text(headers, "name"),
            preferred_username=_text(headers, "preferred-username"),
            provider=_text(headers, "provider"),
            key=_text(headers, HEADER_SUBJECT_KEY.lower().removeprefix(_PREFIX.decode())),
            roles=_names(headers, "roles"),
            groups=_names(headers, "groups"),
            omitted=_names(headers, "omitted"),
        )

    def _is_proxy(self, request: HTTPConnection) -> bool:
        """True if the address of the socket's other end is in the networks."""
        host, port = request.client if request.client is not None else ("", 0)
        address = _address(host)
        if address is not None and _is_rewritten(request, host, port):
            _log.warning(
                "the server replaced the proxy's address with a forwarded one; run Uvicorn with --no-proxy-headers"
            )
            return False
        if address is None or not any(address in network for network in self._networks):
            _log.warning("identity headers from %r, which is not in %s", host, ENV_TRUSTED_PROXIES)
            return False
        return True


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(host)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _is_rewritten(request: HTTPConnection, host: str, port: int) -> bool:
    """True if the server took the address from `X-Forwarded-For`: it has no port, or the port from that header.

    A client can claim any address there.
    """
    forwarded = ",".join(request.headers.getlist("x-forwarded-for"))
    claimed = {entry.strip() for entry in forwarded.split(",")}
    return port == 0 or not claimed.isdisjoint({f"{host}:{port}", f"[{host}]:{port}"})


def _identity_headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, bytes]:
    """Return the identity headers, keyed by the last part of their names.

    Refuse another spelling or a second copy of a name: the proxy did not set it.
    """
    found: dict[str, bytes] = {}
    for name, value in raw:
        canonical = name.lower().replace(b"_", b"-").replace(b".", b"-")
        if not canonical.startswith(_PREFIX):
            continue
        part = canonical.removeprefix(_PREFIX).decode("latin-1")
        if name.lower() != canonical or part in found:
            raise _refused(400, "proxy_headers", "an identity header came twice or in another spelling")
        found[part] = value
    return found


def _text(headers: Mapping[str, bytes], part: str) -> str:
    return _decoded(headers.get(part, b"").strip(b" "))


def _names(headers: Mapping[str, bytes], part: str) -> tuple[str, ...]:
    """Read a list. It is split before it is decoded: commas inside names are percent-encoded."""
    pieces = (piece.strip(b" ") for piece in headers.get(part, b"").split(b","))
    return tuple(dict.fromkeys(_decoded(piece) for piece in pieces if piece))


def _decoded(value: bytes) -> str:
    """Decode a value: the proxy percent-encodes `%` and everything that is not printable ASCII."""
    if _PRINTABLE.match(value) and not _BROKEN_ESCAPE.search(value):
        try:
            text = unquote_to_bytes(value).decode("utf-8")
        except UnicodeDecodeError:
            text = "\0"
        if text.isprintable():
            return text
    raise _refused(400, "proxy_headers", "an identity header cannot be read")


def _network(text: str) -> Network:
    try:
        network = ip_network(text)
    except ValueError:
        raise TrustedProxyMisconfigured(
            f"{ENV_TRUSTED_PROXIES}: {text!r} is not a network; write 10.0.0.0/24"
        ) from None
    if network.prefixlen == 0:
        raise TrustedProxyMisconfigured(f"{ENV_TRUSTED_PROXIES}: {text!r} trusts everybody")
    return network


def _refused(status: int, error: str, description: str) -> HTTPException:
    return HTTPException(status, {"error": error, "error_description": description})
