"""The only HTTP client of this process, and the errors for its failures. Only this module sends.

The pages of all people share the client, so nothing about a person may stay in it: it keeps no cookies and no
credentials, follows no redirects and ignores the proxies of the environment.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Final

import httpx

from streamlit_kit.errors import ApiUnavailable, KitMisconfigured
from streamlit_kit.settings import KitSettings

# Longer than the 60 s the front door waits for a first byte, so that its answer arrives instead of our own time-out.
DEFAULT_TIMEOUT: Final = httpx.Timeout(65.0, connect=5.0, write=60.0, pool=10.0)
CONTROL_TIMEOUT: Final = httpx.Timeout(10.0, connect=3.0)
"""For calls to the front door itself: keys, exchange, token, state."""

# Uvicorn closes an idle connection after 5 s. We close it earlier, which avoids most races.
_LIMITS: Final = httpx.Limits(max_connections=200, max_keepalive_connections=50, keepalive_expiry=4.0)
_REPEATABLE: Final = frozenset({"GET", "HEAD"})


def create_http_client(settings: KitSettings) -> httpx.Client:
    """Make the client. If it cannot connect, it tries once more; nothing has been sent by then.

    Raises: KitMisconfigured when the CA file is no certificate.
    """
    verify: ssl.SSLContext | bool = True
    if settings.ca_file:
        try:
            verify = ssl.create_default_context(cafile=settings.ca_file)
        except (OSError, ssl.SSLError) as exc:
            raise KitMisconfigured("The file that VESTIBULE_KIT__CA_FILE names holds no certificate.") from exc
    return build_http_client(httpx.HTTPTransport(verify=verify, retries=1, limits=_LIMITS, trust_env=False))


def build_http_client(transport: httpx.BaseTransport) -> httpx.Client:
    return httpx.Client(
        transport=transport,
        timeout=DEFAULT_TIMEOUT,
        follow_redirects=False,
        trust_env=False,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        headers={"User-Agent": "vestibule-kit", "Accept": "*/*"},
    )


def send(http: httpx.Client, request: httpx.Request, *, stream: bool = False) -> httpx.Response:
    """Send once. Send a GET or HEAD once more if it failed on a connection that was kept open.

    Raises: ApiUnavailable; ValueError for a header or body that cannot be sent.
    """
    with translated_errors():
        dialled = _watch_dial(request)
        try:
            return http.send(request, stream=stream)
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
            if dialled or request.method not in _REPEATABLE or not _is_replayable(request):
                raise
        return http.send(request, stream=stream)


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn the errors of httpx into the kit's errors, also while a stream is read."""
    try:
        yield
    except httpx.TimeoutException as exc:
        raise ApiUnavailable("The service took too long to answer.", code="timeout", status=504) from exc
    except (httpx.LocalProtocolError, httpx.InvalidURL, httpx.UnsupportedProtocol) as exc:
        raise ValueError("this request cannot be sent: a header or the address has a forbidden character") from exc
    except httpx.RequestError as exc:
        raise ApiUnavailable(code="unreachable") from exc


def _watch_dial(request: httpx.Request) -> list[str]:
    """Return a list that gets an entry whenever `request` opens a new connection."""
    dialled: list[str] = []

    def note(event: str, _: dict[str, Any]) -> None:
        if event.endswith("connect_tcp.started"):
            dialled.append(event)

    request.extensions = {**request.extensions, "trace": note}
    return dialled


def _is_replayable(request: httpx.Request) -> bool:
    return isinstance(request.stream, httpx.ByteStream)
