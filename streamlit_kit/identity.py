"""Find out who is signed in on this page: from handshake headers behind the front door, from a code elsewhere."""

from __future__ import annotations

import logging
import time
from typing import Final

from bff import contract
from bff.contract import Identity as Identity
from streamlit_kit import _streamlit, exchange
from streamlit_kit.assertion import AssertionRejected, Expected, PageSession, read_assertion
from streamlit_kit.development import find_development_session
from streamlit_kit.errors import OutsidePage
from streamlit_kit.runtime import Kit, current_kit
from streamlit_kit.whole_identity import fetch_whole, with_answer

log = logging.getLogger(__name__)

_HANDSHAKE: Final = (contract.HEADER_ASSERTION, contract.HEADER_SESSION)


def current_user() -> Identity | None:
    """Return the person who is signed in on this page, or None.

    Raises: KitMisconfigured; OutsidePage in a plain thread; ApiUnavailable when the front door cannot be asked for its
    keys, or for groups that did not fit into the handshake, since nobody is taken for a stranger because of an outage.
    """
    session = find_session(current_kit())
    return session.identity if session is not None else None


def find_session(kit: Kit) -> PageSession | None:
    """Return the page's session, verified in each run: nothing about a person outlives the run."""
    if kit.find_session is not None:
        return kit.find_session()
    if not _streamlit.page_session_id():
        raise OutsidePage
    if kit.development is not None:
        return find_development_session(kit.development)
    values = _read_handshake()
    if values is None:
        return exchange.find_exchanged_session(kit)
    try:
        session = read_assertion(
            *values,
            find_key=kit.keys.find,
            expected=Expected(client=kit.settings.client, issuer=kit.settings.public_url),
            now=time.time(),
        )
        return _whole(kit, session, assertion=values[0]) if session.omitted else session
    except AssertionRejected as exc:
        log.warning("the handshake of a page was not accepted: %s", exc.code)
        return None


def _whole(kit: Kit, session: PageSession, *, assertion: str) -> PageSession | None:
    """The session with what did not fit into its handshake; None when it is over.

    Raises: ApiUnavailable; AssertionRejected for an answer that is not acceptable.
    """
    answer = kit.whole.find(
        assertion,
        lambda: fetch_whole(session, auth_url=kit.settings.auth_url, credential=kit.settings.credential, http=kit.http),
    )
    return with_answer(session, answer) if answer is not None else None


def _read_handshake() -> tuple[str, str] | None:
    """Return assertion and handle; None if both are missing. A header that came twice counts as forged."""
    import streamlit as st

    headers = st.context.headers
    values = [headers.get_all(name) for name in _HANDSHAKE]
    if any(len(value) > 1 for value in values):
        log.warning("the handshake of a page carried a header twice")
        return None
    assertion, handle = ("".join(value) for value in values)
    return (assertion, handle) if assertion else None
