"""The providers of a configuration without a network: their documents, keys and tokens come from this process.

The front door fetches a provider's keys before it believes a machine's token, and a token before it sends one on. For a
question about a decision both come from here, signed with a key that exists only for the answer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import httpx

from bff.provider.client import Provider
from bff.testing.provider.signing import SigningKeys

KEYS_PATH: Final = "/offline-keys"
TOKEN_PATH: Final = "/offline-token"
TOKEN: Final = "offline-token"
"""The value of every token that a provider would give. It opens nothing."""
_SECONDS: Final = 300


class OfflineProviders:
    """Answers the calls of every `Provider` that uses `client`, for the settings' own issuers."""

    def __init__(self) -> None:
        self._keys = SigningKeys()
        self._issuers: dict[str, str] = {}
        self.client = httpx.AsyncClient(transport=httpx.MockTransport(self._answer))

    def add(self, provider: Provider) -> None:
        """Answer for `provider` too."""
        self._issuers[provider.discovery_address] = provider.issuer

    def access_token(self, claims: Mapping[str, Any], *, now: float) -> str:
        """Sign an access token (RFC 9068). Its times are those of a token that was just issued."""
        lasting = {"iat": int(now), "exp": int(now) + _SECONDS}
        return self._keys.sign({**claims, **lasting}, typ="at+jwt")

    def _answer(self, request: httpx.Request) -> httpx.Response:
        issuer = self._issuers.get(str(request.url))
        if issuer is not None:
            base = issuer.rstrip("/")
            endpoints = {
                "authorization_endpoint": base + TOKEN_PATH,
                "token_endpoint": base + TOKEN_PATH,
                "jwks_uri": base + KEYS_PATH,
            }
            return _as_json({"issuer": issuer, **endpoints})
        if request.url.path.endswith(KEYS_PATH):
            return _as_json(self._keys.published())
        return _as_json({"access_token": TOKEN, "token_type": "Bearer", "expires_in": _SECONDS})


def _as_json(document: Mapping[str, Any]) -> httpx.Response:
    stream = httpx.ByteStream(json.dumps(document).encode())  # read once, as from a socket
    return httpx.Response(200, headers={"Content-Type": "application/json"}, stream=stream)
