"""The fake provider's token endpoint and revocation."""

from __future__ import annotations

import base64
import hashlib
import secrets
from typing import Any

from .answers import Answer, JsonAnswer, ProtocolError
from .clients import Client
from .hits import Grant, Hit, Reuse
from .people import Login
from .provider_state import Code, ProviderState, RefreshFamily

EXCHANGE_GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:access_token"
JWT_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:jwt"
GRANT_TYPES = ("authorization_code", "refresh_token", "client_credentials", EXCHANGE_GRANT)


def issue_tokens(state: ProviderState, hit: Hit) -> Answer:
    """Answer a token request (RFC 6749 section 4.1.3, 6, 4.4; RFC 8693)."""
    client = _checked_client(state, hit)
    match hit.form.get("grant_type"):
        case "authorization_code":
            return _redeem_code(state, client, hit)
        case "refresh_token":
            return _refresh(state, client, hit)
        case "client_credentials":
            return _client_credentials(state, client, hit)
        case grant if grant == EXCHANGE_GRANT:
            return _exchange(state, client, hit)
        case _:
            raise ProtocolError("unsupported_grant_type")


def revoke(state: ProviderState, hit: Hit) -> Answer:
    """Revoke a refresh token's whole family or one access token; unknown tokens are fine (RFC 7009 section 2.2)."""
    client = _checked_client(state, hit)
    token = hit.form.get("token")
    if not token:
        raise ProtocolError("invalid_request", "token is missing")
    family = state.memory.families.get(token)
    if family is not None:
        if family.client_id != client.client_id:
            raise ProtocolError("invalid_grant", "token of another client")
        family.revoked = True
        return JsonAnswer({})
    claims = state.read_token(token)
    if claims is not None and isinstance(claims.get("jti"), str):
        state.memory.revoked_jti.add(claims["jti"])
    return JsonAnswer({})


def _checked_client(state: ProviderState, hit: Hit) -> Client:
    if hit.has_duplicates():
        raise ProtocolError("invalid_request", "duplicate parameter")
    if not hit.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        raise ProtocolError("invalid_request", "content-type")
    if {"client_secret", "client_assertion", "code", "refresh_token"} & set(hit.query):
        raise ProtocolError("invalid_request", "credentials in the query")
    return state.authenticator.authenticate(hit.headers, hit.form, issuer=state.issuer, now=state.clock())


def _redeem_code(state: ProviderState, client: Client, hit: Hit) -> Answer:
    code = state.memory.codes.get(hit.form.get("code", ""))
    if code is None or code.request.client_id != client.client_id:
        raise ProtocolError("invalid_grant", "unknown code")
    if code.used:
        if code.family is not None:
            code.family.revoked = True
        raise ProtocolError("invalid_grant", "code was used before")
    code.used = True
    _check_code(state, code, hit)
    login = state.memory.logins[code.sid]
    family = RefreshFamily(
        client_id=client.client_id,
        sub=login.sub,
        sid=login.sid,
        scope=code.request.scope,
        audience=code.request.audience,
        expires_at=state.clock() + state.options.refresh_token_lifetime,
    )
    code.family = family
    payload = _access_payload(state, hit, family.sub, client, family.scope, family.audience, sid=family.sid)
    is_offline = "offline_access" in family.scope.split() or not state.options.refresh_tokens_need_scope
    if state.options.issue_refresh_tokens and is_offline:
        payload["refresh_token"] = _next_refresh_token(state, family)
    payload["id_token"] = _id_token(state, hit, login, client, payload["access_token"], nonce=code.request.nonce)
    return JsonAnswer(payload)


def _check_code(state: ProviderState, code: Code, hit: Hit) -> None:
    if state.clock() > code.expires_at:
        raise ProtocolError("invalid_grant", "code expired")
    if hit.form.get("redirect_uri") != code.request.redirect_uri:
        raise ProtocolError("invalid_grant", "redirect_uri differs")
    digest = hashlib.sha256(hit.form.get("code_verifier", "").encode()).digest()
    if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != code.request.code_challenge:
        raise ProtocolError("invalid_grant", "code_verifier does not match")


def _refresh(state: ProviderState, client: Client, hit: Hit) -> Answer:
    presented = hit.form.get("refresh_token", "")
    family = state.memory.families.get(presented)
    if family is None or family.client_id != client.client_id:
        raise ProtocolError("invalid_grant", "unknown refresh token")
    if presented != family.tokens[-1]:
        family.revoked = True
        state.reuse_detected.append(Reuse(presented, client.client_id, family.sub, family.sid, state.clock()))
        raise ProtocolError("invalid_grant", "refresh token was used before; its family is revoked")
    if family.revoked or state.clock() > family.expires_at or state.person_by_sub(family.sub) is None:
        raise ProtocolError("invalid_grant", "refresh token revoked or expired")
    scope = hit.form.get("scope", family.scope)
    if not set(scope.split()) <= set(family.scope.split()):
        raise ProtocolError("invalid_scope", "wider than granted")
    audience = tuple(hit.form.getlist("audience") + hit.form.getlist("resource")) or family.audience
    payload = _access_payload(state, hit, family.sub, client, scope, audience, sid=family.sid)
    if state.options.rotate_refresh_tokens:
        payload["refresh_token"] = _next_refresh_token(state, family)
    if state.options.id_token_on_refresh:
        login = state.memory.logins[family.sid]
        payload["id_token"] = _id_token(state, hit, login, client, payload["access_token"], nonce="")
    return JsonAnswer(payload)


def _client_credentials(state: ProviderState, client: Client, hit: Hit) -> Answer:
    if client.auth_method == "none":
        raise ProtocolError("unauthorized_client", "public client")
    audience = tuple(hit.form.getlist("audience") + hit.form.getlist("resource"))
    scope = hit.form.get("scope", "")
    return JsonAnswer(_access_payload(state, hit, client.client_id, client, scope, audience))


def _exchange(state: ProviderState, client: Client, hit: Hit) -> Answer:
    if hit.form.get("subject_token_type") not in (ACCESS_TOKEN_TYPE, JWT_TOKEN_TYPE):
        raise ProtocolError("invalid_request", "subject_token_type")
    subject = live_access_token(state, hit.form.get("subject_token", ""))
    if subject is None:
        raise ProtocolError("invalid_grant", "subject_token is not a live access token")
    audience = tuple(hit.form.getlist("audience") + hit.form.getlist("resource"))
    allowed = client.exchange_audiences
    if allowed is not None and not set(audience) <= set(allowed):
        raise ProtocolError("invalid_target", "audience is not allowed")
    scope = hit.form.get("scope", str(subject.get("scope", "")))
    payload = _access_payload(state, hit, str(subject["sub"]), client, scope, audience)
    return JsonAnswer(payload | {"issued_token_type": ACCESS_TOKEN_TYPE})


def live_access_token(state: ProviderState, token: str) -> dict[str, Any] | None:
    """Return the claims of an access token of ours that is neither expired nor revoked."""
    claims = state.read_token(token)
    if claims is None or "client_id" not in claims or "sub" not in claims:
        return None
    expires = claims.get("exp")
    if not isinstance(expires, int | float) or state.clock() >= expires:
        return None
    return None if claims.get("jti") in state.memory.revoked_jti else claims


def _access_payload(
    state: ProviderState,
    hit: Hit,
    sub: str,
    client: Client,
    scope: str,
    audience: tuple[str, ...],
    *,
    sid: str = "",
) -> dict[str, Any]:
    claims = state.access_token_claims(sub=sub, client_id=client.client_id, scope=scope, audience=audience)
    token = state.sign(claims, state.bend.access_token, hit, alg=state.options.access_token_alg, typ="at+jwt")
    grant = Grant(
        grant_type=hit.form["grant_type"],
        client_id=client.client_id,
        sub=sub,
        sid=sid,
        scope=scope,
        audience=audience,
        refresh_token=hit.form.get("refresh_token", ""),
        access_token=str(token),
        at=state.clock(),
    )
    state.all_grants.append(grant)
    expires_in = int(state.options.access_token_lifetime)
    return {"access_token": token, "token_type": "Bearer", "expires_in": expires_in, "scope": scope}


def _id_token(state: ProviderState, hit: Hit, login: Login, client: Client, access_token: Any, *, nonce: str) -> Any:
    claims = state.id_token_claims(login, client_id=client.client_id, nonce=nonce, access_token=str(access_token))
    return state.sign(claims, state.bend.id_token, hit, alg=state.options.id_token_alg, typ="JWT")


def _next_refresh_token(state: ProviderState, family: RefreshFamily) -> str:
    token = state.issue(secrets.token_urlsafe(32))
    family.tokens.append(token)
    state.memory.families[token] = family
    return token
