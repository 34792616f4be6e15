"""Ask the door through its proxy: one signed probe for each question."""

from __future__ import annotations

import secrets
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from bff.sessions.keyring import Keyring
from bff.settings.public_urls import PublicUrls, all_origins, canonical_origin
from bff.settings.tables import Settings
from gateway.cli.doctor.through.wire import Place, Reply, connected, request_head
from gateway.faults import UsageFault
from gateway.probe.token import HEADER, PATH, Kind, Probe, sign_probe

ANSWER_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Outside:
    """The door as people reach it: where to dial, and the origin that it answers there."""

    settings: Settings
    urls: PublicUrls
    place: Place
    keyring: Keyring

    def target(self, kind: Kind) -> str:
        return f"{self.urls.base_path}{self.urls.auth_path}{PATH}{kind}"

    def token(self, kind: Kind, *, now: float, seconds: int = 0) -> tuple[str, str]:
        """Return the nonce and the token of a new probe."""
        nonce = secrets.token_hex(16)
        return nonce, sign_probe(Probe(kind, nonce, seconds), self.keyring, now=now)

    def head(
        self, kind: Kind, *, now: float, seconds: int = 0, headers: Sequence[tuple[str, str]] = (), length: int = -1
    ) -> tuple[str, bytes]:
        """Return the nonce and the head of a request for a new probe. With a `length` it is a POST."""
        nonce, token = self.token(kind, now=now, seconds=seconds)
        every = [(HEADER, token), *headers]
        if length < 0:
            return nonce, request_head("GET", self.target(kind), self.place, every)
        return nonce, request_head("POST", self.target(kind), self.place, every, length=length)

    async def get(self, head: bytes, *, seconds: float = ANSWER_SECONDS) -> Reply:
        """Send a request without a body and return the whole answer.

        Raises:
            NoAnswer: nobody answers.
        """
        async with connected(self.place) as exchange:
            await exchange.send(head)
            return await exchange.whole(seconds=seconds)


def outside_of(settings: Settings, url: str, *, ca_file: str = "") -> Outside:
    """Read where to look from: an origin of this door, as `server.public_url` or `server.origins` name it.

    Raises:
        UsageFault: it is none, or `ca_file` cannot be read.
    """
    parts = urlsplit(url)
    origins = {urls.origin: urls for urls in all_origins(settings.server).values()}
    urls = origins.get(canonical_origin(f"{parts.scheme}://{parts.netloc}"))
    if urls is None:
        raise UsageFault(f"--through {url}: not an address of this front door; these are: {', '.join(origins)}")
    own = urlsplit(urls.origin)
    tls = _trusting(ca_file) if urls.is_secure else None
    place = Place(own.hostname or "", own.port or (443 if urls.is_secure else 80), tls)
    keys = [key.get_secret_value().encode() for key in settings.secrets.keys]
    return Outside(settings, urls, place, Keyring(keys))


def _trusting(ca_file: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file or None)
    except (OSError, ssl.SSLError) as exc:
        raise UsageFault(f"--ca-file {ca_file} cannot be read: {type(exc).__name__}") from None
