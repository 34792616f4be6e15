"""`vestibule init`: a configuration that passes `vestibule config check` as it is, with the secrets it needs.

But for one secret that only the provider can give: until it is known its file is empty, and the check says so.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bff.configuration import ConfigurationError, load_settings, parse_settings
from bff.public_urls import PublicUrls
from bff.settings_rules import is_loopback
from gateway.faults import CommandFault, UsageFault
from gateway.key_files import new_key, new_secret, write_secret

FILE = "vestibule.toml"
SECRETS = "secrets"
PROVIDER = "corp"
CLIENT_SECRET = "client-secret"
API_AUDIENCE = "api"
ROLES_CLAIM = "realm_access.roles"
DEFAULT_PUBLIC_URL = "http://localhost:8000"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What was asked for on the command line. `client_secret` "" means that nobody knows it yet."""

    issuer: str
    client_id: str
    client_secret: str = field(default="", repr=False)
    streamlit: str = ""
    api: str = ""
    public_url: str = DEFAULT_PUBLIC_URL

    @property
    def is_local(self) -> bool:
        """On this machine alone, and so without https."""
        return self.public_url.startswith("http://") and is_loopback(urlsplit(self.public_url))

    @property
    def app_id(self) -> str:
        """Route id and kit client of the app: its file name in the letters that names may have."""
        name = re.sub(r"[^a-z0-9_-]+", "-", Path(self.streamlit).stem.lower()).strip("-_")
        return name if name and name != "api" else "app"


@dataclass(frozen=True, slots=True)
class Written:
    """What `initialise` left behind: the file, and what the person has to do next, one sentence each."""

    file: Path
    next_steps: tuple[str, ...]


def initialise(wishes: Wishes, *, folder: Path, force: bool = False) -> Written:
    """Write `vestibule.toml` and `secrets/` into `folder`. Nothing is written unless all of it can be.

    Raises:
        UsageFault: the wishes make no working configuration, or a file is there already and `force` is not given.
    """
    _validate(wishes, folder=folder)
    secrets = _secrets(wishes)
    files = {folder / FILE: build_toml(wishes), folder / SECRETS / ".gitignore": "*"}
    places = {folder / SECRETS / name: value for name, value in secrets.items()}
    taken = [str(path) for path in (folder / FILE, *places) if path.exists()]
    if taken and not force:
        raise UsageFault(f"there already: {', '.join(taken)}; --force writes all of it anew, secrets too")
    try:
        (folder / SECRETS).mkdir(mode=0o700, parents=True, exist_ok=True)
        for path, text in files.items():
            path.write_text(text + "\n", encoding="utf-8")
    except OSError as exc:
        raise CommandFault(f"{exc.filename} cannot be written: {exc.strerror}") from exc
    for path, text in places.items():
        write_secret(path, text, replace=force)
    _check(wishes, folder / FILE)
    return Written(folder / FILE, _next_steps(wishes, folder=folder))


def _check(wishes: Wishes, file: Path) -> None:
    """What was just written must pass, but for a client secret that nobody knows yet, or this command has a defect."""
    try:
        load_settings(file, environ={})
    except ConfigurationError as error:
        keys = [problem.key for problem in error.problems]
        if wishes.client_secret or keys != [f"providers.{PROVIDER}.client_secret_file"]:
            raise


def _validate(wishes: Wishes, *, folder: Path) -> None:
    if not wishes.streamlit and not wishes.api:
        raise UsageFault("nothing to put behind the sign-in; name --streamlit app.py, or --api http://127.0.0.1:9000")
    if wishes.streamlit and not (folder / wishes.streamlit).is_file():
        raise UsageFault(f"no script {folder / wishes.streamlit}; --streamlit is taken from --folder")
    try:
        raw = tomllib.loads(build_toml(wishes))
        secrets = _secrets(wishes)
        secrets[CLIENT_SECRET] = wishes.client_secret or new_secret()  # one to be judged in its place, never written
        parse_settings(_inline_secrets(raw, secrets), source="vestibule init")
    except (ConfigurationError, ValueError) as exc:
        raise UsageFault(str(exc)) from None


def _secrets(wishes: Wishes) -> dict[str, str]:
    """File name below `secrets/` → what goes into it."""
    secrets = {
        "keys": new_key(),
        "admin-token": new_secret(),
        CLIENT_SECRET: wishes.client_secret,
    }
    if wishes.streamlit:
        secrets[f"kit-{wishes.app_id}"] = new_secret()
    return secrets


def _inline_secrets(tables: Mapping[str, Any], secrets: Mapping[str, str]) -> dict[str, Any]:
    """`tables` with each `<name>_file` replaced by the secret that the file will hold."""
    plain: dict[str, Any] = {}
    for key, value in tables.items():
        if isinstance(value, Mapping):
            plain[key] = _inline_secrets(value, secrets)
        elif key.endswith("_file"):
            secret = secrets[Path(value).name]
            plain[key.removesuffix("_file")] = [secret] if key == "keys_file" else secret
        else:
            plain[key] = value
    return plain


def build_tables(wishes: Wishes) -> dict[str, Any]:
    """The configuration as tables: what `build_toml` writes with comments."""
    routes: list[dict[str, Any]] = []
    if wishes.api:
        routes.append(
            {
                "id": "api",
                "path": "/api/",
                "upstream": wishes.api,
                "strip_prefix": True,
                "kind": "api",
                "token": "assertion",
                "audience": API_AUDIENCE,
            }
        )
    tables: dict[str, Any] = {
        "server": {
            "public_url": wishes.public_url,
            "bind": f"{'localhost' if wishes.is_local else '127.0.0.1'}:{_port(wishes)}",
            "environment": "development" if wishes.is_local else "production",
        },
        "secrets": {"keys_file": f"{SECRETS}/keys", "admin_token_file": f"{SECRETS}/admin-token"},
        "store": {"url": "memory://"},
        "providers": {
            PROVIDER: {
                "issuer": wishes.issuer,
                "client_id": wishes.client_id,
                "client_secret_file": f"{SECRETS}/{CLIENT_SECRET}",
                "roles_claim": ROLES_CLAIM,
            }
        },
    }
    if wishes.streamlit:
        app = wishes.app_id
        routes.append({"id": app, "path": "/", "upstream": f"streamlit:{wishes.streamlit}", "kit": app})
        client = {"secret_file": f"{SECRETS}/kit-{app}", "routes": ["api"] if wishes.api else []}
        client["audiences"] = [API_AUDIENCE] if wishes.api else []
        tables["kit_clients"] = {app: client}
    return tables | {"routes": routes}


def _port(wishes: Wishes) -> int:
    """The port of a local public URL, which is also the one to listen on; 8000 behind a proxy."""
    try:
        port = urlsplit(wishes.public_url).port
    except ValueError:
        port = None  # no number: the settings' rules will say so
    return (port or 80) if wishes.is_local else 8000


COMMENTS = {
    "server": "Who we are to browsers. `vestibule config show` lists every key with its value; docs/configuration.md\n"
    "# says what each one means.",
    "server.public_url": "the address people type; source of every absolute URL",
    "server.bind": "where this program listens: put a proxy with https in front, or set server.tls",
    "server.environment": '"development" allows plain http on this machine, and nothing else should use it',
    "secrets": "One key or token per line; readable by their owner alone. Change keys with `vestibule keys rotate`.",
    "store": 'Sessions. "memory://" forgets them when this program ends.',
    f"providers.{PROVIDER}": "Who signs people in. The name is part of the redirect URI to register.",
    f"providers.{PROVIDER}.issuer": "exactly as the provider's discovery document states it",
    f"providers.{PROVIDER}.roles_claim": 'Keycloak; often "roles" elsewhere: `vestibule doctor --login` shows it',
    "kit_clients": "What pages that use `streamlit_kit.prepare_client()` may call.",
    "routes": "What lies behind the sign-in. The longest path wins; what no route names is closed.",
    "routes.token": "this front door's own signed token; `access_token` sends the provider's instead",
    "routes.audience": "what the API checks: VESTIBULE_JWT__AUDIENCE",
    "routes.strip_prefix": "the API sees /users, not /api/users",
}


def build_toml(wishes: Wishes) -> str:
    """`build_tables` as TOML, with a comment where a reader would ask."""
    lines: list[str] = []
    tables = build_tables(wishes)
    for name in ("server", "secrets", "store"):
        lines += _table(f"[{name}]", name, tables[name])
    lines += _table(f"[providers.{PROVIDER}]", f"providers.{PROVIDER}", tables["providers"][PROVIDER])
    for name, client in tables.get("kit_clients", {}).items():
        lines += _table(f"[kit_clients.{name}]", "kit_clients", client)
    for number, route in enumerate(tables["routes"]):
        lines += _table("[[routes]]", "routes", route, say=number == 0)
    return "\n".join(lines).strip()


def _table(heading: str, place: str, table: Mapping[str, Any], *, say: bool = True) -> list[str]:
    lines = [""]
    if say and place in COMMENTS:
        lines.append(f"# {COMMENTS[place]}")
    lines.append(heading)
    for key, value in table.items():
        comment = COMMENTS.get(f"{place}.{key}")
        lines.append(f"{key} = {json.dumps(value, ensure_ascii=False)}" + (f"  # {comment}" if comment else ""))
    return lines


def _next_steps(wishes: Wishes, *, folder: Path) -> tuple[str, ...]:
    urls = PublicUrls(wishes.public_url.rstrip("/"))
    steps = [
        f"Register at {wishes.issuer} for client {wishes.client_id}: redirect URI {urls.callback(PROVIDER)}",
        f"and, where it asks for one, post-logout redirect URI {urls.post_logout}",
    ]
    if not wishes.client_secret:
        file = folder / SECRETS / CLIENT_SECRET
        steps.append(f"Put the client secret that the provider issued into {file}; it is empty, and nothing runs yet")
    if wishes.api:
        steps.append(
            f"Start the API with VESTIBULE_JWT__ISSUER={urls.base} VESTIBULE_JWT__AUDIENCE={API_AUDIENCE} "
            f"VESTIBULE_JWT__JWKS_URL={urls.jwks}"
        )
    config = "" if folder == Path() else f" --config {folder / FILE}"
    return (*steps, f"Check it with: vestibule doctor{config}", f"Start it with: vestibule run{config}")
