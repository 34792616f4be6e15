"""A whole front door on one machine: a mock identity provider, an API, a Streamlit app, and settings that join them.

Shared by `vestibule demo` and `vestibule dev`. Nothing is written to disk: keys and secrets are made for one run. The
provider is on 127.0.0.1 and the door on localhost, two sites to a browser, so that cookies behave as they will later.
Both are at one port, and the door passes requests on to the provider: so one forwarded port brings all to a browser on
another machine.
"""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bff.settings.loading import ConfigurationError, parse_settings
from bff.settings.public_urls import PublicUrls
from bff.settings.tables import Settings
from gateway.cli.key_files import new_key, new_secret
from gateway.faults import UsageFault
from gateway.processes.children import ChildSpec, minimal_environment
from gateway.processes.readiness import http_probe

HOST = "127.0.0.1"
PROVIDER = "mock"
CLIENT_ID = "vestibule"
DEFAULT_PORT = 8000
DEFAULT_HOST = "localhost"
EVERYWHERE = ("0.0.0.0", "::")
DEFAULT_API_PREFIX = "/api"
DEFAULT_API_SECONDS = 60.0
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


@dataclass(frozen=True, slots=True)
class Person:
    """A person who can sign in at the mock provider as `name`."""

    name: str
    roles: tuple[str, ...] = ()

    def claims(self) -> dict[str, Any]:
        """Return the claims about this person in the ID token and at userinfo."""
        short = self.name.partition("@")[0]
        return {
            "sub": self.name,
            "name": short.replace(".", " ").replace("_", " ").title(),
            "preferred_username": short,
            "email": self.name if "@" in self.name else f"{self.name}@example.com",
            "email_verified": True,
            "roles": list(self.roles),
            "groups": ["everybody"],
        }

    def __str__(self) -> str:
        return f"{self.name} ({', '.join(self.roles)})" if self.roles else self.name


def parse_people(texts: Sequence[str]) -> tuple[Person, ...]:
    """Parse people such as `alice:analyst+admin` or `bob`, also several with commas. Without any there is one: dev.

    Raises:
        UsageFault: a name or role that no provider would have, or a name that is given twice.
    """
    people: list[Person] = []
    for text in (part.strip() for whole in texts for part in whole.split(",")):
        name, _, roles = text.partition(":")
        given = tuple(role for role in roles.split("+") if role)
        if not all(NAME.fullmatch(word) for word in (name, *given)):
            raise UsageFault(
                f"--as {text!r}: write a name, or name:role, or name:role+role; names and roles are letters and digits "
                "of ASCII, and . _ @ - after the first, at most 64"
            )
        if any(person.name == name for person in people):
            raise UsageFault(f"--as: {name} is given twice; join the roles with +")
        people.append(Person(name, given))
    return tuple(people) or (Person("dev"),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """The parts of one run. Ports are on 127.0.0.1."""

    port: int
    provider_port: int
    """Where the provider itself listens; browsers reach it through the door, at `issuer`."""
    app: Path
    app_id: str
    app_title: str = ""
    host: str = DEFAULT_HOST
    """Where the door listens: only on this machine, or on all addresses."""
    app_variables: Mapping[str, str] | None = None
    """Variables that the app's process gets in addition to the minimum."""
    app_sandbox: Mapping[str, Any] | None = None
    """Keys `sandbox`, `read` and `write` of the app's [routes.streamlit]."""
    api_port: int = 0
    """0 if there is no API."""
    api_prefix: str = DEFAULT_API_PREFIX
    api_seconds: float = DEFAULT_API_SECONDS
    """The longest wait for the start of the API's answer."""
    audience: str = "api"
    client_secret: str = field(default_factory=new_secret, repr=False)
    """Of the front door at the provider."""

    @property
    def public_url(self) -> str:
        return f"http://localhost:{self.port}"

    @property
    def title(self) -> str:
        return self.app_title or self.app.stem

    @property
    def issuer(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def provider_url(self) -> str:
        return f"http://{HOST}:{self.provider_port}"


def build_settings(scene: Scene) -> Settings:
    """Build development settings with new secrets for this run.

    Raises:
        UsageFault: the scene contradicts itself, for example with an API prefix below the path of the sign-in.
    """
    routes = [_app_route(scene), _provider_route(scene)]
    if scene.api_port:
        routes.append(_api_route(scene))
    tables = {
        "server": {
            "public_url": scene.public_url,
            "bind": f"{scene.host}:{scene.port}",
            "origins": [scene.issuer],
            "management_bind": f"{HOST}:0",
            "environment": "development",
            "internal_hosts": [f"{HOST}:{scene.port}"],
        },
        "secrets": {"keys": [new_key()], "admin_token": new_secret()},
        "providers": {
            PROVIDER: {
                "issuer": scene.issuer,
                "backchannel_url": scene.provider_url,
                "display_name": "Mock provider",
                "client_id": CLIENT_ID,
                "client_secret": scene.client_secret,
                "id_token_alg": "ES256",
                "roles_claim": "roles",
                "roles_from": ["userinfo", "id_token"],
            }
        },
        "kit_clients": {
            scene.app_id: {
                "secret": new_secret(),
                "routes": ["api"] if scene.api_port else [],
                "audiences": [scene.audience] if scene.api_port else [],
            }
        },
        "routes": routes,
        "log": {"format": "console", "access": "refused"},
    }
    try:
        return parse_settings(tables, source="the command line")
    except ConfigurationError as exc:
        raise UsageFault(str(exc)) from None


def _app_route(scene: Scene) -> dict[str, Any]:
    return {
        "id": scene.app_id,
        "path": "/",
        "upstream": f"streamlit:{scene.app}",
        "kit": scene.app_id,
        "title": scene.title,
        "streamlit": {
            "cwd": str(scene.app.parent),
            "env": dict(scene.app_variables or {}),
            **(scene.app_sandbox or {}),
        },
    }


def _provider_route(scene: Scene) -> dict[str, Any]:
    """Pass everything at the provider's host on to it, unchanged and open to everybody."""
    return {
        "id": PROVIDER,
        "host": f"{HOST}:{scene.port}",
        "path": "/",
        "upstream": scene.provider_url,
        "kind": "page",
        "auth": "public",
        "identity_headers": "none",
        "csrf": "off",
        "session_guard": "off",
        "security_headers": "off",
    }


def _api_route(scene: Scene) -> dict[str, Any]:
    return {
        "id": "api",
        "path": scene.api_prefix.rstrip("/") + "/",
        "upstream": f"http://{HOST}:{scene.api_port}",
        "strip_prefix": True,
        "kind": "api",
        "token": "assertion",
        "audience": scene.audience,
        "csrf": "fetch",
        "timeouts": {"connect": 2, "first_byte": scene.api_seconds},
    }


def provider_child(scene: Scene, people: Sequence[Person], *, environ: Mapping[str, str]) -> ChildSpec:
    """The mock provider: its page lists `people`, and the front door is its one client."""
    urls = PublicUrls(scene.public_url)
    configuration = {
        "port": scene.provider_port,
        "issuer": scene.issuer,
        "people": [person.claims() for person in people],
        "audience": scene.audience,
        "client": {
            "client_id": CLIENT_ID,
            "secret": scene.client_secret,
            "name": scene.title,
            "uri": scene.public_url,
            "redirect_uris": [urls.callback(PROVIDER)],
            "post_logout_redirect_uris": [urls.post_logout],
            "backchannel_logout_uri": urls.backchannel_logout(PROVIDER),
        },
    }
    return ChildSpec(
        name="provider",
        program=("-m", "bff.testing.provider"),
        # The safe path is for this program: a module in the current folder must not replace one that it needs.
        environment=minimal_environment(environ) | {"PYTHONSAFEPATH": "1"},
        handed=json.dumps(configuration).encode(),
        ready=http_probe(f"{scene.provider_url}/.well-known/openid-configuration"),
        voice="quiet",
    )


def api_variables(scene: Scene) -> dict[str, str]:
    """Return what `JWTBearer.from_env()` reads: issuer, audience, and the address of the keys."""
    return {
        "VESTIBULE_JWT__ISSUER": scene.public_url,
        "VESTIBULE_JWT__AUDIENCE": scene.audience,
        "VESTIBULE_JWT__JWKS_URL": f"http://{HOST}:{scene.port}/auth/jwks.json",
    }


def validate_host(host: str) -> None:
    """Raises UsageFault: `host` is another address than this machine's own, or all."""
    if host not in (DEFAULT_HOST, *EVERYWHERE):
        raise UsageFault(
            f"--host {host}: write {DEFAULT_HOST} for this machine only, or 0.0.0.0 for all addresses, as in a "
            "container; browsers open http://localhost in both cases"
        )


def remote_hints(scene: Scene, *, environ: Mapping[str, str]) -> list[str]:
    """Say how a browser on another machine gets here, and who else does."""
    login = environ.get("USER") or environ.get("LOGNAME") or "you"
    connection = environ.get("SSH_CONNECTION", "").split()
    machine = connection[2] if len(connection) == 4 else "this-machine"
    hints = [
        f"To use it from another machine, run there: ssh -L {scene.port}:localhost:{scene.port} {login}@{machine}",
        "and open the same address. Port forwarding needs the same port at both ends.",
    ]
    if scene.host in EVERYWHERE:
        hints.append(
            f"It listens on {scene.host}: everybody who reaches it can sign in as anybody, without a password."
        )
    return hints


def require_module(module: str, distribution: str) -> None:
    """Check that `module` is installed. If not, the fault says what to install.

    Raises:
        UsageFault: `module` is not installed.
    """
    if importlib.util.find_spec(module) is None:
        raise UsageFault(f"{distribution} is not installed. In your clone of Vestibule, run: pip install -e '.[demo]'")


def welcome(
    scene: Scene, people: Sequence[Person], *, title: str, hints: Sequence[str], trouble: Sequence[str] = ()
) -> str:
    """Write what a person needs to know, on one screen. `trouble`: what does not work."""
    but = ", but its API is not" if trouble else ""
    lines = ["", f"  {title} is ready{but}: {scene.public_url}", ""]
    if trouble:
        lines += [*(f"  {line}" for line in trouble), ""]
    lines += [f"  Sign in as  {person}" for person in people]
    if hints:
        lines += ["", *(f"  {hint}" for hint in hints)]
    return "\n".join([*lines, "", "  Ctrl-C ends everything.", ""])
