"""Vestibule's kit for Streamlit pages: who is signed in, what they may see, and an API client in one line.

In a page:

    from streamlit_kit import prepare_client, require_login

    person = require_login()
    client = prepare_client()
    me = client.get("users/me").raise_for_status().json()
"""

from __future__ import annotations

from streamlit_kit.client import ApiClient, prepare_client
from streamlit_kit.errors import (
    ApiUnavailable,
    ClientOfAnotherPage,
    Forbidden,
    KitError,
    KitMisconfigured,
    LoginRequired,
    OutsidePage,
)
from streamlit_kit.guards import login_button, login_link, logout_button, require_login, require_role, show_problem
from streamlit_kit.identity import Identity, current_user
from streamlit_kit.navigation import ChosenPage, Page, pages
from streamlit_kit.response import ApiError, ApiResponse, ApiStream
from streamlit_kit.state import PageState, page_state
from streamlit_kit.tokens import auth_headers

__all__ = [
    "ApiClient",
    "ApiError",
    "ApiResponse",
    "ApiStream",
    "ApiUnavailable",
    "ChosenPage",
    "ClientOfAnotherPage",
    "Forbidden",
    "Identity",
    "KitError",
    "KitMisconfigured",
    "LoginRequired",
    "OutsidePage",
    "Page",
    "PageState",
    "auth_headers",
    "current_user",
    "login_button",
    "login_link",
    "logout_button",
    "page_state",
    "pages",
    "prepare_client",
    "require_login",
    "require_role",
    "show_problem",
]
