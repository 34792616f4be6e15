"""An application that signs in at the provider under test, with a browser.

Tests can do each step of a sign-in separately.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx

from bff.testing import FakeProvider
from tests.fakes import CookieClient

CALLBACK = "http://localhost:9/callback"
AFTERWARDS = "http://localhost:9/signed-out?from=app"
VERIFIER = "a-verifier-of-forty-three-characters-or-more"


def challenge_of(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def claims_of(token: str) -> dict[str, Any]:
    """The payload, unverified."""
    return _part(token, 1)


def header_of(token: str) -> dict[str, Any]:
    return _part(token, 0)


def _part(token: str, index: int) -> dict[str, Any]:
    part = token.split(".")[index]
    decoded: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return decoded


class RelyingParty:
    """The client `vestibule` of `provider`, and one browser."""

    def __init__(self, provider: FakeProvider, browser: CookieClient) -> None:
        self.provider = provider
        self.browser = browser

    def authorization_url(self, **changes: str | None) -> str:
        """A correct request with `changes`; None takes a parameter away."""
        query = {
            "client_id": "vestibule",
            "redirect_uri": CALLBACK,
            "response_type": "code",
            "scope": "openid profile email",
            "state": "the-state",
            "nonce": "the-nonce",
            "code_challenge": challenge_of(VERIFIER),
            "code_challenge_method": "S256",
        } | changes
        return f"{self.provider.issuer}/authorize?" + urlencode({k: v for k, v in query.items() if v is not None})

    def ask(self, **changes: str | None) -> httpx.Response:
        """What the browser gets for an authorization request: the page, or the way back."""
        return self.browser.get(self.authorization_url(**changes), initiator="http://localhost:9/")

    def sign_in(self, sub: str = "alice", **changes: str | None) -> dict[str, Any]:
        """The tokens after a press of the button of `sub`."""
        tokens: dict[str, Any] = self.exchange(self.browser.submit(self.ask(**changes), f"#person-{sub}")).json()
        return tokens

    def exchange(self, back: httpx.Response, **changes: str) -> httpx.Response:
        """Exchange the code in the redirect `back` for tokens."""
        form = {"grant_type": "authorization_code", "code": sent_back(back)["code"], "redirect_uri": CALLBACK}
        return self.post("/token", **(form | {"code_verifier": VERIFIER} | changes))

    def refresh(self, refresh_token: str, **changes: str) -> httpx.Response:
        return self.post("/token", grant_type="refresh_token", refresh_token=refresh_token, **changes)

    def post(self, path: str, **form: str) -> httpx.Response:
        """A call of the client's server, with its secret by HTTP Basic."""
        credentials = ("vestibule", self.provider.client_secret)
        with httpx.Client(auth=credentials) as http:
            return http.post(self.provider.issuer + path, data=form)

    def userinfo(self, access_token: str) -> httpx.Response:
        with httpx.Client() as http:
            return http.get(self.provider.issuer + "/userinfo", headers={"Authorization": f"Bearer {access_token}"})


def sent_back(response: httpx.Response) -> dict[str, str]:
    """The parameters with which the browser goes to the client; each once."""
    location = response.headers["location"]
    assert location.startswith(CALLBACK + "?"), location
    parsed = parse_qs(urlsplit(location).query, strict_parsing=True)
    assert all(len(values) == 1 for values in parsed.values())
    return {name: values[0] for name, values in parsed.items()}
