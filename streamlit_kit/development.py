"""A page on one's own machine without a front door: `VESTIBULE_DEV_SECRET` makes every visitor one development person.

| variable | is |
|---|---|
| `VESTIBULE_DEV_SECRET` | the secret of the API's own `JWTBearer.from_env()`, 32 bytes or more |
| `VESTIBULE_DEV_PERSON` | `alice:analyst+admin`, a person and roles; `dev` without roles unless given |
| `VESTIBULE_DEV_API_URL` | where the API listens, on loopback; `http://127.0.0.1:8000` unless given |

Everybody who opens the page is that person. So the page refuses a front door and visitors from another machine.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

import jwt

from bff import contract
from bff.contract import Identity
from streamlit_kit.assertion import PageSession
from streamlit_kit.errors import KitMisconfigured
from streamlit_kit.paths import is_route_path
from streamlit_kit.settings import KitSettings

log = logging.getLogger(__name__)

ENV_DEV_PERSON: Final = "VESTIBULE_DEV_PERSON"
ENV_DEV_API_URL: Final = "VESTIBULE_DEV_API_URL"
DEFAULT_PERSON: Final = "dev"
DEFAULT_API_URL: Final = "http://127.0.0.1:8000"
MIN_SECRET_BYTES: Final = 32
TOKEN_SECONDS: Final = 60
SESSION_SECONDS: Final = 3600

_MARK_OF_FRONT_DOOR: Final = "x-vestibule-"
_MARKS_OF_PROXY: Final = frozenset(
    {
        "cf-connecting-ip",
        "forwarded",
        "true-client-ip",
        "via",
        "x-client-ip",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-real-ip",
    }
)
"""Headers with which the API refuses development tokens too: behind a proxy here, everybody comes from loopback."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Development:
    """The development person, and the API that is called. `api_url` has no trailing slash."""

    secret: str = field(repr=False)
    sub: str
    roles: tuple[str, ...]
    api_url: str

    @property
    def name(self) -> str:
        return self.sub.partition("@")[0].title()

    @property
    def email(self) -> str:
        return self.sub if "@" in self.sub else f"{self.sub}@example.com"

    @property
    def settings(self) -> KitSettings:
        """Return settings without a kit client, since there is no front door."""
        return KitSettings(url=self.api_url, client="", secret="")


def read_development(environ: Mapping[str, str]) -> Development | None:
    """Return the development person that `environ` asks for; None without `VESTIBULE_DEV_SECRET`.

    Raises: KitMisconfigured, naming the variables and never the secret.
    """
    secret = environ.get(contract.ENV_DEV_SECRET, "")
    if not secret:
        return None
    if environ.get(contract.ENV_KIT_URL, "").strip():
        raise KitMisconfigured(
            f"{contract.ENV_DEV_SECRET} and {contract.ENV_KIT_URL} are both set: a page has a front door, or a "
            "development person, not both. Unset one of them."
        )
    if len(secret.encode(errors="surrogateescape")) < MIN_SECRET_BYTES:
        raise KitMisconfigured(f"{contract.ENV_DEV_SECRET} is shorter than {MIN_SECRET_BYTES} bytes")
    sub, roles = _parse_person(environ.get(ENV_DEV_PERSON, "").strip() or DEFAULT_PERSON)
    api_url = (environ.get(ENV_DEV_API_URL, "").strip() or DEFAULT_API_URL).rstrip("/")
    if not _is_loopback_http(api_url):
        raise KitMisconfigured(f"{ENV_DEV_API_URL} must be a plain http address on loopback, such as {DEFAULT_API_URL}")
    return Development(secret=secret, sub=sub, roles=roles, api_url=api_url)


def warn_of_development(development: Development) -> None:
    """Log a warning about this mode. The caller does so once per process."""
    log.warning(
        "development: %s is set, so whoever opens this page from this machine is %r with the roles [%s] at %s",
        contract.ENV_DEV_SECRET,
        development.sub,
        ", ".join(development.roles),
        development.api_url,
    )


def mint_token(development: Development, *, now: float) -> str:
    """Make a bearer token for one call, good for 60 s. `now` is Unix seconds."""
    issued_at = int(now)
    payload = {
        "iss": contract.DEV_ISSUER,
        "aud": contract.DEV_AUDIENCE,
        "sub": development.sub,
        "iat": issued_at,
        "exp": issued_at + TOKEN_SECONDS,
        "name": development.name,
        "email": development.email,
        "preferred_username": development.sub,
        "roles": list(development.roles),
    }
    return jwt.encode(payload, development.secret, algorithm="HS256", headers={"typ": contract.TYP_UPSTREAM})


def build_authorization(development: Development) -> dict[str, str]:
    """Return `{"Authorization": "Bearer …"}` with a new token."""
    return {"Authorization": f"Bearer {mint_token(development, now=time.time())}"}


def find_development_session(development: Development) -> PageSession:
    """Return the development person's session on this page.

    Raises: KitMisconfigured for a page that a front door, a proxy or another machine opened.
    """
    import streamlit as st

    names = {name.lower() for name in st.context.headers}
    if any(name.startswith(_MARK_OF_FRONT_DOOR) for name in names) or contract.HEADER_SUBJECT_KEY.lower() in names:
        raise KitMisconfigured(
            f"{contract.ENV_DEV_SECRET} is set for a page that a front door opens: unset it, and set "
            f"{contract.ENV_KIT_URL}."
        )
    if names & _MARKS_OF_PROXY or not _is_this_machine(st.context.ip_address):
        raise KitMisconfigured(
            f"{contract.ENV_DEV_SECRET} is set, and this page was opened from another machine or by a proxy: it would "
            "make a stranger the development person. Start Streamlit with --server.address=127.0.0.1."
        )
    return PageSession(identity=_build_identity(development, now=time.time()), handle=DEFAULT_PERSON)


def _build_identity(development: Development, *, now: float) -> Identity:
    return Identity(
        sub=development.sub,
        iss=contract.DEV_ISSUER,
        provider="development",
        name=development.name,
        email=development.email,
        preferred_username=development.sub,
        roles=development.roles,
        auth_time=int(now),
        expires_at=int(now) + SESSION_SECONDS,
    )


def _parse_person(text: str) -> tuple[str, tuple[str, ...]]:
    sub, mark, rest = text.partition(":")
    roles = tuple(rest.split("+")) if mark else ()
    if not all(word and word.isprintable() and " " not in word for word in (sub, *roles)):
        raise KitMisconfigured(f"{ENV_DEV_PERSON} must be a person, or a person and roles as in alice:analyst+admin")
    return sub, roles


def _is_loopback_http(text: str) -> bool:
    if not text.isascii() or not text.isprintable() or any(mark in text for mark in " @?#\\"):
        return False
    try:
        url = urlsplit(text)
        is_dialable = url.scheme == "http" and url.port != 0
        host = url.hostname or ""
        is_here = host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
    return is_dialable and is_here and (not url.path or is_route_path(url.path))


def _is_this_machine(address: str | None) -> bool:
    # Streamlit says None for a visitor on loopback.
    try:
        return address is None or ip_address(address).is_loopback
    except ValueError:
        return False
