"""Members of each message that may be left out, and what some programs write instead of leaving them out.

For the pure reading of each message and for running front doors and APIs. Grow the lists with every new class.
"""

from __future__ import annotations

from typing import Any, Final

WAYS_TO_BE_ABSENT: Final[dict[str, Any]] = {"null": None, "empty": ""}
ID_TOKEN: Final = (
    *("azp", "sid", "nbf", "at_hash", "c_hash", "s_hash", "auth_time", "acr", "amr", "jti"),
    *("name", "email", "email_verified", "preferred_username", "groups", "roles", "realm_access"),
)
TOKEN_RESPONSE: Final = ("refresh_token", "expires_in", "error", "error_description", "id_token_type", "session_state")
USERINFO: Final = ("name", "email", "email_verified", "groups", "realm_access", "aud", "iss", "updated_at")
DISCOVERY: Final = (
    *("userinfo_endpoint", "end_session_endpoint", "revocation_endpoint", "pushed_authorization_request_endpoint"),
    *("require_pushed_authorization_requests", "authorization_response_iss_parameter_supported", "scopes_supported"),
)
JWK: Final = ("alg", "use", "kid", "key_ops", "x5c", "x5t", "d", "p", "q", "oth")
LOGOUT_TOKEN: Final = ("sid", "nbf", "azp", "auth_time", "name")
ACCESS_TOKEN: Final = (
    *("nbf", "azp", "client_id", "sid", "jti", "auth_time", "acr", "amr", "scp", "typ", "token_use"),
    *("email", "email_verified", "name", "preferred_username", "roles", "groups"),
)
JOSE_HEADER: Final = ("typ", "kid", "cty", "x5t", "jwk")
