"""Front doors as clients of the certified provider: the kinds of client, and a door over TLS for each."""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from secrets import token_hex
from typing import Any

import httpx

from bff.sessions.record import Session
from bff.settings.loading import parse_settings
from tests.bff.factories import resume
from tests.certified.certified_provider import CertifiedProvider, ProviderEvent
from tests.fakes import CookieClient, RecordingUpstream, SigningKey, generate_key
from tests.front_door import KEY, RunningDoor, api_route, page_route
from tests.security.certificates import Authority

SESSION_COOKIE = "__Host-vestibule"
SECRET = "unit-test secret: 100% of it/is+quoted&sent"
"""Every character here changes under form-url-encoding (RFC 6749 section 2.3.1), and `:` separates Basic's parts."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How a client is registered, and how the door is configured to match."""

    name: str
    client_auth: str
    id_token_alg: str
    par: str = "auto"
    response_mode: str = "query"
    key_alg: str = ""
    signed_userinfo: bool = False
    logout_by_sid: bool = True
    """True if the provider's logout tokens name one session, False if they name only the person."""
    access_token_seconds: int = 300
    door: Mapping[str, Any] = field(default_factory=dict)
    """The keys in which the door's provider table differs from the registration."""


KINDS = (
    Kind("secret in the header", "client_secret_basic", "RS256", par="off"),
    Kind("secret in the form", "client_secret_post", "PS256", signed_userinfo=True),
    Kind("signed assertion", "private_key_jwt", "ES256", par="required", key_alg="ES256"),
    Kind("form post", "private_key_jwt", "EdDSA", par="required", response_mode="form_post", key_alg="EdDSA"),
    Kind("public client", "none", "RS256", logout_by_sid=False),
)
DEFAULT = KINDS[0]


class CertifiedDoor(RunningDoor):
    """The front door as in production: https, `__Host-` cookies, a registered client of the certified provider.

    Its clock is `ahead` seconds ahead of the provider's. This is 0 at first; tests change it to save time.
    """

    def __init__(
        self, kind: Kind, provider: CertifiedProvider, upstream: RecordingUpstream, authority: Authority
    ) -> None:
        self.kind, self.provider, self.upstream = kind, provider, upstream
        self.client_id = f"front door: {token_hex(4)}"
        self.trust = ssl.create_default_context(cafile=str(authority.ca_file))
        key = generate_key(kind.key_alg, kid="of-the-door") if kind.key_alg else None
        table = self._table(key) | {"ca_file": str(authority.ca_file)} | dict(kind.door)
        routes = [api_route(upstream, token="access_token"), page_route(upstream)]
        self.ahead = 0.0
        super().__init__({"corp": table}, routes, clock=lambda: time.time() + self.ahead)
        provider.register(self._metadata(key))
        certificate, key_file = authority.issue("localhost")
        tls = {"certificate_file": str(certificate), "key_file": str(key_file)}
        self.settings = parse_settings(
            {
                "server": {"public_url": self.url, "tls": tls},
                "secrets": {"keys": [KEY]},
                "providers": {"corp": table},
                "routes": routes,
            }
        )

    def _metadata(self, key: SigningKey | None) -> dict[str, Any]:
        """The client as the provider knows it."""
        kind = self.kind
        metadata: dict[str, Any] = {
            "client_id": self.client_id,
            "token_endpoint_auth_method": kind.client_auth,
            "redirect_uris": [f"{self.url}/auth/callback/corp"],
            "post_logout_redirect_uris": [f"{self.url}/auth/logged-out"],
            "backchannel_logout_uri": f"{self.url}/auth/backchannel-logout/corp",
            "backchannel_logout_session_required": kind.logout_by_sid,
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "response_modes": [kind.response_mode],
            "id_token_signed_response_alg": kind.id_token_alg,
            "require_pushed_authorization_requests": kind.par == "required",
            "access_token_seconds": kind.access_token_seconds,
        }
        if kind.client_auth.startswith("client_secret"):
            metadata["client_secret"] = SECRET
        if key is not None:
            metadata |= {"jwks": {"keys": [key.public_jwk]}, "token_endpoint_auth_signing_alg": key.alg}
        if kind.signed_userinfo:
            metadata["userinfo_signed_response_alg"] = kind.id_token_alg
        return metadata

    def _table(self, key: SigningKey | None) -> dict[str, Any]:
        """`[providers.corp]` that fits the registration."""
        kind = self.kind
        table: dict[str, Any] = {
            "issuer": self.provider.issuer,
            "client_id": self.client_id,
            "client_auth": kind.client_auth,
            "id_token_alg": kind.id_token_alg,
            "par": kind.par,
            "response_mode": kind.response_mode,
            "roles_claim": "roles",
        }
        if kind.client_auth.startswith("client_secret"):
            table["client_secret"] = SECRET
        if key is not None:
            table |= {
                "client_key": key.private_pem.decode("ascii"),
                "client_key_id": key.kid,
                "client_key_alg": key.alg,
            }
        return table

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    def browser(self) -> CookieClient:
        return CookieClient(verify=self.trust)

    def events(self, name: str, *, grant_type: str = "") -> list[ProviderEvent]:
        """What the provider reports of this door's client."""
        return self.provider.events(name, client_id=self.client_id, grant_type=grant_type)

    def walk(self, browser: CookieClient, response: httpx.Response) -> list[httpx.Response]:
        """Like `browser.walk`, but also submits the provider's pages that a script would submit."""
        pages = browser.walk(response)
        while "document.forms[0].submit()" in pages[-1].text:
            pages += browser.walk(browser.submit(pages[-1], "#"))
        return pages

    def sign_in(self, browser: CookieClient, person: str = "alice", path: str = "/", **query: str) -> list[Any]:
        """Every response of a sign-in at the provider's page, from the deep link back to it."""
        pages = self.walk(browser, browser.get(self.url + path, params=query or None))
        return pages + self.walk(browser, browser.submit(pages[-1], f"#person-{person}"))

    def fetch_as(self, cookie: str, path: str) -> httpx.Response:
        """A script's call with this session cookie and no other."""
        with self.browser() as stranger:
            return stranger.fetch(self.url + path, headers={"Cookie": f"{SESSION_COOKIE}={cookie}"})

    def is_signed_in(self, cookie: str) -> bool:
        """True if this session cookie still works, at `/auth/session` and at the API."""
        answers = {self.fetch_as(cookie, path).status_code for path in ("/auth/session", "/api/x")}
        assert answers in ({200}, {401}), answers
        return answers == {200}

    def session(self, cookie: str) -> Session:
        """The stored session behind a cookie."""
        session = self.do(resume(self.app.bff.sessions, cookie))
        assert session is not None
        return session


def session_cookie(browser: CookieClient) -> str:
    return browser.cookies[SESSION_COOKIE].value


def kind_named(name: str, **over: Any) -> Kind:
    """One of `KINDS`, changed."""
    return replace(next(kind for kind in KINDS if kind.name == name), **over)
