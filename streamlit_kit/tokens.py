"""Fetch a token for code that has to send it itself. Only here does a token reach a page."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bff import contract
from streamlit_kit import deep_links, transport
from streamlit_kit.assertion import PageSession
from streamlit_kit.development import build_authorization
from streamlit_kit.errors import ApiUnavailable, Forbidden, KitMisconfigured, LoginRequired
from streamlit_kit.identity import find_session
from streamlit_kit.response import raise_for_front_door, read_problem, read_request_id
from streamlit_kit.runtime import Kit, current_kit

_BEARER: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""`b64token` of RFC 6750 section 2.1."""


class _TokenAnswer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    access_token: Annotated[str, Field(min_length=1, max_length=65_536)]
    token_type: str


def auth_headers(audience: str = "") -> dict[str, str]:
    """Fetch `Authorization` for the person on the page. It expires soon, so fetch it for each use.

    Raises: LoginRequired, Forbidden, ApiUnavailable, KitMisconfigured, OutsidePage.
    """
    kit = current_kit()
    session = find_session(kit)
    return fetch_auth_headers(kit, session, audience=audience, login_url=deep_links.login_url(kit.settings))


def fetch_auth_headers(kit: Kit, session: PageSession | None, *, audience: str, login_url: str) -> dict[str, str]:
    """Return `{"Authorization": "Bearer …"}` for `audience`; "" means the client's only audience.

    Raises: LoginRequired, Forbidden, ApiUnavailable, KitMisconfigured.
    """
    if session is None:
        raise LoginRequired(login_url=login_url)
    if kit.development is not None:
        return build_authorization(kit.development)
    request = kit.http.build_request(
        "POST",
        kit.settings.auth_url + contract.PATH_KIT_TOKEN,
        json={"audience": audience},
        headers={contract.HEADER_KIT: kit.settings.credential, contract.HEADER_SESSION: session.handle},
        timeout=transport.CONTROL_TIMEOUT,
    )
    response = transport.send(kit.http, request)
    raise_for_front_door(response, login_url=login_url, on_ended=session.ended.set)
    code = read_problem(response.headers, response.content).get("code", "")
    if response.status_code == 401:
        raise LoginRequired(code=code, login_url=login_url)
    if response.status_code == 404:
        raise KitMisconfigured("The front door hands no tokens to kit clients at this address.")
    if response.status_code != 200:
        raise Forbidden(code=code, request_id=read_request_id(response.headers))
    try:
        answer = _TokenAnswer.model_validate_json(response.content)
    except ValidationError as exc:
        raise ApiUnavailable(code="token_malformed") from exc
    if answer.token_type.lower() != "bearer" or not _BEARER.fullmatch(answer.access_token):
        raise ApiUnavailable(code="token_malformed")
    return {"Authorization": f"Bearer {answer.access_token}"}
