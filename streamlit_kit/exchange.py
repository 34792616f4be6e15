"""Auth-code mode, for a Streamlit that is not behind the front door.

The sign-in comes back with a one-time `auth_code` in the query. The code works once, within a minute, for this kit
client, and in the browser that began the sign-in: the page proves that from its own handshake. The session stays in
`st.session_state`, so it belongs to one tab until that is reloaded.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Annotated, Any, Final

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bff import contract
from streamlit_kit import _streamlit, transport
from streamlit_kit.assertion import AssertionRejected, PageSession, PersonClaims, Seconds, parse_routes
from streamlit_kit.deep_links import AUTH_CODE, is_behind_front_door
from streamlit_kit.errors import ApiUnavailable
from streamlit_kit.response import is_outage, raise_for_credential, read_problem, read_request_id, unavailable
from streamlit_kit.runtime import Kit

log = logging.getLogger(__name__)

_STATE_KEY: Final = "_vestibule_kit_session"
_MAX_CODE: Final = 512


class _ExchangedPerson(PersonClaims):
    iss: str
    expires_at: Seconds = 0
    claims: Mapping[str, Any] = Field(default_factory=dict)


class _ExchangeAnswer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    session_handle: Annotated[str, Field(min_length=1, max_length=8192, pattern=r"^[\x21-\x7e]+$")]
    expires_at: Seconds
    identity: _ExchangedPerson
    routes: Mapping[str, str] = Field(default_factory=dict)


def find_exchanged_session(kit: Kit) -> PageSession | None:
    """Return the session of this tab, from an earlier exchange or from the code in the page's address.

    Raises: ApiUnavailable. The code then stays in the query, so that another try can succeed.
    """
    import streamlit as st

    if is_behind_front_door(kit.settings):
        return None
    code = st.query_params.get(AUTH_CODE, "")
    if code:
        session = exchange_code(kit, code, binding=_own_binding())
        del st.query_params[AUTH_CODE]
        if session is not None:
            st.session_state[_STATE_KEY] = session
            return session
    kept = st.session_state.get(_STATE_KEY)
    if not isinstance(kept, PageSession):
        return None
    if kept.ended.is_set() or kept.identity.expires_at <= time.time():
        forget_exchanged_session()
        return None
    return kept


def forget_exchanged_session() -> None:
    import streamlit as st

    if _STATE_KEY in st.session_state:
        del st.session_state[_STATE_KEY]


def exchange_code(kit: Kit, code: str, *, binding: str) -> PageSession | None:
    """Redeem `code`. None if it is not accepted, for any reason.

    Raises: ApiUnavailable, KitMisconfigured.
    """
    if not binding or len(code) > _MAX_CODE:
        log.warning("an auth code was not redeemed: %s", "no browser binding" if not binding else "too long")
        return None
    request = kit.http.build_request(
        "POST",
        kit.settings.auth_url + contract.PATH_KIT_EXCHANGE,
        json={"code": code, "binding": binding},
        headers={contract.HEADER_KIT: kit.settings.credential},
        timeout=transport.CONTROL_TIMEOUT,
    )
    response = transport.send(kit.http, request)
    if is_outage(response.status_code):
        raise unavailable(response)
    code_of_refusal = read_problem(response.headers, response.content).get("code", "")
    raise_for_credential(code_of_refusal, request_id=read_request_id(response.headers))
    if response.status_code != 200:
        log.warning("an auth code was not accepted: %d %s", response.status_code, code_of_refusal)
        return None
    return _parse_answer(response)


def _parse_answer(response: httpx.Response) -> PageSession:
    try:
        answer = _ExchangeAnswer.model_validate_json(response.content)
        routes = parse_routes(answer.routes)
    except (ValidationError, AssertionRejected) as exc:
        raise ApiUnavailable(code="exchange_malformed") from exc
    person = answer.identity
    identity = person.to_identity(iss=person.iss, expires_at=answer.expires_at, claims=person.claims)
    return PageSession(identity=identity, handle=answer.session_handle, routes=routes)


def _own_binding() -> str:
    import streamlit as st

    return _streamlit.browser_binding(st.context.cookies.get(contract.STREAMLIT_XSRF_COOKIE, ""))
