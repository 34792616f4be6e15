"""Every name the three packages share: headers, cookies, paths, close codes, `Identity`.

Standard library only, so that the kit can import it inside any Streamlit process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any, Final

# -- headers ---------------------------------------------------------------------------------------------------------
HEADER_ASSERTION: Final = "X-Vestibule-Assertion"
HEADER_SESSION: Final = "X-Vestibule-Session"
HEADER_KIT: Final = "X-Vestibule-Kit"
HEADER_CSRF: Final = "X-Vestibule-CSRF"
HEADER_PROXY: Final = "X-Vestibule-Proxy"
HEADER_UPSTREAM: Final = "X-Vestibule-Upstream"
HEADER_REQUEST_ID: Final = "X-Request-ID"
HEADER_REFUSED: Final = "X-Vestibule-Refused"
"""On each 401 of the front door itself: its code. Upstreams cannot send it, so the session-end script believes it."""
HEADER_REFUSAL: Final = "X-Vestibule-Refusal"
"""On each refusal of forward-auth: the query of `PATH_REFUSED` that explains it to the person."""
HEADER_ORIGINAL_URL: Final = "X-Original-URL"
HEADER_ORIGINAL_METHOD: Final = "X-Original-Method"
"""The request that nginx or HAProxy asks about: scheme://host/path?query, and its method."""
HEADER_SUBJECT_KEY: Final = "X-Auth-Request-Id"
"""The stable key of a person: base64url HMAC over (iss, sub). It suits Streamlit's `trustedUserHeaders`."""

HEADER_OMITTED: Final = "X-Auth-Request-Omitted"
"""What did not fit: names with commas between them. `/auth/identity` and `/auth/kit/identity` have the whole."""
IDENTITY_LINE_BYTES: Final = 4096
IDENTITY_BYTES: Final = 8192
"""The longest line that says who somebody is, and all such lines of one request together."""

# -- cookies ---------------------------------------------------------------------------------------------------------
SESSION_COOKIE: Final = "__Host-vestibule"
TRANSACTION_COOKIE_PREFIX: Final = "__Host-vestibule-tx-"
INSECURE_SESSION_COOKIE: Final = "vestibule"
"""Cookie name for development on plain http with a loopback `public_url`: `__Host-` and Secure do not work there."""
INSECURE_TRANSACTION_COOKIE_PREFIX: Final = "vestibule-tx-"
PLACE_COOKIE_PREFIX: Final = "__Host-vestibule-at-"
"""Which of several upstreams a page's WebSocket is at: one cookie for each such route, with 8 hex digits for it."""
INSECURE_PLACE_COOKIE_PREFIX: Final = "vestibule-at-"
STREAMLIT_XSRF_COOKIE: Final = "_streamlit_xsrf"

# -- codes of errors -------------------------------------------------------------------------------------------------
CODE_API_NOT_RUNNING: Final = "api_not_running"
"""From `vestibule dev`, in place of an API that does not start. The visitor is its author and needs the reason."""

# -- paths below `server.auth_path` ----------------------------------------------------------------------------------
AUTH_PATH: Final = "/auth"
OAUTH2_PATH: Final = "/oauth2"
"""Reserved beside the sign-in's own path, for what moved here from oauth2-proxy (`compat.oauth2_proxy`)."""
OAUTH2_AUTH: Final = OAUTH2_PATH + "/auth"
OAUTH2_START: Final = OAUTH2_PATH + "/start"
OAUTH2_SIGN_IN: Final = OAUTH2_PATH + "/sign_in"
OAUTH2_SIGN_OUT: Final = OAUTH2_PATH + "/sign_out"
OAUTH2_CALLBACK: Final = OAUTH2_PATH + "/callback"
OAUTH2_USERINFO: Final = OAUTH2_PATH + "/userinfo"
PING: Final = "/ping"
READY: Final = "/ready"
PATH_LOGIN: Final = "/login"
PATH_CALLBACK: Final = "/callback"
PATH_LOGOUT: Final = "/logout"
PATH_LOGGED_OUT: Final = "/logged-out"
PATH_SESSION: Final = "/session"
PATH_SESSIONS: Final = "/sessions"
PATH_ACCOUNT: Final = "/account"
PATH_INITIATE: Final = "/initiate"
PATH_BACKCHANNEL_LOGOUT: Final = "/backchannel-logout"
PATH_FRONTCHANNEL_LOGOUT: Final = "/frontchannel-logout"
PATH_KIT_EXCHANGE: Final = "/kit/exchange"
PATH_KIT_TOKEN: Final = "/kit/token"
PATH_KIT_STATE: Final = "/kit/state"
PATH_KIT_IDENTITY: Final = "/kit/identity"
PATH_IDENTITY: Final = "/identity"
PATH_JWKS: Final = "/jwks.json"
PATH_VERIFY: Final = "/verify"
"""Forward-auth; only its own listener (`forward_auth.bind`) answers it."""
PATH_REFUSED: Final = "/refused"
PATH_GUARD: Final = "/guard.js"

# -- token types (`typ` header) --------------------------------------------------------------------------------------
TYP_UPSTREAM: Final = "at+jwt"
TYP_HANDSHAKE: Final = "vestibule-handshake+jwt"
KIT_AUDIENCE_PREFIX: Final = "kit:"

# -- environment of the kit and of `JWTBearer.from_env()` -------------------------------------------------------------
ENV_KIT_URL: Final = "VESTIBULE_KIT__URL"
ENV_KIT_CLIENT: Final = "VESTIBULE_KIT__CLIENT"
ENV_KIT_SECRET: Final = "VESTIBULE_KIT__SECRET"
ENV_KIT_SECRET_FILE: Final = "VESTIBULE_KIT__SECRET_FILE"
ENV_KIT_CA_FILE: Final = "VESTIBULE_KIT__CA_FILE"
ENV_DEV_SECRET: Final = "VESTIBULE_DEV_SECRET"
DEV_ISSUER: Final = "http://localhost/vestibule-development"
DEV_AUDIENCE: Final = "vestibule-development"
"""`iss` and `aud` of development tokens: HS256 with `VESTIBULE_DEV_SECRET`, `typ` is `TYP_UPSTREAM`, loopback only."""


class CloseCode(IntEnum):
    """WebSocket close codes of the gateway (RFC 6455 section 7.4)."""

    SESSION_ENDED = 4401
    FORBIDDEN = 4403
    SUPERSEDED = 1012
    UNAVAILABLE = 1013
    TOO_LARGE = 1009


CLOSE_REASON_MOVED: Final = "moved"
"""Reason text of 1012 when a page's upstream was lost and another one has taken over: load the page again."""


class EndReason(StrEnum):
    """Why a session ended. It is the reason text of close code 4401; `superseded` closes with 1012 instead."""

    LOGOUT = "logout"
    REVOKED = "revoked"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who is signed in, as routes, headers, assertions and the kit see it.

    `expires_at` and `auth_time` are Unix seconds. `claims` holds the provider's other claims (never tokens).
    """

    sub: str
    iss: str
    provider: str = ""
    name: str = ""
    email: str = ""
    email_verified: bool = False
    preferred_username: str = ""
    roles: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    acr: str = ""
    auth_time: int = 0
    expires_at: int = 0
    claims: Mapping[str, Any] = field(default_factory=dict)

    def has_role(self, *roles: str) -> bool:
        """True if the person has at least one of `roles`."""
        return any(role in self.roles for role in roles)
