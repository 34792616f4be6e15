"""The credentials of a kit call: the client secret and a session handle.

A handle is the sealed pair (record name, kit client). It needs no entry in the store, is useless without the secret,
and ends with the session.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import dataclass

from bff.errors import BadRequest, LoginRequired
from bff.oidc.base64url import base64url
from bff.sessions.keyring import Keyring, SealBroken
from bff.settings.tables import KitClientSettings

PURPOSE = "kit-handle"
MAX_HANDLE = 1024


@dataclass(frozen=True, slots=True)
class KitCall:
    """An authenticated call of a kit client; `record_name` is "" if nobody is signed in on the page."""

    client: str
    record_name: str


class KitCredentials:
    """Checks kit clients, and makes and opens handles."""

    def __init__(self, clients: Mapping[str, KitClientSettings], keyring: Keyring) -> None:
        self.clients = clients
        self._keyring = keyring

    def handle_for(self, record_name: str, *, client: str) -> str:
        """Make the handle that a page of `client` gets for a session."""
        plain = json.dumps([record_name, client]).encode()
        return base64url(self._keyring.seal(plain, purpose=PURPOSE, name=client))

    def authenticate(self, credential: str) -> str:
        """Return the client of `<client>:<secret>`. The secret is compared in constant time.

        Raises:
            LoginRequired: `kit_credential`.
        """
        name, _, secret = credential.partition(":")
        client = self.clients.get(name)
        expected = client.secret.get_secret_value() if client else "\x00" * 16
        same = hmac.compare_digest(_digest(secret), _digest(expected))
        if client is None or not expected or not same:
            raise LoginRequired("kit_credential", "The application's own credential is not accepted.")
        return name

    def open_call(self, credential: str, handle: str) -> KitCall:
        """Return client and session of a call. An empty handle comes from an anonymous page.

        Raises:
            LoginRequired: `kit_credential`, `kit_handle`.
            BadRequest: `kit_handle_malformed`.
        """
        client = self.authenticate(credential)
        if not handle:
            return KitCall(client, "")
        if len(handle) > MAX_HANDLE or not handle.isascii():
            raise BadRequest("kit_handle_malformed")
        try:
            sealed = urlsafe_b64decode(handle + "=" * (-len(handle) % 4))
            record_name, owner = json.loads(self._keyring.unseal(sealed, purpose=PURPOSE, name=client))
        except (SealBroken, ValueError, TypeError):
            raise LoginRequired("kit_handle") from None
        if owner != client or not isinstance(record_name, str):
            raise LoginRequired("kit_handle")
        return KitCall(client, record_name)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
