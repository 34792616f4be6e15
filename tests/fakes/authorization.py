"""The fake provider's authorization endpoint, its sign-in page, and pushed authorization requests."""

from __future__ import annotations

import html
import re
import secrets
from collections.abc import Mapping
from typing import Literal

from .answers import NO_STORE, Answer, HtmlAnswer, JsonAnswer, ProtocolError, RedirectAnswer, error_page
from .hits import Hit
from .people import Login, Person
from .provider_state import AuthorizationRequest, Code, ProviderState

REMEMBER_COOKIE = "fake_provider_session"
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_PAR_URN = "urn:ietf:params:oauth:request_uri:"


def push_request(state: ProviderState, hit: Hit) -> Answer:
    """Store a pushed authorization request (RFC 9126 section 2)."""
    client = state.authenticator.authenticate(hit.headers, hit.form, issuer=state.issuer, now=state.clock())
    if "request_uri" in hit.form:
        raise ProtocolError("invalid_request", "request_uri in a pushed request")
    params = {name: value for name, value in hit.form.items() if not name.startswith("client_assertion")}
    params.pop("client_secret", None)
    params["client_id"] = client.client_id
    request = _read(state, params)
    if isinstance(request, HtmlAnswer):
        raise ProtocolError("invalid_request", "client or redirect_uri")
    _check(request, params)
    uri = _PAR_URN + secrets.token_urlsafe(16)
    state.memory.par_requests[uri] = (params, state.clock() + 60)
    return JsonAnswer({"request_uri": uri, "expires_in": 60}, 201)


def authorize(state: ProviderState, hit: Hit) -> Answer:
    """Answer an authorization request: a page, a redirect back, or an error page when there is nowhere to go back."""
    if hit.has_duplicates():
        return error_page("duplicate parameter")
    params = _effective_params(state, hit)
    if isinstance(params, HtmlAnswer):
        return params
    request = _read(state, params)
    if isinstance(request, HtmlAnswer):
        return request
    try:
        _check(request, params)
    except ProtocolError as error:
        return _back(state, request, {"error": error.error, "error_description": error.description})
    login = _current_login(state, request, hit)
    if login is not None:
        return _with_code(state, request, login)
    if request.prompt == "none":
        return _back(state, request, {"error": "login_required"})
    return _sign_in_page(state, request)


def sign_in(state: ProviderState, hit: Hit) -> Answer:
    """Take the answer of the sign-in page."""
    request = state.memory.interactions.pop(hit.form.get("interaction", ""), None)
    if request is None:
        return error_page("unknown or used interaction")
    person = state.people.get(hit.form.get("person", ""))
    if person is None:
        return _back(state, request, {"error": "access_denied", "error_description": "cancelled"})
    return _with_code(state, request, state.open_login(person))


def _effective_params(state: ProviderState, hit: Hit) -> Mapping[str, str] | HtmlAnswer:
    uri = hit.query.get("request_uri")
    if uri is None:
        return error_page("a pushed request is required") if state.options.require_par else hit.query
    params, expires_at = state.memory.par_requests.pop(uri, ({}, 0.0))
    if state.clock() > expires_at or params.get("client_id") != hit.query.get("client_id"):
        return error_page("unknown, used or expired request_uri")
    return params


def _read(state: ProviderState, params: Mapping[str, str]) -> AuthorizationRequest | HtmlAnswer:
    client = state.clients.get(params.get("client_id", ""))
    if client is None:
        return error_page("unknown client")
    redirect_uri = params.get("redirect_uri", "")
    if not redirect_uri or (client.redirect_uris is not None and redirect_uri not in client.redirect_uris):
        return error_page("redirect_uri is not registered")
    return AuthorizationRequest(
        client_id=client.client_id,
        redirect_uri=redirect_uri,
        state=params.get("state", ""),
        nonce=params.get("nonce", ""),
        scope=params.get("scope", ""),
        code_challenge=params.get("code_challenge", ""),
        response_mode=params.get("response_mode", "query"),
        prompt=params.get("prompt", ""),
        audience=tuple(params[name] for name in ("audience", "resource") if params.get(name)),
    )


def _check(request: AuthorizationRequest, params: Mapping[str, str]) -> None:
    if params.get("response_type") != "code":
        raise ProtocolError("unsupported_response_type")
    if "openid" not in request.scope.split():
        raise ProtocolError("invalid_scope", "openid is missing")
    if params.get("code_challenge_method") != "S256" or not _CHALLENGE.fullmatch(request.code_challenge):
        raise ProtocolError("invalid_request", "PKCE with S256 is required")
    if request.response_mode not in ("query", "form_post"):
        raise ProtocolError("invalid_request", "response_mode")


def _current_login(state: ProviderState, request: AuthorizationRequest, hit: Hit) -> Login | None:
    if state.options.auto_login:
        return state.open_login(state.people[state.options.auto_login])
    if not state.options.remember_browser or request.prompt == "login":
        return None
    cookies = dict(part.strip().partition("=")[::2] for part in hit.headers.get("cookie", "").split(";"))
    login = state.memory.logins.get(cookies.get(REMEMBER_COOKIE, ""))
    return login if login is not None and not login.ended else None


def _with_code(state: ProviderState, request: AuthorizationRequest, login: Login) -> RedirectAnswer:
    code = state.issue(secrets.token_urlsafe(24))
    login.client_ids.add(request.client_id)
    state.memory.codes[code] = Code(request, login.sid, state.clock() + state.options.code_lifetime)
    remember = (("set-cookie", f"{REMEMBER_COOKIE}={login.sid}; Path=/; HttpOnly; SameSite=Lax"),)
    return _back(state, request, {"code": code}, remember if state.options.remember_browser else ())


def _back(
    state: ProviderState,
    request: AuthorizationRequest,
    payload: dict[str, str],
    headers: tuple[tuple[str, str], ...] = (),
) -> RedirectAnswer:
    if request.state:
        payload["state"] = request.state
    if state.options.send_iss:
        payload["iss"] = state.issuer
    mode: Literal["query", "form_post"] = "form_post" if request.response_mode == "form_post" else "query"
    return RedirectAnswer(request.redirect_uri, payload, mode, (*NO_STORE, *headers))


def _button(person: Person) -> str:
    name = html.escape(person.username)
    return f'<button id="person-{name}" name="person" value="{name}">{html.escape(person.name)}</button>'


def _sign_in_page(state: ProviderState, request: AuthorizationRequest) -> HtmlAnswer:
    interaction = secrets.token_urlsafe(16)
    state.memory.interactions[interaction] = request
    buttons = "\n".join(_button(person) for person in state.people.values() if person.enabled)
    return HtmlAnswer(
        "<!doctype html><html lang=en><title>Fake provider: sign in</title><h1>Who are you?</h1>"
        f'<form id="sign-in" method="post" action="{html.escape(state.base)}/sign-in">'
        f'<input type="hidden" name="interaction" value="{interaction}">\n{buttons}\n'
        '<button id="cancel" name="person" value="">Cancel</button></form></html>'
    )
