"""The only client of the provider: its secret, its addresses, and how it proves who it is."""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
from dataclasses import dataclass, field
from urllib.parse import unquote_plus, urlsplit

from bff.testing.provider.messages import Refused, Request

CLIENT_ID = "vestibule"


@dataclass(slots=True, kw_only=True)
class Client:
    """The registered client. An empty list of redirect URIs means that it may name any http address."""

    client_id: str = CLIENT_ID
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    name: str = "Vestibule"
    uri: str = ""
    """The address of its application, for people who open the provider's by mistake."""
    redirect_uris: tuple[str, ...] = ()
    post_logout_redirect_uris: tuple[str, ...] = ()
    backchannel_logout_uri: str = ""

    def may_return_to(self, uri: str) -> bool:
        """True if a sign-in may end at this address. Addresses are compared as text."""
        return uri in self.redirect_uris if self.redirect_uris else _is_web_address(uri)

    def may_end_at(self, uri: str) -> bool:
        """True if a sign-out may end at this address."""
        registered = self.post_logout_redirect_uris
        return uri in registered if registered else _is_web_address(uri)

    def check_secret(self, request: Request) -> None:
        """Check the client's secret, sent by `client_secret_basic` or `client_secret_post`.

        Raises:
            Refused: invalid_client; invalid_request if both are used at once.
        """
        sent = request.form.get("client_id"), request.form.get("client_secret")
        basic = _basic_credentials(request.authorization)
        if basic and sent[1] is not None:
            raise Refused(400, "invalid_request", "the client secret was sent in two places")
        if basic and sent[0] not in (None, basic[0]):
            raise Refused(400, "invalid_request", "two different client ids were sent")
        client_id, secret = basic or sent
        is_right = hmac.compare_digest((secret or "").encode(), self.secret.encode())
        if client_id != self.client_id or not is_right:
            raise Refused(401, "invalid_client", "unknown client, or wrong client secret", challenge="Basic")


def _is_web_address(uri: str) -> bool:
    try:
        parts = urlsplit(uri)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and "#" not in uri and uri.isprintable()


def _basic_credentials(authorization: str) -> tuple[str, str] | None:
    """Return (client id, secret) of a Basic header; None if there is no such header."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        client_id, _, secret = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise Refused(401, "invalid_client", "the Basic header cannot be read", challenge="Basic") from None
    return unquote_plus(client_id), unquote_plus(secret)
