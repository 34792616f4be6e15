"""Valid settings, keys, sessions and ID tokens. A test changes one thing in them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from bff.contract import Identity
from bff.oidc.authorization import LoginTransaction
from bff.oidc.jwks import VerificationKey, parse_jwks
from bff.sessions.keyring import Keyring
from bff.sessions.lifecycle import Opening, Sessions
from bff.sessions.record import Session, TokenSet
from bff.settings.loading import parse_settings
from bff.settings.tables import ProviderSettings, SessionSettings, Settings
from tests.fakes import FakeClock, SigningKey, generate_key, write_jws

NOW = 1_800_000_000
ISSUER = "https://idp.example.com/realms/corp"
CLIENT_ID = "vestibule"
KEY = b"unit-test-key-0123456789-abcdefghijklmnop"
OLD_KEY = b"older-unit-test-key-0123456789-zyxwvutsrq"
ALICE = Identity(sub="alice", iss=ISSUER, provider="corp", name="Alice Example", roles=("analyst",))


def counting_random(size: int) -> bytes:
    """Return other bytes at each call, for functions that take `random`."""
    return next(_NUMBERS).to_bytes(size, "big")


_NUMBERS = itertools.count(1)


def signing_key(alg: str = "RS256", kid: str = "k1") -> SigningKey:
    """One key per algorithm and name for the whole run: RSA keys are slow to make."""
    return _made_once(alg, kid)


@cache
def _made_once(alg: str, kid: str) -> SigningKey:
    return generate_key(alg, kid=kid)


def published(*keys: SigningKey, **over: Any) -> tuple[VerificationKey, ...]:
    """What a client reads from a JWK Set with `keys`. `over` replaces members of the keys."""
    return parse_jwks({"keys": [key.public_jwk | over for key in keys]})


def jwt_of(
    claims: Mapping[str, Any] | bytes,
    *,
    key: SigningKey | str | bytes | None = None,
    alg: str = "",
    header: Mapping[str, Any] | None = None,
    drop: tuple[str, ...] = (),
) -> str:
    """A signed token. `header` replaces members of a correct header, `drop` removes members."""
    signer = signing_key() if key is None and alg in ("", "RS256") else key
    used = alg or (signer.alg if isinstance(signer, SigningKey) else "HS256")
    kid = {"kid": signer.kid} if isinstance(signer, SigningKey) else {}
    full = {"alg": used, **kid, "typ": "JWT", **(header or {})}
    return write_jws(
        claims, header={name: value for name, value in full.items() if name not in drop}, key=signer, alg=used
    )


def provider_settings(**over: Any) -> ProviderSettings:
    return ProviderSettings(**{"issuer": ISSUER, "client_id": CLIENT_ID, "client_secret": "unit-test-secret"} | over)


def settings(**tables: Any) -> Settings:
    """A valid production configuration. Each table of `tables` replaces keys of it, one level deep."""
    raw: dict[str, Any] = {
        "server": {"public_url": "https://apps.example.com"},
        "secrets": {"keys": [KEY.decode()]},
        "providers": {"corp": {"issuer": ISSUER, "client_id": CLIENT_ID, "client_secret": "unit-test-secret"}},
        "routes": [{"id": "api", "path": "/api/", "upstream": "http://127.0.0.1:9001"}],
    }
    for name, table in tables.items():
        raw[name] = {**raw[name], **table} if isinstance(raw.get(name), dict) else table
    return parse_settings(raw)


def keyring(*keys: bytes) -> Keyring:
    return Keyring(keys or [KEY])


def transaction(**over: Any) -> LoginTransaction:
    base = LoginTransaction(
        state="s" * 43,
        nonce="n" * 43,
        code_verifier="v" * 43,
        provider="corp",
        issuer=ISSUER,
        redirect_uri="https://apps.example.com/auth/callback/corp",
        origin="https://apps.example.com",
        return_to="/report?team=red",
        started_at=NOW,
    )
    return replace(base, **over)


def tokens(**over: Any) -> TokenSet:
    base = TokenSet(
        access_token="access-1",
        refresh_token="refresh-1",
        id_token="id-token-1",
        obtained_at=NOW,
        expires_at=NOW + 300,
        scope="openid models:read",
    )
    return replace(base, **over)


def session(**over: Any) -> Session:
    base = Session(
        name="ab" * 32,
        revision=0,
        identity=ALICE,
        tokens=tokens(),
        sid="sid-1",
        origin="https://apps.example.com",
        created_at=NOW,
        login_started_at=NOW - 5,
        absolute_expires_at=NOW + 43_200,
    )
    return replace(base, **over)


def opening(clock: FakeClock, **over: Any) -> Opening:
    """A sign-in of alice that started now."""
    base = Opening(
        identity=ALICE,
        tokens=tokens(obtained_at=clock(), expires_at=clock() + 300),
        sid="sid-1",
        origin="https://apps.example.com",
        login_started_at=clock(),
    )
    return replace(base, **over)


async def resume(sessions: Sessions, cookie: str) -> Session | None:
    """The live session behind the value of a session cookie, None if it signs nobody in."""
    name = sessions.name_of(cookie)
    return await sessions.load(name) if name else None


def session_settings(**over: Any) -> SessionSettings:
    return SessionSettings(**{"idle_seconds": 600, "absolute_seconds": 3600} | over)
