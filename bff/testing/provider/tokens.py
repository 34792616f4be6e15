"""The endpoints that a client's server calls: token, revocation, userinfo."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Iterable
from typing import Any

from bff.testing.provider.grants import Grant
from bff.testing.provider.messages import Refused, Reply, Request, json_reply
from bff.testing.provider.state import ProviderState

ACCESS_TOKEN_TYPE = "at+jwt"


class TokenEndpoints:
    """The endpoints for tokens."""

    def __init__(self, state: ProviderState) -> None:
        self._state = state

    def token(self, request: Request) -> Reply:
        """RFC 6749, sections 4.1.3 and 6: exchange a code or a refresh token for tokens."""
        self._state.client.check_secret(request)
        match request.form.get("grant_type"):
            case "authorization_code":
                return self._tokens(*self._of_code(request))
            case "refresh_token":
                return self._tokens(*self._of_refresh_token(request))
        raise Refused(400, "unsupported_grant_type", "use authorization_code or refresh_token")

    def revoke(self, request: Request) -> Reply:
        """RFC 7009: a refresh token or an access token ends its whole grant. An unknown token changes nothing."""
        self._state.client.check_secret(request)
        if not (token := request.form.get("token")):
            raise Refused(400, "invalid_request", "token is missing")
        grants = self._state.grants
        if grant := grants.of_refresh_token(token):
            grants.revoke(grant.id)
        elif claims := self._state.keys.read(token, typ=ACCESS_TOKEN_TYPE):
            grants.revoke(_grant_id(claims))
        return json_reply({})

    def userinfo(self, request: Request) -> Reply:
        """OpenID Connect Core, section 5.3: return the claims of the person who has this access token."""
        scheme, _, token = request.authorization.partition(" ")
        claims = self._state.keys.read(token, typ=ACCESS_TOKEN_TYPE) if scheme.lower() == "bearer" else None
        if claims is None or claims["exp"] <= self._state.clock():
            raise Refused(401, "invalid_token", "no valid access token", challenge="Bearer")
        grant_id, person = _grant_id(claims), self._state.people.get(claims["sub"])
        if person is None or (grant_id and not self._state.grants.is_good(grant_id)):
            raise Refused(401, "invalid_token", "the access token was revoked", challenge="Bearer")
        return json_reply(person.claims())

    def sign_access_token(
        self, sub: str, /, *, audience: str = "", scopes: Iterable[str] = (), grant_id: str = "", **claims: Any
    ) -> str:
        """Return an RFC 9068 access token. `claims` replace or add claims."""
        state = self._state
        own = {
            "aud": audience or state.audience,
            "client_id": state.client.client_id,
            "jti": f"{grant_id}.{secrets.token_hex(8)}",
            "scope": " ".join(scopes),
        }
        return state.sign(state.people[sub].claims() | own | claims, typ=ACCESS_TOKEN_TYPE)

    def _of_code(self, request: Request) -> tuple[Grant, str, str]:
        form = request.form
        grant = self._state.grants.redeem(
            form.get("code", ""),
            redirect_uri=form.get("redirect_uri", ""),
            code_verifier=form.get("code_verifier", ""),
            now=self._state.clock(),
        )
        if grant is None:
            raise Refused(400, "invalid_grant", "the code was used, is too old, or is not for this verifier or address")
        return grant, grant.scope, grant.nonce

    def _of_refresh_token(self, request: Request) -> tuple[Grant, str, str]:
        """Refresh tokens. A refresh keeps or narrows the scope; its ID token has no nonce."""
        token, grants = request.form.get("refresh_token", ""), self._state.grants
        known = grants.of_refresh_token(token)
        scope = request.form.get("scope") or (known.scope if known else "")
        if known and not set(scope.split()) <= set(known.scope.split()):
            raise Refused(400, "invalid_scope", "a refresh cannot ask for more than was granted")
        grant = grants.spend(token)
        if grant is None:
            raise Refused(400, "invalid_grant", "the refresh token was used before, revoked, or never given out")
        return grant, scope, ""

    def _tokens(self, grant: Grant, scope: str, nonce: str) -> Reply:
        state = self._state
        session = {"sid": grant.sid, "auth_time": grant.auth_time} | ({"acr": grant.acr} if grant.acr else {})
        access_token = self.sign_access_token(
            grant.sub, scopes=scope.split(), grant_id=grant.id, auth_time=grant.auth_time
        )
        own = {"aud": state.client.client_id, "at_hash": _half_hash(access_token)} | session
        id_token = state.people[grant.sub].claims() | own | ({"nonce": nonce} if nonce else {})
        return json_reply(
            {
                "access_token": access_token,
                "token_type": "Bearer",
                "expires_in": state.seconds,
                "refresh_token": state.grants.issue_refresh_token(grant),
                "id_token": state.sign(id_token, typ="JWT"),
                "scope": scope,
            }
        )


def _grant_id(claims: dict[str, Any]) -> str:
    """Return the id of the grant of an access token; "" if the token came from no sign-in."""
    return str(claims.get("jti", "")).partition(".")[0]


def _half_hash(access_token: str) -> str:
    """`at_hash` (OpenID Connect Core, section 3.1.3.6)."""
    digest = hashlib.sha256(access_token.encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest[:16]).rstrip(b"=").decode()
