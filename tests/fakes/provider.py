"""A programmable OpenID provider on a real socket. Standalone: ``python -m tests.fakes.provider --port 9000``."""

from __future__ import annotations

import argparse
import json
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import httpx

from .background import UvicornThread, bind_socket
from .browser import TRUSTS_NOBODY
from .clients import AuthMethod, Client
from .hits import Grant, Hit
from .keys import SigningKey
from .people import Login, Person
from .provider_app import build_provider_app
from .provider_state import ProviderState


class FakeProvider(ProviderState):
    """An OpenID provider that is correct until a test bends it.

    ::

        with FakeProvider(auto_login="alice") as provider:
            provider.options.access_token_lifetime = 5
            provider.bend.token.raw(500, times=1)
            ...
            assert len(provider.grants("refresh_token")) == 1

    `issuer` overrides the announced issuer (split horizon); the socket stays on `host`. After `stop()`, `start()` uses
    the same port again and keeps all state. Tests simulate an outage in this way.
    """

    def __init__(
        self,
        *,
        auto_login: str = "",
        access_token_lifetime: float = 300.0,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: tuple[str | Path, str | Path] | None = None,
        issuer_path: str = "",
        issuer: str = "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(clock=clock)
        self.options.auto_login = auto_login
        self.options.access_token_lifetime = access_token_lifetime
        self._host = host
        self._port = port
        self._tls = tls
        self._issuer_path = issuer_path
        self._announced_issuer = issuer
        self._server: UvicornThread | None = None

    # Life

    def start(self) -> Self:
        sock = bind_socket(self._host, self._port)
        self._port = int(sock.getsockname()[1])
        self.issuer = self._announced_issuer or self.url + self._issuer_path
        self.keys.active(self.options.id_token_alg)
        app = build_provider_app(self, self._issuer_path.rstrip("/"))
        self._server = UvicornThread(app, sock, tls=self._tls)
        self._server.start()
        return self

    def stop(self) -> None:
        """Stop answering, and release requests that are held."""
        if self._server is None:
            return
        self.bend.open_gates()
        self._server.stop()
        self._server = None

    def join(self) -> None:
        if self._server is not None:
            self._server.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where the socket is: scheme, host and port."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{'https' if self._tls else 'http'}://{host}:{self._port}"

    @property
    def port(self) -> int:
        return self._port

    # Registrations

    def add_person(
        self,
        username: str,
        *,
        sub: str = "",
        email: str = "",
        name: str = "",
        roles: Iterable[str] = (),
        groups: Iterable[str] = (),
        email_verified: bool = True,
        extra: Mapping[str, Any] | None = None,
    ) -> Person:
        person = Person(
            username=username,
            sub=sub or username,
            email=email or f"{username}@example.com",
            name=name or f"{username.capitalize()} Example",
            roles=list(roles),
            groups=list(groups),
            email_verified=email_verified,
            extra=dict(extra or {}),
        )
        self.people[username] = person
        return person

    def add_client(self, client: Client) -> Client:
        self.clients[client.client_id] = client
        return client

    # Observation

    @property
    def hits(self) -> list[Hit]:
        return self.hit_log.all()

    def hits_of(self, *endpoints: str) -> list[Hit]:
        return [hit for hit in self.hits if hit.endpoint in endpoints]

    def clear_hits(self) -> None:
        """Forget the hits and grants, not the tokens."""
        self.hit_log.clear()
        self.all_grants.clear()

    def grants(self, grant_type: str = "") -> list[Grant]:
        """Successful grants, oldest first."""
        return [grant for grant in list(self.all_grants) if grant_type in ("", grant.grant_type)]

    def logins(self, sub: str = "") -> list[Login]:
        """Sessions at this provider, oldest first, ended ones too; the last one's `sid` is in the newest ID token."""
        return [login for login in list(self.memory.logins.values()) if sub in ("", login.sub)]

    @property
    def issued(self) -> list[str]:
        """Every code and token handed out, to search browser-visible bytes for."""
        return list(self.memory.issued)

    # Keys

    @property
    def signing_key(self) -> SigningKey:
        """The key that signs ID tokens now."""
        return self.keys.active(self.options.id_token_alg)

    def rotate_keys(self, *, keep_old: bool = True) -> SigningKey:
        """Sign with fresh keys from now on and return the new ID token key."""
        self.keys.rotate(keep_old=keep_old)
        return self.signing_key

    def remove_key(self, kid: str) -> None:
        """Take a key out of the JWKS; if it is the active one, it goes on signing."""
        self.keys.remove(kid)

    # Back-channel logout

    def send_backchannel_logout(
        self, url: str, token: str, *, verify: ssl.SSLContext = TRUSTS_NOBODY, timeout: float = 10.0
    ) -> httpx.Response:
        """Post a logout token as a provider does (Back-Channel Logout 1.0 section 2.5)."""
        with httpx.Client(trust_env=False, verify=verify, timeout=timeout) as http:
            return http.post(url, data={"logout_token": token})


def _parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    methods = ["client_secret_basic", "client_secret_post", "private_key_jwt", "none"]
    parser = argparse.ArgumentParser(prog="tests.fakes.provider", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9400)
    parser.add_argument("--issuer", default="", help="announce this issuer instead of the socket's address")
    parser.add_argument("--issuer-path", default="")
    parser.add_argument("--token-lifetime", type=float, default=300.0, metavar="SECONDS")
    parser.add_argument("--auto-login", default="", metavar="USERNAME")
    parser.add_argument("--remember-browser", action="store_true")
    parser.add_argument("--client-id", default="vestibule")
    parser.add_argument("--client-secret", default=None)
    parser.add_argument("--client-auth", choices=methods, default="client_secret_basic")
    parser.add_argument("--redirect-uri", action="append", default=None, help="default: any")
    parser.add_argument("--post-logout-redirect-uri", action="append", default=[])
    parser.add_argument("--id-token-alg", default="RS256")
    parser.add_argument("--tls", nargs=2, metavar=("CERTIFICATE", "KEY"), default=None)
    return parser.parse_args(arguments)


def _from_arguments(chosen: argparse.Namespace) -> FakeProvider:
    provider = FakeProvider(
        auto_login=chosen.auto_login,
        access_token_lifetime=chosen.token_lifetime,
        host=chosen.host,
        port=chosen.port,
        tls=tuple(chosen.tls) if chosen.tls else None,
        issuer_path=chosen.issuer_path,
        issuer=chosen.issuer,
    )
    provider.options.remember_browser = chosen.remember_browser
    provider.options.id_token_alg = chosen.id_token_alg
    auth_method: AuthMethod = chosen.client_auth
    del provider.clients[provider.client.client_id]
    provider.client = provider.add_client(
        Client(
            client_id=chosen.client_id,
            client_secret=provider.client.client_secret if chosen.client_secret is None else chosen.client_secret,
            auth_method=auth_method,
            redirect_uris=chosen.redirect_uri,
            post_logout_redirect_uris=chosen.post_logout_redirect_uri,
        )
    )
    return provider


def main(arguments: list[str] | None = None) -> None:
    """Run a provider in the foreground until interrupted; the first line of output says where it is."""
    with _from_arguments(_parse_arguments(arguments)) as provider:
        client = provider.client
        where = {"issuer": provider.issuer, "client_id": client.client_id, "client_secret": client.client_secret}
        print(json.dumps(where), flush=True)
        try:
            provider.join()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
