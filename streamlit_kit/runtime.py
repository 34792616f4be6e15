"""Wire the kit's parts together, once per process. Nothing of one person is found here without their handshake."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from bff import contract
from streamlit_kit import transport
from streamlit_kit.assertion import PageSession
from streamlit_kit.development import Development, read_development, warn_of_development
from streamlit_kit.errors import ApiUnavailable
from streamlit_kit.keys import KeySet
from streamlit_kit.settings import KitSettings, read_settings
from streamlit_kit.whole_identity import WholeAnswers


@dataclass(frozen=True, slots=True)
class Kit:
    """The parts of the kit: settings, the HTTP client, the front door's keys.

    `find_session` replaces the handshake of the page in tests of pages (`streamlit_kit.testing`). `development`
    replaces a front door (`streamlit_kit.development`).
    """

    settings: KitSettings
    http: httpx.Client = field(repr=False)
    keys: KeySet = field(repr=False)
    find_session: Callable[[], PageSession | None] | None = None
    development: Development | None = None
    whole: WholeAnswers = field(default_factory=WholeAnswers, repr=False)


_lock = threading.Lock()
_kit: Kit | None = None


def current_kit() -> Kit:
    """Return the kit of this process. The first call makes it from the environment.

    Raises: KitMisconfigured.
    """
    global _kit
    with _lock:
        if _kit is None:
            development = read_development(os.environ)
            settings = development.settings if development is not None else read_settings(os.environ)
            _kit = create_kit(settings, transport.create_http_client(settings), development=development)
            if development is not None:
                warn_of_development(development)
        return _kit


def create_kit(
    settings: KitSettings,
    http: httpx.Client,
    *,
    find_session: Callable[[], PageSession | None] | None = None,
    development: Development | None = None,
) -> Kit:
    keys = KeySet(lambda: fetch_key_set(settings, http), clock=time.monotonic)
    return Kit(settings=settings, http=http, keys=keys, find_session=find_session, development=development)


@contextmanager
def use_kit(kit: Kit | None) -> Iterator[None]:
    """Use `kit` in this process. With None, the next use reads the environment again."""
    global _kit
    with _lock:
        previous, _kit = _kit, kit
    try:
        yield
    finally:
        with _lock:
            _kit = previous


def fetch_key_set(settings: KitSettings, http: httpx.Client) -> dict[str, Any]:
    """Raises: ApiUnavailable, also for an answer that is not a key set."""
    request = http.build_request("GET", settings.auth_url + contract.PATH_JWKS, timeout=transport.CONTROL_TIMEOUT)
    response = transport.send(http, request)
    try:
        document = response.json() if response.status_code == 200 else None
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise ApiUnavailable(code="key_set_malformed")
    return document
