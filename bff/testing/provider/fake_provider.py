"""`FakeProvider`: the endpoints of one OpenID provider on a real socket."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self

from bff.testing.provider.client import Client
from bff.testing.provider.messages import Reply, Request, json_reply
from bff.testing.provider.pages import not_here_page
from bff.testing.provider.people import Person
from bff.testing.provider.server import HOST, Endpoint, ProviderServer
from bff.testing.provider.sign_in import SignIn
from bff.testing.provider.sign_out import SignOut
from bff.testing.provider.signing import ALGORITHM
from bff.testing.provider.state import ProviderState
from bff.testing.provider.tokens import TokenEndpoints

ENDPOINTS = {
    "authorization_endpoint": "/authorize",
    "token_endpoint": "/token",
    "userinfo_endpoint": "/userinfo",
    "revocation_endpoint": "/revoke",
    "end_session_endpoint": "/logout",
    "jwks_uri": "/jwks.json",
}
DISCOVERY = "/.well-known/openid-configuration"


class FakeProvider(ProviderState):
    """A small OpenID provider that asks nobody for a password. Times are Unix seconds of `clock`.

    It signs in `next_person` at once. With `interactive=True` a page asks who is there, and single sign-on works as
    at a large provider. With `is_down` every answer is a 503. `rotate_keys` makes a new signing key. Tokens live for
    `seconds`. `issuer` is its address for browsers if they reach it through a proxy. Codes and refresh tokens work
    once; a second use ends everything that the sign-in granted.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.time,
        interactive: bool = False,
        port: int = 0,
        issuer: str = "",
        client: Client | None = None,
        people: Iterable[Person] | None = None,
        audience: str = "api",
        seconds: int = 300,
    ) -> None:
        self._server = ProviderServer(port)
        super().__init__(
            issuer=issuer or f"http://{HOST}:{self._server.server_port}",
            clock=clock,
            interactive=interactive,
            client=client or Client(),
            audience=audience,
            seconds=seconds,
        )
        if people is None:
            self.add_person("alice", roles=["analyst", "admin"], groups=["science"])
            self.add_person("bob", roles=["viewer"])
        for person in people or ():
            self.people[person.sub] = person
        self._tokens = TokenEndpoints(self)
        self._sign_out = SignOut(self)
        self._server.routes = self._routes()
        self._server.is_down = lambda: self.is_down
        self._server.missing_page = self._not_here

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    @property
    def jwks_url(self) -> str:
        return self.issuer + ENDPOINTS["jwks_uri"]

    @property
    def client_secret(self) -> str:
        return self.client.secret

    def variables(self, *, audience: str = "api") -> dict[str, str]:
        """Return the environment of an API that takes this provider's tokens, for `JWTBearer.from_env()`."""
        return {
            "VESTIBULE_JWT__ISSUER": self.issuer,
            "VESTIBULE_JWT__AUDIENCE": audience,
            "VESTIBULE_JWT__JWKS_URL": self.jwks_url,
        }

    def settings(self) -> dict[str, Any]:
        """Return a table `[providers.NAME]` for `bff.settings.loading.parse_settings`."""
        return {
            "issuer": self.issuer,
            "client_id": self.client.client_id,
            "client_secret": self.client.secret,
            "id_token_alg": ALGORITHM,
            "roles_claim": "roles",
        }

    def add_person(self, sub: str, *, roles: Iterable[str] = (), groups: Iterable[str] = ()) -> Person:
        person = Person(sub, f"{sub}@example.com", sub.title(), list(roles), list(groups))
        self.people[sub] = person
        return person

    def rotate_keys(self) -> None:
        """Sign with a new key from now on. The old ones are no longer published."""
        self.keys.rotate()

    def access_token(self, sub: str, /, *, audience: str = "", scopes: Iterable[str] = (), **claims: Any) -> str:
        """Return an RFC 9068 access token. `claims` replace or add claims."""
        return self._tokens.sign_access_token(sub, audience=audience, scopes=scopes, **claims)

    def end_sessions(self, sub: str) -> list[str]:
        """Sign `sub` out in every browser, with back-channel logout. Return one sentence per session."""
        return [self._sign_out.end(session) for session in self.sessions.all() if session.sub == sub]

    def _routes(self) -> Mapping[tuple[str, str], Endpoint]:
        sign_in, sign_out, tokens = SignIn(self, self._sign_out), self._sign_out, self._tokens
        return {
            ("GET", DISCOVERY): self._discovery,
            ("GET", "/jwks.json"): self._jwks,
            ("GET", "/authorize"): sign_in.authorize,
            ("POST", "/authorize"): sign_in.authorize,
            ("POST", "/sign-in"): sign_in.chosen,
            ("POST", "/token"): tokens.token,
            ("POST", "/revoke"): tokens.revoke,
            ("GET", "/userinfo"): tokens.userinfo,
            ("POST", "/userinfo"): tokens.userinfo,
            ("GET", "/logout"): sign_out.end_session,
            ("POST", "/logout"): sign_out.end_session,
            ("POST", "/logout/confirmed"): sign_out.confirmed,
            ("GET", "/"): sign_out.home,
            ("POST", "/sessions/end"): sign_out.end_one,
        }

    def _discovery(self, _: Request) -> Reply:
        return json_reply(
            {
                "issuer": self.issuer,
                **{name: self.issuer + path for name, path in ENDPOINTS.items()},
                "scopes_supported": ["openid", "profile", "email", "offline_access"],
                "response_types_supported": ["code"],
                "response_modes_supported": ["query"],
                "grant_types_supported": ["authorization_code", "refresh_token"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": [ALGORITHM],
                "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
                "code_challenge_methods_supported": ["S256"],
                "authorization_response_iss_parameter_supported": True,
                "request_uri_parameter_supported": False,
                "backchannel_logout_supported": True,
                "backchannel_logout_session_supported": True,
            }
        )

    def _not_here(self, request: Request) -> Reply | None:
        """Lead a person to the application: its address differs from the provider's by the host alone."""
        return not_here_page(self.client, issuer=self.issuer, request=request) if self.client.uri else None

    def _jwks(self, _: Request) -> Reply:
        self.key_fetches += 1
        return json_reply(self.keys.published())
