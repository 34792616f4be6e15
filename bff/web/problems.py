"""The answer to an error: a page for navigations, problem+json (RFC 9457) for everything else."""

from __future__ import annotations

import json
from urllib.parse import urlencode

from bff import contract
from bff.errors import AuthError, CallbackRejected, FreshLoginRequired, InvalidToken, SignInLost
from bff.settings.public_urls import PublicUrls
from bff.web.pages import Page, render_page, status_title

DOCUMENTATION = "docs/errors.md#"
TITLES = {
    400: "That did not work",
    401: "Please sign in",
    403: "Not allowed",
    404: "Nothing here",
    421: "Wrong address",
    502: "The application does not answer",
    503: "Not available right now",
    504: "The application does not answer",
}
TITLES_BY_CODE = dict.fromkeys(("login_cancelled", "callback_denied"), "You are not signed in")
"""People who cancel get these words. The title of the status would sound like a fault."""


def login_url(urls: PublicUrls, return_to: str, *, provider: str = "", login_hint: str = "", prompt: str = "") -> str:
    """Return the path of the sign-in that comes back to `return_to`."""
    if urls.has_old_names:
        return f"{urls.base_path}{contract.OAUTH2_START}?" + urlencode({"rd": return_to})
    query = {"return_to": return_to, "provider": provider, "login_hint": login_hint, "prompt": prompt}
    return f"{urls.base_path}{urls.auth_path}{contract.PATH_LOGIN}?" + urlencode({k: v for k, v in query.items() if v})


def render_problem(
    error: AuthError, *, navigation: bool, request_id: str, urls: PublicUrls, return_to: str = "/"
) -> Page:
    """Return the answer for `error`. `return_to` is where signing in, or trying again, leads."""
    headers = [(name.lower(), value) for name, value in error.headers.items()]
    headers.append((contract.HEADER_REQUEST_ID.lower(), request_id))
    if error.status == 401:
        headers.append((contract.HEADER_REFUSED.lower(), error.code))
    if navigation:
        return _page(error, headers, request_id=request_id, urls=urls, return_to=return_to)
    body = {
        "type": DOCUMENTATION + error.code,
        "title": status_title(error.status),
        "status": error.status,
        "detail": error.message,
        "code": error.code,
        "request_id": request_id,
    }
    if error.status == 401:
        body["login_url"] = _sign_in_url(error, urls, return_to)
    headers += [
        ("content-type", "application/problem+json"),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
    ]
    return Page(error.status, headers, json.dumps(body).encode())


def _sign_in_url(error: AuthError, urls: PublicUrls, return_to: str) -> str:
    return login_url(urls, return_to, prompt="login" if isinstance(error, FreshLoginRequired) else "")


def _page(
    error: AuthError, headers: list[tuple[str, str]], *, request_id: str, urls: PublicUrls, return_to: str
) -> Page:
    actions = _actions(error, urls, return_to)
    is_lost = isinstance(error, SignInLost)
    title = (
        "You are signed in already"
        if is_lost
        else TITLES_BY_CODE.get(error.code) or TITLES.get(error.status, status_title(error.status))
    )
    return render_page(
        "error.html",
        status=error.status,
        headers=headers,
        title=title,
        message=error.message,
        actions=actions,
        code=error.code,
        request_id=request_id,
        is_fault=error.status >= 500 or (error.status == 400 and not error.is_ordinary),
        is_calm=is_lost or error.code in TITLES_BY_CODE,
    )


def _actions(error: AuthError, urls: PublicUrls, return_to: str) -> list[dict[str, str]]:
    """Return what the person can do, the most likely action first."""
    sign_in = {"href": _sign_in_url(error, urls, return_to), "label": "Sign in"}
    start = urls.base_path + "/"
    home = [{"href": start, "label": "Go to the start page"}] if return_to != start else []
    auth = urls.base_path + urls.auth_path
    match error.status:
        case 400 if error.code == "unknown_provider":
            return [sign_in, *home]
        case 400 if isinstance(error, SignInLost):
            return [{"href": return_to, "label": "Go on"}]
        case 400 if isinstance(error, CallbackRejected | InvalidToken):
            return [{**sign_in, "label": "Try again"}]
        case 401:
            return [sign_in]
        case 403:
            account = [{"href": auth + contract.PATH_ACCOUNT, "label": "Your account"}]
            sign_out = {"href": urls.logout_path, "label": "Sign out"}
            return [*home, *([] if urls.has_old_names else account), sign_out]
        case 404:
            return [{"href": start, "label": "Go to the start page"}]
        case 421:
            return [{"href": urls.base + "/", "label": f"Go to {urls.base}"}]
        case 502 | 503 | 504:
            return [{"href": return_to, "label": "Try again"}]
        case 500:
            return [{"href": return_to, "label": "Try again"}, *home]
        case _:
            return [{"href": start, "label": "Go to the start page"}]
