"""Shows what the front door tells this page about the person, and what the API read from its token."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pandas as pd
import streamlit as st

from streamlit_kit import Identity, KitError, prepare_client, require_login
from ui.asking import asking
from ui.look import duration, page_head


def show_badges(label: str, names: tuple[str, ...]) -> None:
    with st.container(horizontal=True, gap="xsmall", vertical_alignment="center"):
        st.markdown(f":gray[{label}]", width="content")
        for name in names:
            st.badge(name, color="primary")
        if not names:
            st.markdown("none", width="content")


def show_person(person: Identity) -> None:
    with st.container(border=True, height="stretch"):
        st.subheader(person.name or person.preferred_username or person.sub)
        if person.email:
            verified = " :material/verified:" if person.email_verified else ""
            st.markdown(f"{person.email}{verified}")
        show_badges("Roles", person.roles)
        show_badges("Groups", person.groups)


@st.fragment(run_every=1.0)
def show_session(expires_at: int, signed_in_at: int) -> None:
    left = expires_at - time.time()
    with st.container(border=True, height="stretch"):
        st.metric("Your session ends in", duration(left))
        whole = max(1, expires_at - signed_in_at)
        st.progress(min(1.0, max(0.0, left / whole)))
        st.caption(
            f"At {clock_time(expires_at)} at the latest. It ends earlier if you sign out, in this tab or another."
        )


@st.fragment(run_every=2.0)
def keep_asking() -> None:
    """Call the API every two seconds. The front door renews the token, and this page does not notice."""
    counts = st.session_state.setdefault("asked", {"answers": 0, "failures": 0})
    try:
        me = prepare_client().get("users/me").raise_for_status().json()
    except KitError:
        counts["failures"] += 1
    else:
        counts["answers"] += 1
        show_token(me["token_issued_at"], me["token_expires_at"])
    st.caption(f"{counts['answers']} answers, {counts['failures']} failures")


def show_token(issued_at: float, expires_at: float) -> None:
    st.markdown(f"Token issued at **{clock_time(issued_at)}**, valid until **{clock_time(expires_at)}**")


def clock_time(unix_seconds: float) -> str:
    return datetime.fromtimestamp(unix_seconds, UTC).strftime("%H:%M:%S UTC")


person = require_login()
page_head(
    "You",
    "Who am I?",
    "The browser holds one cookie and no token. This page gets your name and roles; the API gets a token of its own.",
)
left, right = st.columns(2, gap="medium")
with left:
    show_person(person)
with right:
    show_session(person.expires_at, person.auth_time)

st.subheader("What the API sees")
st.caption(
    "The identity provider (`iss` under Claims) tells the front door who you are. The front door (`issuer` here) "
    "tells the API. For this it makes its own token, which is valid for a minute."
)
with asking():
    me = prepare_client().get("users/me").raise_for_status().json()
with st.container(border=True):
    if st.toggle("Ask every two seconds", key="watch", bind="query-params"):
        keep_asking()
    else:
        show_token(me["token_issued_at"], me["token_expires_at"])
    st.dataframe(
        pd.DataFrame(
            [
                (name, ", ".join(value) if isinstance(value, list) else value)
                for name, value in me.items()
                if not name.startswith("token_")
            ],
            columns=["Field", "Value"],
        ),
        hide_index=True,
    )

st.subheader("Claims")
claims = {
    "sub": person.sub,
    "iss": person.iss,
    "provider": person.provider,
    "preferred_username": person.preferred_username,
    "acr": person.acr,
    **person.claims,
}
st.json({name: value for name, value in claims.items() if value not in ("", None)}, expanded=True)
