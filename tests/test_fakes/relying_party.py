"""A few lines of a correct OpenID client, to exercise the provider with."""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus

import httpx

from tests.fakes import CookieClient, FakeProvider

REDIRECT_URI = "http://127.0.0.1:9/callback"


def basic(client_id: str, client_secret: str) -> dict[str, str]:
    pair = f"{quote_plus(client_id)}:{quote_plus(client_secret)}"
    return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}


@dataclass
class RelyingParty:
    """The default client of one provider."""

    provider: FakeProvider
    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=5))
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(32))

    def authorization_params(self, **changes: str) -> dict[str, str]:
        digest = hashlib.sha256(self.verifier.encode()).digest()
        return {
            "client_id": self.provider.client.client_id,
            "redirect_uri": REDIRECT_URI,
            "response_type": "code",
            "scope": "openid profile email",
            "state": "the-state",
            "nonce": "the-nonce",
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
            **changes,
        }

    def authorize(self, **changes: str) -> httpx.Response:
        with CookieClient() as browser:
            return browser.get(f"{self.provider.base}/authorize", params=self.authorization_params(**changes))

    def callback(self, **changes: str) -> httpx.QueryParams:
        """The parameters of the redirect back."""
        return httpx.URL(self.authorize(**changes).headers["location"]).params

    def post(self, endpoint: str, **form: str) -> httpx.Response:
        client = self.provider.client
        headers = basic(client.client_id, client.client_secret)
        return self.http.post(f"{self.provider.base}/{endpoint}", data=form, headers=headers)

    def redeem(self, code: str, **changes: str) -> httpx.Response:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": REDIRECT_URI,
            "code_verifier": self.verifier,
        }
        return self.post("token", **{**form, **changes})

    def sign_in(self) -> dict[str, Any]:
        """The token response of a whole code flow."""
        response = self.redeem(self.callback()["code"])
        assert response.status_code == 200, response.text
        payload: dict[str, Any] = response.json()
        return payload

    def refresh(self, refresh_token: str) -> httpx.Response:
        return self.post("token", grant_type="refresh_token", refresh_token=refresh_token)

    def userinfo(self, access_token: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {access_token}"}
        return self.http.get(f"{self.provider.base}/userinfo", headers=headers)

    def close(self) -> None:
        self.http.close()
