"""Addresses of the front door for links in a page, and the way back to the very page and query a person is on."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote, urlencode, urlsplit

from bff import contract
from streamlit_kit import _streamlit
from streamlit_kit.errors import KitMisconfigured
from streamlit_kit.settings import KitSettings

AUTH_CODE: Final = "auth_code"
_MAX_RETURN_TO: Final = 2048
_MARKERS: Final = (contract.HEADER_ASSERTION, contract.HEADER_SESSION, contract.HEADER_SUBJECT_KEY)


def current_location() -> str:
    """Absolute address of the page in the browser, with its query; "" where Streamlit does not know it."""
    import streamlit as st

    url = st.context.url
    if not url:
        return ""
    pairs = [(name, value) for name in st.query_params if name != AUTH_CODE for value in st.query_params.get_all(name)]
    return f"{url}?{urlencode(pairs, quote_via=quote)}" if pairs else url


def current_path() -> str:
    """Path and query of the page, fit for `return_to`; "/" where Streamlit does not know them."""
    return build_return_to(current_location())


def build_return_to(location: str) -> str:
    """Cut an address to path and query. One longer than 2 KB loses its query: the page is worth more than nothing."""
    url = urlsplit(location)
    path = url.path if url.path.startswith("/") and not url.path.startswith("//") else "/"
    full = f"{path}?{url.query}" if url.query else path
    if len(full) <= _MAX_RETURN_TO:
        return full
    return path if len(path) <= _MAX_RETURN_TO else "/"


def is_behind_front_door(settings: KitSettings) -> bool:
    """Whether the browser reaches this page through the front door, so that links to it stay on the page's origin."""
    import streamlit as st

    headers = st.context.headers
    if any(name in headers for name in _MARKERS):
        return True
    location = urlsplit(st.context.url or settings.public_base)
    public = urlsplit(settings.public_base)
    return (location.scheme, location.netloc.lower()) == (public.scheme, public.netloc.lower())


def login_url(settings: KitSettings) -> str:
    """Where a person signs in and comes back from; for a page elsewhere, with its client name and browser binding.

    Without a front door it is "", as are the others below: the page itself.

    Raises: KitMisconfigured for a page elsewhere whose Streamlit sets no XSRF cookie to bind the sign-in to.
    """
    import streamlit as st

    if not settings.has_front_door:
        return ""
    if is_behind_front_door(settings):
        return f"{settings.public_auth_path}{contract.PATH_LOGIN}?return_to={quote(current_path(), safe='/')}"
    binding = _streamlit.browser_binding(st.context.cookies.get(contract.STREAMLIT_XSRF_COOKIE, ""))
    if not binding:
        raise KitMisconfigured(
            "Signing in to a page that is not behind the front door needs Streamlit's XSRF protection: "
            "leave server.enableXsrfProtection on."
        )
    query = urlencode({"kit": settings.client, "binding": binding, "return_to": current_location()})
    return f"{settings.public_base}{settings.auth_path}{contract.PATH_LOGIN}?{query}"


def logout_url(settings: KitSettings) -> str:
    """The confirmation page for signing out by GET, and the target of the POST that needs none."""
    if not settings.has_front_door:
        return ""
    if is_behind_front_door(settings):
        return settings.public_auth_path + contract.PATH_LOGOUT
    return settings.public_base + settings.auth_path + contract.PATH_LOGOUT


def account_url(settings: KitSettings) -> str:
    """The person's own page about the session."""
    if not settings.has_front_door:
        return ""
    if is_behind_front_door(settings):
        return settings.public_auth_path + contract.PATH_ACCOUNT
    return settings.public_base + settings.auth_path + contract.PATH_ACCOUNT
