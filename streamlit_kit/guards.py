"""Guards that decide who may see the rest of a page. Each returns the person, or shows a panel and stops the run."""

from __future__ import annotations

from typing import NoReturn

from bff import contract
from bff.contract import Identity
from streamlit_kit import deep_links, panels
from streamlit_kit.errors import ApiUnavailable, Forbidden, KitError, LoginRequired
from streamlit_kit.identity import current_user, find_session
from streamlit_kit.response import ApiError
from streamlit_kit.runtime import current_kit


def require_login(message: str = "") -> Identity:
    """Return the person, or show a sign-in panel with `message` and stop.

    Raises: KitMisconfigured, OutsidePage.
    """
    identity = current_user_or_stop()
    if identity is None:
        _stop_with(panels.build_signed_out(_login_url(), message=message, accent=_accent()))
    return identity


def require_role(*roles: str) -> Identity:
    """Return the person if they have at least one of `roles`. Otherwise show who they are and what is missing.

    The run then stops. A person who is not signed in gets the sign-in panel.

    Raises: KitMisconfigured, OutsidePage; ValueError without a role, which would let everybody in or nobody.
    """
    if not roles or not all(roles):
        raise ValueError("name the roles that may see this")
    identity = require_login()
    if identity.has_role(*roles):
        return identity
    settings = current_kit().settings
    _stop_with(
        panels.build_forbidden(
            identity,
            roles,
            account_url=deep_links.account_url(settings),
            logout_url=deep_links.logout_url(settings),
            accent=_accent(),
        )
    )


def show_problem(error: KitError) -> None:
    """Show an error of the kit as a panel: sign in, not allowed and why, out of reach, or failed. The run goes on."""
    import streamlit as st

    match error:
        case LoginRequired():
            body = panels.build_signed_out(
                error.login_url or _login_url(), message="Your session is over. Please sign in again.", accent=_accent()
            )
        case Forbidden():
            settings = current_kit().settings
            session = find_session(current_kit())
            body = panels.build_refused(
                session.identity if session is not None else None,
                reason=error.reason,
                request_id=error.request_id,
                account_url=deep_links.account_url(settings),
                accent=_accent(),
            )
        case ApiUnavailable(code=contract.CODE_API_NOT_RUNNING) if error.reason:
            body = panels.build_broken_api(error.reason, accent=_accent())
        case ApiUnavailable():
            body = panels.build_unavailable(
                error.message, reason=error.reason, request_id=error.request_id, accent=_accent()
            )
        case _:
            body = panels.build_failed(
                error.message,
                reason=error.reason if isinstance(error, ApiError) else "",
                code=error.status or 500,
                request_id=error.request_id,
                accent=_accent(),
            )
    st.html(body)


def login_link(label: str = "Sign in") -> None:
    """Show a link that signs in, in the same tab, and comes back to this page and query."""
    _show(panels.build_login_link(_login_url(), label, as_button=False, accent=_accent()))


def login_button(label: str = "Sign in") -> None:
    """Show `login_link` as a button. It is a real link, so a click causes no run of the page."""
    _show(panels.build_login_link(_login_url(), label, as_button=True, accent=_accent()))


def logout_button(label: str = "Sign out", *, everywhere: bool = False, key: str | None = None) -> None:
    """Show a button that signs the person out, here or `everywhere`. Without a signed-in person it shows nothing.

    The click posts a form to the front door from the page's own origin, so the front door does not ask again. A page
    that is not behind the front door goes to the confirmation page there instead. A page in development, without a
    front door, shows nothing.
    """
    import streamlit as st

    kit = current_kit()
    if not kit.settings.has_front_door or not _may_be_signed_in():
        return
    url = deep_links.logout_url(kit.settings)
    if not deep_links.is_behind_front_door(kit.settings):
        _show(panels.build_login_link(url, label, as_button=True, accent=_accent()))
    elif st.button(label, key=key):
        st.html(panels.build_logout_form(url, everywhere=everywhere), unsafe_allow_javascript=True)


def current_user_or_stop() -> Identity | None:
    """Return `current_user()`. If the front door cannot be asked, show a panel and stop."""
    try:
        return current_user()
    except ApiUnavailable as exc:
        _stop_with(panels.build_unavailable(exc.message, request_id=exc.request_id, accent=_accent()))


def _may_be_signed_in() -> bool:
    # During an outage the page cannot know whether somebody is signed in, but they must be able to sign out.
    try:
        return current_user() is not None
    except ApiUnavailable:
        return True


def _login_url() -> str:
    return deep_links.login_url(current_kit().settings)


def _accent() -> str:
    import streamlit as st

    return st.get_option("theme.primaryColor") or ""


def _show(html: str) -> None:
    import streamlit as st

    st.html(html)


def _stop_with(html: str) -> NoReturn:
    import streamlit as st

    st.html(html)
    st.stop()
