"""Page state that survives a reload. The front door keeps it for the signed-in person.

    draft = page_state("predict-form")
    values = draft.load(default={})
    draft.save({"depth": 12})

It is loaded and saved as JSON. The front door limits its size and lifetime, so it is not a database.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

import httpx

from bff import contract
from streamlit_kit import deep_links, transport
from streamlit_kit.assertion import PageSession
from streamlit_kit.errors import ApiUnavailable, KitMisconfigured, LoginRequired
from streamlit_kit.identity import find_session
from streamlit_kit.response import build_response, raise_for_front_door
from streamlit_kit.runtime import Kit, current_kit

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


def page_state(state_id: str) -> PageState:
    """Return one piece of state by its name. Each person and each app has its own piece under the same name.

    Raises: LoginRequired if nobody is signed in; ValueError for a malformed name; KitMisconfigured in development
    without a front door, because nothing would keep the state.
    """
    if not _ID.fullmatch(state_id):
        raise ValueError("a state is named with 1 to 64 letters, digits, - and _")
    kit = current_kit()
    if kit.development is not None:
        raise KitMisconfigured("Page state is kept by a front door: run this page with `vestibule dev app.py`.")
    session = find_session(kit)
    login_url = deep_links.login_url(kit.settings)
    if session is None:
        raise LoginRequired(login_url=login_url)
    url = f"{kit.settings.auth_url}{contract.PATH_KIT_STATE}/{state_id}"
    return PageState(kit, session, url=url, login_url=login_url)


class PageState:
    """One piece of state. All methods raise LoginRequired, Forbidden, ApiUnavailable; ApiError if it is too large."""

    __slots__ = ("_kit", "_login_url", "_session", "_url")

    def __init__(self, kit: Kit, session: PageSession, *, url: str, login_url: str) -> None:
        self._kit = kit
        self._session = session
        self._url = url
        self._login_url = login_url

    def load(self, default: Any = None) -> Any:
        """Return the last saved value, or `default` if there is none."""
        response = self._send("GET")
        if response.status_code in {204, 404}:
            return default
        build_response(response).raise_for_status()
        try:
            return response.json()
        except ValueError as exc:
            raise ApiUnavailable(code="state_malformed") from exc

    def save(self, value: Any) -> None:
        """Save `value`. Raises also: TypeError or ValueError for what JSON cannot hold."""
        body = json.dumps(value, allow_nan=False).encode()
        build_response(self._send("PUT", body)).raise_for_status()

    def delete(self) -> None:
        """Remove the value. If there is none, nothing happens."""
        response = self._send("DELETE")
        if response.status_code != 404:
            build_response(response).raise_for_status()

    def _send(self, method: str, body: bytes | None = None) -> httpx.Response:
        headers = {
            contract.HEADER_KIT: self._kit.settings.credential,
            contract.HEADER_SESSION: self._session.handle,
        }
        if body is not None:
            headers["Content-Type"] = "application/json"
        request = self._kit.http.build_request(
            method, self._url, content=body, headers=headers, timeout=transport.CONTROL_TIMEOUT
        )
        response = transport.send(self._kit.http, request)
        raise_for_front_door(response, login_url=self._login_url, on_ended=self._session.ended.set)
        return response
