"""The fake provider as an ASGI app: routes, recording, and the machinery that applies the bends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.datastructures import ImmutableMultiDict
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from .answers import Answer, HtmlAnswer, JsonAnswer, ProtocolError, RedirectAnswer, Rendered, error_answer, error_page
from .authorization import authorize, push_request, sign_in
from .background import TRANSPORT_KEY
from .bends import EndpointBend, Override, Plan
from .clients import detect_auth_methods
from .hits import Hit
from .provider_state import ProviderState
from .token_endpoint import GRANT_TYPES, issue_tokens, live_access_token, revoke

Handler = Callable[[ProviderState, Hit], Answer]
_WITH_CLIENT_AUTH = ("par", "token", "revocation")


def build_provider_app(state: ProviderState, path: str) -> Starlette:
    """Build the app below `path` ("/realms/corp" or "")."""
    table: list[tuple[str, str, list[str], Handler]] = [
        ("discovery", "/.well-known/openid-configuration", ["GET"], discovery),
        ("jwks", "/jwks", ["GET"], jwks),
        ("authorization", "/authorize", ["GET"], authorize),
        ("sign_in", "/sign-in", ["POST"], sign_in),
        ("par", "/par", ["POST"], push_request),
        ("token", "/token", ["POST"], issue_tokens),
        ("userinfo", "/userinfo", ["GET", "POST"], userinfo),
        ("revocation", "/revoke", ["POST"], revoke),
        ("end_session", "/end-session", ["GET", "POST"], end_session),
    ]
    routes = [
        Route(path + suffix, Endpoint(name, methods, handler, state), methods=None)
        for name, suffix, methods, handler in table
    ]
    app = Starlette(routes=routes)
    app.router.redirect_slashes = False
    app.router.default = Endpoint("unknown", [], _not_found, state)
    return app


def discovery(state: ProviderState, hit: Hit) -> Answer:
    """OpenID Connect Discovery 1.0 section 3."""
    base = state.base
    auth_methods = ["client_secret_basic", "client_secret_post", "private_key_jwt", "none"]
    return JsonAnswer(
        {
            "issuer": state.issuer,
            "authorization_endpoint": f"{base}/authorize",
            "token_endpoint": f"{base}/token",
            "userinfo_endpoint": f"{base}/userinfo",
            "jwks_uri": f"{base}/jwks",
            "revocation_endpoint": f"{base}/revoke",
            "end_session_endpoint": f"{base}/end-session",
            "pushed_authorization_request_endpoint": f"{base}/par",
            "require_pushed_authorization_requests": state.options.require_par,
            "scopes_supported": ["openid", "profile", "email", "offline_access"],
            "response_types_supported": ["code"],
            "response_modes_supported": ["query", "form_post"],
            "grant_types_supported": list(GRANT_TYPES),
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "PS256", "ES256", "EdDSA"],
            "token_endpoint_auth_methods_supported": auth_methods,
            "revocation_endpoint_auth_methods_supported": auth_methods,
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": state.options.send_iss,
            "backchannel_logout_supported": True,
            "backchannel_logout_session_supported": True,
        },
        headers=(),
    )


def jwks(state: ProviderState, hit: Hit) -> Answer:
    state.keys.active(state.options.id_token_alg)
    state.keys.active(state.options.access_token_alg)
    return JsonAnswer(state.keys.jwks(decoys=state.options.jwks_decoys), headers=())


def userinfo(state: ProviderState, hit: Hit) -> Answer:
    """Core section 5.3; the bearer token counts only in the header."""
    if "access_token" in hit.query or "access_token" in hit.form:
        raise ProtocolError("invalid_request", "token outside the header")
    scheme, _, token = hit.headers.get("authorization", "").partition(" ")
    claims = live_access_token(state, token) if scheme.lower() == "bearer" else None
    if claims is None:
        raise ProtocolError("invalid_token", status=401, challenge='Bearer error="invalid_token"')
    if "openid" not in str(claims.get("scope", "")).split():
        raise ProtocolError("insufficient_scope", status=403, challenge='Bearer error="insufficient_scope"')
    person = state.person_by_sub(claims["sub"])
    if person is None:
        raise ProtocolError("invalid_token", status=401, challenge='Bearer error="invalid_token"')
    return JsonAnswer(person.claims())


def end_session(state: ProviderState, hit: Hit) -> Answer:
    """RP-Initiated Logout 1.0 section 2: end the hinted session, go back only to an exactly registered URI."""
    params = hit.form if hit.method == "POST" else hit.query
    if hit.has_duplicates():
        return error_page("duplicate parameter")
    if state.options.cognito_sign_out:
        return _cognito_sign_out(state, hit)
    client_id = params.get("client_id", "")
    if "id_token_hint" in params:
        claims = state.read_token(params["id_token_hint"])
        if claims is None or claims.get("iss") != state.issuer:
            return error_page("id_token_hint is not ours")
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        client_id = client_id or str(audiences[0])
        if client_id not in audiences:
            return error_page("id_token_hint is for another client")
        state.end_login(str(claims.get("sid", "")))
    back = params.get("post_logout_redirect_uri")
    if back is None:
        return HtmlAnswer("<!doctype html><title>Signed out</title><h1 id=signed-out>Signed out</h1>")
    client = state.clients.get(client_id)
    if client is None or back not in client.post_logout_redirect_uris:
        return error_page("post_logout_redirect_uri is not registered")
    return RedirectAnswer(back, {"state": params["state"]} if "state" in params else {})


def _cognito_sign_out(state: ProviderState, hit: Hit) -> Answer:
    """Amazon Cognito's own request: it ends the sign-in of the browser, whoever that is, and knows no hint."""
    if hit.method != "GET" or hit.query.keys() != {"client_id", "logout_uri"}:
        return error_page("Required String parameter 'logout_uri' is not present")
    client = state.clients.get(hit.query["client_id"])
    if client is None or hit.query["logout_uri"] not in client.post_logout_redirect_uris:
        return error_page("logout_uri is not an allowed sign-out URL")
    for sid in list(state.memory.logins):
        state.end_login(sid)
    return RedirectAnswer(hit.query["logout_uri"], {})


def _not_found(state: ProviderState, hit: Hit) -> Answer:
    return JsonAnswer({"error": "not_found"}, 404)


class Endpoint:
    """One endpoint as an ASGI app: record, bend, handle, bend again, send."""

    def __init__(self, name: str, methods: list[str], handler: Handler, state: ProviderState) -> None:
        self._name = name
        self._methods = methods
        self._handler = handler
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        hit = await self._read_hit(Request(scope, receive))
        self._state.hit_log.add(hit)
        bend = self._bend()
        plan = bend.plan(hit) if bend is not None and self._name != "sign_in" else Plan()
        await _wait(plan)
        override = plan.override
        if override is None or override.process:
            rendered = self._handle(hit, bend)
        if override is None:
            await _send(send, rendered, plan)
        elif override.rendered is not None:
            await _send(send, override.rendered, plan)
        else:
            if override.drop_after:
                await _send_part(send, rendered, override.drop_after)
            await _cut(scope, receive, override)

    def _bend(self) -> EndpointBend | None:
        # The sign-in form is the second half of the authorization endpoint: it shares the transforms.
        name = "authorization" if self._name == "sign_in" else self._name
        return None if name == "unknown" else self._state.bend.of(name)

    async def _read_hit(self, request: Request) -> Hit:
        body = await request.body()
        content_type = request.headers.get("content-type", "")
        is_form = content_type.startswith("application/x-www-form-urlencoded")
        pairs = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True) if is_form else []
        form = ImmutableMultiDict[str, str](pairs)
        uses_client_auth = self._name in _WITH_CLIENT_AUTH
        return Hit(
            endpoint=self._name,
            method=request.method,
            path=request.url.path,
            query=ImmutableMultiDict[str, str](request.query_params.multi_items()),
            headers=request.headers,
            form=form,
            body=body,
            client_auth="+".join(detect_auth_methods(request.headers, form)) if uses_client_auth else "",
            at=self._state.clock(),
        )

    def _handle(self, hit: Hit, bend: EndpointBend | None) -> Rendered:
        if self._methods and hit.method not in self._methods:
            return JsonAnswer({"error": "method_not_allowed"}, 405).render()
        try:
            answer = self._handler(self._state, hit)
        except ProtocolError as error:
            answer = error_answer(error)
        if bend is not None and not isinstance(answer, HtmlAnswer):
            answer = answer.bent(bend.transform(answer.payload, hit))
        return answer.render()


async def _wait(plan: Plan) -> None:
    if plan.gate is not None:
        await plan.gate.pass_through()
    if plan.delay:
        await asyncio.sleep(plan.delay)


def _start(rendered: Rendered) -> dict[str, Any]:
    status, headers, body = rendered
    pairs = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    if b"content-length" not in dict(pairs):
        pairs.append((b"content-length", str(len(body)).encode()))
    return {"type": "http.response.start", "status": status, "headers": pairs}


async def _send(send: Send, rendered: Rendered, plan: Plan) -> None:
    await send(_start(rendered))
    body = rendered[2]
    if plan.drip is None:
        await send({"type": "http.response.body", "body": body})
        return
    for offset in range(0, len(body), plan.drip.chunk):
        part = body[offset : offset + plan.drip.chunk]
        await send({"type": "http.response.body", "body": part, "more_body": True})
        await asyncio.sleep(plan.drip.every)
    await send({"type": "http.response.body", "body": b""})


async def _send_part(send: Send, rendered: Rendered, size: int) -> None:
    await send(_start(rendered))
    await send({"type": "http.response.body", "body": rendered[2][:size], "more_body": True})
    await asyncio.sleep(0.05)


async def _cut(scope: Scope, receive: Receive, override: Override) -> None:
    transport = scope[TRANSPORT_KEY]
    if override.wire is not None:
        transport.write(override.wire)
        transport.close()
    else:
        transport.abort()
    while (await receive())["type"] != "http.disconnect":
        pass
