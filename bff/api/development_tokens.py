"""Tokens for development on one machine: made with `VESTIBULE_DEV_SECRET`, accepted from loopback only.

export VESTIBULE_DEV_SECRET=$(python -c "import secrets; print(secrets.token_urlsafe(48))")
python -m bff.api.development_tokens alice analyst admin
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv6Address, ip_address
from typing import Any, Final

import jwt

from bff.api.settings import MIN_SECRET_BYTES, JWTBearerMisconfigured
from bff.contract import DEV_AUDIENCE, DEV_ISSUER, ENV_DEV_SECRET, TYP_UPSTREAM
from bff.errors import InvalidToken

HOUR: Final = 3600
FORWARDING: Final = frozenset(
    {
        b"cf-connecting-ip",
        b"forwarded",
        b"true-client-ip",
        b"via",
        b"x-client-ip",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-proto",
        b"x-real-ip",
    }
)
"""Headers that a proxy adds. Behind a proxy on the same machine, everybody seems to come from loopback."""


def mint_development_token(
    sub: str,
    *,
    roles: Iterable[str] = (),
    scopes: Iterable[str] = (),
    groups: Iterable[str] = (),
    email: str = "",
    name: str = "",
    claims: Mapping[str, Any] | None = None,
    seconds: float = HOUR,
    issuer: str = DEV_ISSUER,
    audience: str = DEV_AUDIENCE,
    secret: str = "",
    now: float | None = None,
) -> str:
    """Make a bearer token that `JWTBearer.from_env()` accepts if it has the same secret.

    The secret is `VESTIBULE_DEV_SECRET` unless given. `claims` replace the others. `now` is Unix seconds.

    Raises:
        JWTBearerMisconfigured: there is no secret, or it is shorter than 32 bytes.
    """
    key = secret or os.environ.get(ENV_DEV_SECRET, "")
    if len(key.encode()) < MIN_SECRET_BYTES:
        raise JWTBearerMisconfigured(f"{ENV_DEV_SECRET} is not set, or shorter than {MIN_SECRET_BYTES} bytes")
    issued_at = int(time.time() if now is None else now)
    payload = {
        "iss": issuer,
        "aud": audience,
        "sub": sub,
        "iat": issued_at,
        "exp": issued_at + int(seconds),
        "roles": list(roles),
        "groups": list(groups),
        "scope": " ".join(scopes),
        "email": email or f"{sub}@example.com",
        "name": name or sub.title(),
        "preferred_username": sub,
        **(claims or {}),
    }
    return jwt.encode(payload, key, algorithm="HS256", headers={"typ": TYP_UPSTREAM})


def check_loopback(scope: Mapping[str, Any] | None) -> None:
    """Refuse a connection (ASGI scope) that does not come from this machine, or that came through a proxy.

    Raises:
        InvalidToken: `bearer_development`.
    """
    if scope is None or not is_from_loopback(scope):
        raise InvalidToken(
            "bearer_development", detail="development tokens are valid from loopback only, without a proxy"
        )


def is_from_loopback(scope: Mapping[str, Any]) -> bool:
    if any(name.lower() in FORWARDING for name, _ in scope["headers"]):
        return False
    client = scope.get("client")
    try:
        address = ip_address(client[0] if client else "")
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped.is_loopback
    return address.is_loopback


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a token for a person with roles."""
    parser = argparse.ArgumentParser(prog="python -m bff.api.development_tokens", description=main.__doc__)
    parser.add_argument("sub")
    parser.add_argument("roles", nargs="*")
    parser.add_argument("--scope", action="append", default=[])
    chosen = parser.parse_args(arguments)
    try:
        print(mint_development_token(chosen.sub, roles=chosen.roles, scopes=chosen.scope))
    except JWTBearerMisconfigured as exc:
        parser.error(str(exc))


if __name__ == "__main__":
    main()
