"""What a page needs from a front door: keys, assertions, and a server that records requests and answers them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from streamlit_kit.assertion import Expected, PageSession, read_assertion
from streamlit_kit.client import ApiClient
from streamlit_kit.runtime import Kit, create_kit
from streamlit_kit.settings import KitSettings
from streamlit_kit.transport import create_http_client
from tests.fakes import OMIT, RecordingUpstream, SigningKey, generate_key, write_jws

CLIENT = "dashboards"
KIT_SECRET = "front-door-test"
HANDLE = "opaque.handle"
LOGIN_URL = "/auth/login?return_to=/"
JWKS_PATH = "/auth/jwks.json"
PROBLEM = {"Content-Type": "application/problem+json"}


def jwks(*keys: SigningKey) -> dict[str, Any]:
    return {"keys": [key.public_jwk for key in keys]}


def make_claims(issuer: str, **changes: Any) -> dict[str, Any]:
    """Claims of a valid assertion. `changes` replace some of them; OMIT removes one."""
    now = int(time.time())
    claims = {
        "iss": issuer,
        "aud": f"kit:{CLIENT}",
        "sub": "alice",
        "iat": now,
        "exp": now + 3600,
        "idp": "https://idp.example.com",
        "provider": "corp",
        "name": "Alice Example",
        "email": "alice@example.com",
        "email_verified": True,
        "preferred_username": "alice",
        "roles": ["analyst"],
        "groups": ["science"],
        "acr": "1",
        "auth_time": now - 5,
        "session_expires_at": now + 3600,
        "routes": {"api": "/api/"},
        "department": "physics",
    }
    return {name: value for name, value in (claims | changes).items() if value is not OMIT}


class KitFrontDoor:
    """The recording upstream in place of a front door, with its signing key published."""

    def __init__(self) -> None:
        self.server = RecordingUpstream()
        self.key = generate_key("ES256", kid="key-1")

    def __enter__(self) -> Self:
        self.server.start()
        self.reset()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.stop()

    def reset(self) -> None:
        self.server.reset()
        self.server.respond(JWKS_PATH, json=jwks(self.key))

    @property
    def url(self) -> str:
        return self.server.url

    def settings(self, **changes: Any) -> KitSettings:
        given: dict[str, Any] = {"url": self.url, "client": CLIENT, "secret": KIT_SECRET} | changes
        return KitSettings(**given)

    def kit(self, **changes: Any) -> Kit:
        settings = self.settings(**changes)
        return create_kit(settings, create_http_client(settings))

    def mint(
        self,
        *,
        header: Mapping[str, Any] | None = None,
        key: SigningKey | None = None,
        alg: str = "ES256",
        **changes: Any,
    ) -> str:
        """An assertion; `changes` replace claims, `header` replaces header members."""
        head = {"alg": "ES256", "typ": "vestibule-handshake+jwt", "kid": self.key.kid} | dict(header or {})
        return write_jws(
            make_claims(self.url, **changes),
            header={name: value for name, value in head.items() if value is not OMIT},
            key=key or self.key,
            alg=alg,
        )

    def session(self, kit: Kit, **changes: Any) -> PageSession:
        return read_assertion(
            self.mint(**changes),
            HANDLE,
            find_key=kit.keys.find,
            expected=Expected(client=CLIENT),
            now=time.time(),
        )

    def client(self, kit: Kit, session: PageSession | None = None, *, route_path: str = "/api/") -> ApiClient:
        return ApiClient(kit, session or self.session(kit), route_path=route_path, login_url=LOGIN_URL)

    def problem(self, path: str, status: int, code: str, **headers: str) -> None:
        self.server.respond(path, status=status, headers=PROBLEM | headers, json={"status": status, "code": code})
