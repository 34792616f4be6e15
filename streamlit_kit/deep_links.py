"""Addresses of the front door for links in a page, with the page and query that a person comes back to."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote, urlencode, urlsplit

from bff import contract
from streamlit_kit import _streamlit
from streamlit_kit.errors import KitMisconfigured
from streamlit_kit.settings import KitSettings

AUTH_CODE: Final = "auth_code"
_MAX_RETURN_TO: Final = 8192
_MARKERS: Final = (contract.HEADER_ASSERTION, contract.HEADER_SESSION, contract.HEADER_SUBJECT_KEY)


def current_location() -> str:
    """Return the absolute address of the page in the browser, with its query; "" if Streamlit does not know it."""
    import streamlit as st

    url = st.context.url
    if not url:
        return ""
    pairs = [(name, value) for name in st.query_params if name != AUTH_CODE for value in st.query_params.get_all(name)]
    return f"{url}?{urlencode(pairs, quote_via=quote)}" if pairs else url


def current_path() -> str:
    """Return path and query of the page for `return_to`; "/" if Streamlit does not know them."""
    return build_return_to(current_location())


def build_return_to(location: str) -> str:
    """Return path and query of an address. If they are longer than 8 KB, leave out the query: the page still opens."""
    url = urlsplit(location)
    path = url.path if url.path.startswith("/") and not url.path.startswith("//") else "/"
    full = f"{path}?{url.query}" if url.query else path
    if len(full) <= _MAX_RETURN_TO:
        return full
    return path if len(path) <= _MAX_RETURN_TO else "/"


def is_behind_front_door(settings: KitSettings) -> bool:
    """True if the browser reaches this page through the front door, so that links can stay on the page's origin."""
    import streamlit as st

    headers = st.context.headers
    if any(name in headers for name in _MARKERS):
        return True
    location = urlsplit(st.context.url or settings.public_base)
    public = urlsplit(settings.public_base)
    return (location.scheme, location.netloc.lower()) == (public.scheme, public.netloc.lower())


def login_url(settings: KitSettings) -> str:
    """Return where a person signs in and comes back from. A page elsewhere adds its client name and browser binding.

    Without a front door it is "", which means the page itself. The functions below do the same.

    Raises: KitMisconfigured for a page elsewhere, if its Streamlit sets no XSRF cookie to bind the sign-in to.
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
    """Return the address for signing out. GET shows a question first; POST signs out at once."""
    if not settings.has_front_door:
        return ""
    if is_behind_front_door(settings):
        return settings.public_auth_path + contract.PATH_LOGOUT
    return settings.public_base + settings.auth_path + contract.PATH_LOGOUT


def account_url(settings: KitSettings) -> str:
    """Return the address of the page where people see their own sessions."""
    if not settings.has_front_door:
        return ""
    if is_behind_front_door(settings):
        return settings.public_auth_path + contract.PATH_ACCOUNT
    return settings.public_base + settings.auth_path + contract.PATH_ACCOUNT
