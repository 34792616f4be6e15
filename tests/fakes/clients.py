"""Registered clients and how they authenticate (RFC 6749 section 2.3, RFC 7523, OpenID Core section 9)."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import unquote_plus

import jwt
from starlette.datastructures import Headers

from .answers import ProtocolError
from .keys import read_jws

AuthMethod = Literal["client_secret_basic", "client_secret_post", "private_key_jwt", "none"]
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
MAX_ASSERTION_SECONDS = 60


@dataclass(slots=True)
class Client:
    """A registration. The fields may be changed while the provider runs."""

    client_id: str
    client_secret: str = field(default="", repr=False)
    auth_method: AuthMethod = "client_secret_basic"
    redirect_uris: list[str] | None = None
    """None accepts any address: the front door's port is often known only after the provider started."""
    post_logout_redirect_uris: list[str] = field(default_factory=list)
    public_keys: list[dict[str, Any]] = field(default_factory=list)
    """JWKs for private_key_jwt."""
    exchange_audiences: list[str] | None = None
    """Audiences that token exchange may ask for; None means any."""


def detect_auth_methods(headers: Headers, form: Mapping[str, str]) -> list[str]:
    """Name every client authentication method a request uses; more than one is an error, none is a public client."""
    found = []
    if headers.get("authorization", "").lower().startswith("basic "):
        found.append("client_secret_basic")
    if "client_secret" in form:
        found.append("client_secret_post")
    if "client_assertion" in form or "client_assertion_type" in form:
        found.append("private_key_jwt")
    return found or ["none"]


def basic_credentials(authorization: str) -> tuple[str, str]:
    """Read id and secret, each form-url-encoded before the base64 (RFC 6749 section 2.3.1)."""
    try:
        decoded = base64.b64decode(authorization[6:], validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise _refused("malformed basic credentials") from error
    client_id, separator, secret = decoded.partition(":")
    if not separator or " " in decoded:
        raise _refused("basic credentials are not form-url-encoded")
    return unquote_plus(client_id), unquote_plus(secret)


def _refused(reason: str) -> ProtocolError:
    return ProtocolError("invalid_client", reason, status=401, challenge='Basic realm="fake"')


class ClientAuthenticator:
    """Authenticate the client of one request with the one method it is registered for."""

    def __init__(self, clients: Mapping[str, Client]) -> None:
        self._clients = clients
        self._seen_jti: set[tuple[str, str]] = set()

    def authenticate(self, headers: Headers, form: Mapping[str, str], *, issuer: str, now: float) -> Client:
        methods = detect_auth_methods(headers, form)
        if len(methods) > 1:
            raise ProtocolError("invalid_request", "more than one client authentication method")
        method = methods[0]
        secret = ""
        if method == "client_secret_basic":
            client_id, secret = basic_credentials(headers["authorization"])
        elif method == "private_key_jwt":
            client_id = self._assertion_subject(form)
        else:
            client_id, secret = form.get("client_id", ""), form.get("client_secret", "")
        client = self._clients.get(client_id)
        if client is None:
            raise _refused("unknown client")
        if method != client.auth_method:
            raise _refused(f"registered for {client.auth_method}, used {method}")
        if form.get("client_id", client_id) != client_id:
            raise ProtocolError("invalid_request", "client_id in the body differs")
        if method in ("client_secret_basic", "client_secret_post"):
            if not hmac.compare_digest(secret.encode(), client.client_secret.encode()):
                raise _refused("wrong secret")
        elif method == "private_key_jwt":
            self._check_assertion(client, form, issuer=issuer, now=now)
        return client

    @staticmethod
    def _assertion_subject(form: Mapping[str, str]) -> str:
        if form.get("client_assertion_type") != ASSERTION_TYPE:
            raise _refused("wrong client_assertion_type")
        try:
            claims = jwt.decode(form.get("client_assertion", ""), options={"verify_signature": False})
        except jwt.PyJWTError as error:
            raise _refused("malformed assertion") from error
        return str(claims.get("sub", ""))

    def _check_assertion(self, client: Client, form: Mapping[str, str], *, issuer: str, now: float) -> None:
        claims = _verified_assertion(client, form["client_assertion"])
        if claims.get("iss") != client.client_id or claims.get("sub") != client.client_id:
            raise _refused("assertion iss and sub must be the client_id")
        if claims.get("aud") != issuer:
            raise _refused("assertion aud must be the issuer, as a string")
        expires = claims.get("exp")
        if not isinstance(expires, int | float) or not now < expires <= now + MAX_ASSERTION_SECONDS + 1:
            raise _refused("assertion exp must be within 60 s")
        jti = claims.get("jti")
        if not isinstance(jti, str) or not jti or (client.client_id, jti) in self._seen_jti:
            raise _refused("assertion jti missing or used")
        self._seen_jti.add((client.client_id, jti))


def _verified_assertion(client: Client, assertion: str) -> dict[str, Any]:
    for jwk in client.public_keys:
        claims = read_jws(assertion, jwk)
        if claims is not None:
            return claims
    raise _refused("assertion signature")
