"""Client authentication at the provider's endpoints: only the configured method, never a weaker one.

RFC 6749 section 2.3.1, OpenID Connect Core section 9, RFC 7523.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import quote_plus

import jwt

from bff.oidc.authorization import new_secret

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCredentials:
    """Our client id and secret at one provider. `method` is a token_endpoint_auth_method of Core section 9."""

    client_id: str
    method: str
    issuer: str
    secret: str = field(default="", repr=False)
    private_key_pem: str = field(default="", repr=False)
    key_id: str = ""
    key_alg: str = "ES256"


@dataclass(frozen=True, slots=True)
class AuthenticatedForm:
    """A form and headers, ready to send."""

    form: dict[str, str] = field(repr=False)
    headers: dict[str, str] = field(repr=False)


def authenticate_form(
    form: dict[str, str], credentials: ClientCredentials, *, now: float, random: Callable[[int], bytes]
) -> AuthenticatedForm:
    """Add the client's authentication to `form`, with the configured method."""
    match credentials.method:
        case "client_secret_basic":
            pair = f"{quote_plus(credentials.client_id)}:{quote_plus(credentials.secret)}"
            return AuthenticatedForm(form, {"Authorization": "Basic " + b64encode(pair.encode()).decode("ascii")})
        case "client_secret_post":
            secret = {"client_id": credentials.client_id, "client_secret": credentials.secret}
            return AuthenticatedForm(form | secret, {})
        case "private_key_jwt":
            assertion = build_client_assertion(credentials, now=now, random=random)
            extra = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion}
            return AuthenticatedForm(form | {"client_id": credentials.client_id} | extra, {})
        case "none":
            return AuthenticatedForm(form | {"client_id": credentials.client_id}, {})
        case unknown:
            raise ValueError(f"no client authentication method {unknown!r}")


def build_client_assertion(credentials: ClientCredentials, *, now: float, random: Callable[[int], bytes]) -> str:
    """Build a `private_key_jwt` assertion: `aud` is the issuer as one string, `jti` new, life 60 s (RFC 7523bis)."""
    claims = {
        "iss": credentials.client_id,
        "sub": credentials.client_id,
        "aud": credentials.issuer,
        "jti": new_secret(random),
        "iat": int(now),
        "exp": int(now) + ASSERTION_SECONDS,
    }
    headers = {"kid": credentials.key_id} if credentials.key_id else None
    return jwt.encode(claims, credentials.private_key_pem, algorithm=credentials.key_alg, headers=headers)
