"""The settings of the kit from `VESTIBULE_KIT__*`: where the front door is, and which kit client this page is."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from bff import contract
from streamlit_kit.errors import KitMisconfigured
from streamlit_kit.paths import is_route_path

ENV_ROUTES: Final = "VESTIBULE_KIT__ROUTES"
ENV_AUTH_PATH: Final = "VESTIBULE_KIT__AUTH_PATH"
ENV_PUBLIC_URL: Final = "VESTIBULE_KIT__PUBLIC_URL"
ENV_NO_ROUTES: Final = "VESTIBULE_KIT__NO_ROUTES"

_CLIENT = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_AUTH_PATH = re.compile(r"/[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*")
_SECRET = re.compile(r"[\x21-\x7e]+")

_NOT_SET_UP: Final = (
    f"{contract.ENV_KIT_URL} is not set, and no front door started this page. While developing, run the page with "
    f"`vestibule dev app.py`. Elsewhere set {contract.ENV_KIT_URL}, {contract.ENV_KIT_CLIENT} and "
    f"{contract.ENV_KIT_SECRET} (or {contract.ENV_KIT_SECRET_FILE})."
)


@dataclass(frozen=True, slots=True)
class KitSettings:
    """How this process reaches the front door.

    `url` is what this process dials; `public_url` what browsers see, "" when it was not given and is `url`. Both
    without a trailing slash. `routes` maps route ids to paths, for pages the front door did not hand them to.
    `no_routes` is what to tell the author of a page that may call no route, "" for the usual words.
    """

    url: str
    client: str
    secret: str = field(repr=False)
    ca_file: str = ""
    routes: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    auth_path: str = contract.AUTH_PATH
    public_url: str = ""
    no_routes: str = ""

    @property
    def auth_url(self) -> str:
        """Base of the front door's own endpoints, as this process calls them."""
        return self.url + self.auth_path

    @property
    def has_front_door(self) -> bool:
        """False for a development person, whose calls go directly to the API."""
        return bool(self.client)

    @property
    def public_base(self) -> str:
        return self.public_url or self.url

    @property
    def public_auth_path(self) -> str:
        """Path of the front door's own endpoints on its public origin."""
        return urlsplit(self.public_base).path + self.auth_path

    @property
    def credential(self) -> str:
        """The value of `X-Vestibule-Kit`."""
        return f"{self.client}:{self.secret}"


def read_settings(environ: Mapping[str, str]) -> KitSettings:
    """Read the environment. All faults are reported at once.

    Raises: KitMisconfigured.
    """
    if not environ.get(contract.ENV_KIT_URL, "").strip():
        raise KitMisconfigured(_NOT_SET_UP)
    faults: list[str] = []
    settings = KitSettings(
        url=_url(environ, contract.ENV_KIT_URL, faults),
        client=_matching(environ, contract.ENV_KIT_CLIENT, _CLIENT, faults),
        secret=_secret(environ, faults),
        ca_file=_ca_file(environ, faults),
        routes=_routes(environ, faults),
        auth_path=_matching(environ, ENV_AUTH_PATH, _AUTH_PATH, faults, default=contract.AUTH_PATH),
        public_url=_url(environ, ENV_PUBLIC_URL, faults),
        no_routes=environ.get(ENV_NO_ROUTES, "").strip(),
    )
    if faults:
        raise KitMisconfigured("; ".join(faults))
    return settings


def _url(environ: Mapping[str, str], name: str, faults: list[str]) -> str:
    value = environ.get(name, "").strip().rstrip("/")
    if not value:
        return ""
    try:
        url = urlsplit(value)
        is_plain = url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:
        is_plain = False
    if not is_plain or "@" in value or "?" in value or "#" in value or not _SECRET.fullmatch(value):
        faults.append(f"{name} must be a plain http or https address")
    return value


def _matching(
    environ: Mapping[str, str], name: str, pattern: re.Pattern[str], faults: list[str], *, default: str = ""
) -> str:
    value = environ.get(name, "").strip() or default
    if not value:
        faults.append(f"{name} is not set")
    elif not pattern.fullmatch(value):
        faults.append(f"{name} has the wrong form")
    return value


def _secret(environ: Mapping[str, str], faults: list[str]) -> str:
    value = environ.get(contract.ENV_KIT_SECRET, "").strip()
    file = environ.get(contract.ENV_KIT_SECRET_FILE, "").strip()
    if value and file:
        faults.append(f"set one of {contract.ENV_KIT_SECRET} and {contract.ENV_KIT_SECRET_FILE}, not both")
        return ""
    if file:
        try:
            value = Path(file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            faults.append(f"the file that {contract.ENV_KIT_SECRET_FILE} names cannot be read")
            return ""
    if not value:
        faults.append(f"neither {contract.ENV_KIT_SECRET} nor {contract.ENV_KIT_SECRET_FILE} gives a secret")
    elif not _SECRET.fullmatch(value):
        faults.append("the secret of the kit client must be one line of printable ASCII without spaces")
    return value


def _ca_file(environ: Mapping[str, str], faults: list[str]) -> str:
    file = environ.get(contract.ENV_KIT_CA_FILE, "").strip()
    if file and not Path(file).is_file():
        faults.append(f"the file that {contract.ENV_KIT_CA_FILE} names is not there")
    return file


def _routes(environ: Mapping[str, str], faults: list[str]) -> Mapping[str, str]:
    text = environ.get(ENV_ROUTES, "").strip()
    if not text:
        return MappingProxyType({})
    try:
        routes = json.loads(text)
    except ValueError:
        routes = None
    if isinstance(routes, dict) and all(isinstance(path, str) and is_route_path(path) for path in routes.values()):
        return MappingProxyType(routes)
    faults.append(f'{ENV_ROUTES} must be JSON like {{"api": "/api/"}}')
    return MappingProxyType({})
