"""`vestibule init`: write a configuration that passes `vestibule config check`, and the secrets that it needs.

One secret can only come from the provider. Until it is known, its file is empty, and the check says so.
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import tomlkit
from tomlkit.items import Table

from bff.oidc.urls import is_loopback
from bff.settings.loading import ConfigurationError, load_draft, parse_settings
from bff.settings.profiles import profile_of_issuer
from bff.settings.public_urls import PublicUrls
from gateway.cli.configuration_file import NAME as FILE
from gateway.cli.configuration_file import find_configuration
from gateway.cli.key_files import new_key, new_secret, write_secret
from gateway.faults import CommandFault, UsageFault

SECRETS = "secrets"
PROVIDER = "idp"
"""The provider's name if neither option nor issuer gives one."""
GENERAL_LABELS = frozenset(
    {"account", "accounts", "auth", "iam", "id", "identity", "idp", "login", "oidc", "secure", "signin", "sso", "www"}
)
"""What many hosts of providers begin with. It would be no name for people."""
CLIENT_SECRET = "client-secret"
API_AUDIENCE = "api"
ROLES_CLAIM = "realm_access.roles"
DEFAULT_PUBLIC_URL = "http://localhost:8000"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """The options of the command line. `client_secret` is "" if it is not known yet.

    `streamlit` is a script, relative to the current folder.
    """

    issuer: str
    client_id: str
    client_secret: str = field(default="", repr=False)
    streamlit: str = ""
    api: str = ""
    public_url: str = DEFAULT_PUBLIC_URL
    provider: str = ""

    @property
    def provider_name(self) -> str:
        """Return the name of the provider's table: as wished, or what the issuer's address says."""
        return self.provider or profile_of_issuer(self.issuer) or name_of_issuer(self.issuer)

    @property
    def is_local(self) -> bool:
        """True if people use it only on this machine, and so without https."""
        return self.public_url.startswith("http://") and is_loopback(urlsplit(self.public_url))

    @property
    def script(self) -> Path:
        """Return the full path of the page's script: the configuration is in another folder."""
        return Path(os.path.abspath(self.streamlit))

    @property
    def app_id(self) -> str:
        """Return the app's route id and kit client: its file name, with only the letters that variables may have."""
        name = re.sub(r"[^a-z0-9]+", "_", self.script.stem.lower()).strip("_")
        return name if name and name != "api" else "app"


def name_of_issuer(issuer: str) -> str:
    """Make a name from the issuer's host: `acme` of login.acme.example. An address of numbers gives `idp`."""
    try:
        host = urlsplit(issuer).hostname or ""
    except ValueError:
        host = ""  # the rules of the settings report it
    labels = host.split(".")
    while len(labels) > 2 and labels[0] in GENERAL_LABELS:
        del labels[0]
    name = re.sub(r"[^a-z0-9]+", "_", labels[0]).strip("_")[:63]
    return name if len(labels) > 1 and name and not name.isdigit() else PROVIDER


@dataclass(frozen=True, slots=True)
class Written:
    """The result of `initialise`: the file, and what the person has to do next, one sentence per step."""

    file: Path
    next_steps: tuple[str, ...]


def initialise(
    wishes: Wishes, *, folder: Path, force: bool = False, environ: Mapping[str, str] = os.environ
) -> Written:
    """Write `vestibule.toml` and `secrets/` into `folder`, readable only by their owner. All files are written or none.

    Raises:
        UsageFault: the wishes make no working configuration, pages could read the secrets there, others could change
            them, or a file is there already and `force` is not given.
    """
    _validate(wishes)
    _see_that_it_is_kept_from_pages(wishes, folder)
    see_that_nobody_else_may_write(folder)
    places = {folder / SECRETS / name: value for name, value in _secrets(wishes).items()}
    places |= {folder / FILE: build_toml(wishes)}
    taken = sorted(str(path) for path in places if path.exists())
    if taken and not force:
        raise UsageFault(f"there already: {', '.join(taken)}; --force writes all of it anew, secrets too")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / SECRETS).mkdir(mode=0o700, exist_ok=True)
        (folder / SECRETS).chmod(0o700)
        (folder / SECRETS / ".gitignore").write_text("*\n", encoding="utf-8")
    except OSError as exc:
        raise CommandFault(f"{exc.filename} cannot be written: {exc.strerror}") from exc
    for path, text in places.items():
        write_secret(path, text, replace=force)
    _check(wishes, folder / FILE)
    return Written(folder / FILE, _next_steps(wishes, folder=folder, environ=environ))


def _see_that_it_is_kept_from_pages(wishes: Wishes, folder: Path) -> None:
    """Refuse a folder that a page could read: its code may read the script's folder and everything below."""
    pages = wishes.script.resolve().parent
    if wishes.streamlit and folder.resolve().is_relative_to(pages):
        raise UsageFault(
            f"the secrets in {folder} would lie in the folder of the page, {pages}, whose code could read them; put "
            "the page into a folder of its own, or name a place outside of it with --folder"
        )


def see_that_nobody_else_may_write(folder: Path) -> None:
    """Refuse a folder that others may write to, also further up. A sticky one such as /tmp protects what is in it."""
    place = folder.resolve()
    for one in (place, *place.parents):
        mode = one.stat().st_mode if one.is_dir() else 0
        is_open = mode & 0o022 if one == place else mode & stat.S_IWOTH and not mode & stat.S_ISVTX
        if is_open:
            raise UsageFault(f"others may write to {one}, and so could replace the secrets below it; chmod 700 {one}")


def _check(wishes: Wishes, file: Path) -> None:
    """Check the new configuration. The only fault allowed is a client secret that is not known yet."""
    try:
        missing = load_draft(file, environ={}).missing
    except ConfigurationError as error:
        raise UsageFault(str(error)) from None
    if wishes.client_secret and missing:
        raise UsageFault("\n".join(map(str, missing)))


def _validate(wishes: Wishes) -> None:
    if not wishes.streamlit and not wishes.api:
        raise UsageFault("nothing to put behind the sign-in; name --streamlit app.py, or --api http://127.0.0.1:9000")
    if wishes.streamlit and not wishes.script.is_file():
        raise UsageFault(f"no script {wishes.script}; correct --streamlit")
    try:
        raw = tomllib.loads(build_toml(wishes))
        secrets = _secrets(wishes)
        secrets[CLIENT_SECRET] = wishes.client_secret or new_secret()  # a stand-in for this check, never written
        parse_settings(_inline_secrets(raw, secrets), source="vestibule init")
    except (ConfigurationError, ValueError) as exc:
        raise UsageFault(str(exc)) from None


def _secrets(wishes: Wishes) -> dict[str, str]:
    """Make the secrets: file name below `secrets/` → content."""
    secrets = {
        "keys": new_key(),
        "admin-token": new_secret(),
        CLIENT_SECRET: wishes.client_secret,
    }
    if wishes.streamlit:
        secrets[f"kit-{wishes.app_id}"] = new_secret()
    return secrets


def _inline_secrets(tables: Mapping[str, Any], secrets: Mapping[str, str]) -> dict[str, Any]:
    """Replace each `<name>_file` in `tables` with the secret that the file will hold."""
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
    """Build the configuration as tables, which `build_toml` writes with comments."""
    profile = profile_of_issuer(wishes.issuer)
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
            wishes.provider_name: {
                **({"profile": profile} if profile else {}),
                "issuer": wishes.issuer,
                "client_id": wishes.client_id,
                "client_secret_file": f"{SECRETS}/{CLIENT_SECRET}",
                "id_token_alg": "RS256",
                **({} if profile else {"roles_claim": ROLES_CLAIM}),
            }
        },
    }
    if wishes.streamlit:
        app = wishes.app_id
        page = {"id": app, "path": "/", "upstream": f"streamlit:{wishes.script}", "kit": app}
        routes.append(page | {"streamlit": {"cwd": str(wishes.script.parent)}})
        client = {"secret_file": f"{SECRETS}/kit-{app}", "routes": ["api"] if wishes.api else []}
        client["audiences"] = [API_AUDIENCE] if wishes.api else []
        tables["kit_clients"] = {app: client}
    return tables | {"routes": routes}


def _port(wishes: Wishes) -> int:
    """Return the port to listen on: that of a local public URL, or 8000 behind a proxy."""
    try:
        port = urlsplit(wishes.public_url).port
    except ValueError:
        port = None  # not a number: the rules of the settings report it
    return (port or 80) if wishes.is_local else 8000


COMMENTS = {
    "server": "For browsers. `vestibule config show` lists every key with its value; docs/configuration.md\n"
    "says what each one means.",
    "server.public_url": "the address people type; all absolute URLs start with it",
    "server.bind": "where this program listens: put a proxy with https in front, or set server.tls",
    "server.environment": '"development" allows plain http on this machine, do not use it elsewhere',
    "secrets": "One key or token per line, for their owner only. Change keys with `vestibule keys rotate`.",
    "store": 'Sessions. "memory://" forgets them when this program ends.',
    "providers": "Who signs people in. The name is part of the redirect URI to register.",
    "providers.profile": "recognised by its address; `vestibule config show` marks what it sets",
    "providers.issuer": "exactly as the provider's discovery document states it",
    "providers.id_token_alg": "what most providers sign with: `vestibule doctor` says if yours does not",
    "providers.roles_claim": 'Keycloak; often "roles" elsewhere: `vestibule doctor --login` shows it',
    "kit_clients": "What pages that use `streamlit_kit.prepare_client()` may call.",
    "routes": "What is behind the sign-in. The longest path wins; paths without a route are closed.",
    "routes.token": "this front door's own signed token; `access_token` sends the provider's instead",
    "routes.audience": "what the API checks: VESTIBULE_JWT__AUDIENCE",
    "routes.strip_prefix": "the API sees /users, not /api/users",
    "routes.streamlit": "The folder in which the page runs: its own, without secrets of this program.",
}


def build_toml(wishes: Wishes) -> str:
    """Write `build_tables` as TOML, with a comment where a reader may have a question."""
    document, tables = tomlkit.document(), build_tables(wishes)
    for name in ("server", "secrets", "store"):
        document.append(name, _table(name, tables[name]))
    document.append("providers", _group({name: _table("providers", one) for name, one in tables["providers"].items()}))
    if clients := tables.get("kit_clients"):
        document.append("kit_clients", _group({name: _table("kit_clients", one) for name, one in clients.items()}))
    rows = tomlkit.aot()
    for number, route in enumerate(tables["routes"]):
        rows.append(_table("routes", route, say=number == 0))
    document.append("routes", rows)
    return tomlkit.dumps(document).strip()


def _group(tables: Mapping[str, Table]) -> Table:
    """Hold tables without a heading of its own: `[providers.idp]`, and no `[providers]`."""
    group = tomlkit.table(is_super_table=True)
    for name, table in tables.items():
        group.append(name, table)
    return group


def _table(place: str, values: Mapping[str, Any], *, say: bool = True) -> Table:
    """Build a table: its comment below the heading if `say`, then each value with its own comment."""
    table = tomlkit.table()
    for line in COMMENTS.get(place, "").splitlines() if say else ():
        table.add(tomlkit.comment(line))
    for key, value in values.items():
        if isinstance(value, Mapping):
            table.append(key, _table(f"{place}.{key}", value))
            continue
        item = tomlkit.item(value)
        if comment := COMMENTS.get(f"{place}.{key}"):
            item.comment(comment)
        table.append(key, item)
    return table


def _next_steps(wishes: Wishes, *, folder: Path, environ: Mapping[str, str]) -> tuple[str, ...]:
    urls = PublicUrls(wishes.public_url.rstrip("/"))
    steps = [
        f"Register at {wishes.issuer} for client {wishes.client_id}: "
        f"redirect URI {urls.callback(wishes.provider_name)}",
        f"If the provider also asks for a post-logout redirect URI, register {urls.post_logout}",
    ]
    if not wishes.client_secret:
        file = folder / SECRETS / CLIENT_SECRET
        steps.append(
            f"Put the client secret that the provider issued into {file}; it is empty, and nothing can run yet"
        )
    if wishes.api:
        steps.append(
            f"Start the API with VESTIBULE_JWT__ISSUER={urls.base} VESTIBULE_JWT__AUDIENCE={API_AUDIENCE} "
            f"VESTIBULE_JWT__JWKS_URL={urls.jwks}"
        )
    found = find_configuration(None, environ=environ)
    is_found = found is not None and found.resolve() == (folder / FILE).resolve()
    config = "" if is_found else f" --config {folder / FILE}"
    return (*steps, f"Check it with: vestibule doctor{config}", f"Start it with: vestibule run{config}")
