"""Secrets that the configuration keeps in files: read them into its tables, and check who else can reach them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from bff.secret_files import Exposure, find_exposure
from bff.settings.faults import FormFault, Place, place_of
from bff.settings.tables import SECRET_FIELDS

FIXES = {
    "keys": "make it with `vestibule keys new FILE`",
    "client_secret": "put the secret that the provider issued into it",
    "client_key": "put the PEM private key into it",
    "proxy_url": "put the proxy's address into it, such as http://user:password@proxy.example.com:3128",
}


@dataclass(frozen=True, slots=True)
class ExposedFile:
    """A file with secrets that others may read or change. If `is_refused`, nothing starts."""

    fault: FormFault
    is_refused: bool


def exposed_files(
    tables: Mapping[str, Any], own: Mapping[str, Any], *, file: Path | None, folder: Path, environ: Mapping[str, str]
) -> Iterator[ExposedFile]:
    """Judge each file with secrets that `tables` name, and the configuration `file` itself, which holds `own`.

    A file that everybody may change or replace is always refused. One that everybody may read is refused in production.
    Anything else gets a warning.
    """
    server = tables.get("server")
    is_development = isinstance(server, Mapping) and server.get("environment") == "development"
    for place, path in (*secret_paths(tables, folder), *_itself(file)):
        try:
            exposure = find_exposure(path, environ=environ)
        except OSError:
            continue  # the code that reads it reports what is wrong
        if exposure is None or (not place and exposure.what == "read" and not holds_secrets(own)):
            continue
        is_open = exposure.who == "everybody" and (exposure.what == "change" or not is_development)
        yield ExposedFile(FormFault(place, exposure.message, _fix(exposure, place)), is_open)


def _fix(exposure: Exposure, place: Place) -> str:
    if not place and exposure.what == "read":
        return f"it holds a secret: {exposure.fix}, or move the secret into a separate file"
    return exposure.fix


def _itself(file: Path | None) -> Iterator[tuple[Place, Path]]:
    if file is not None:
        yield (), file


def secret_paths(tables: Mapping[str, Any], folder: Path) -> Iterator[tuple[Place, Path]]:
    """Yield (key, file) of every secret in a file, of our certificate's private key, and of the key for Redis."""
    for place, names in SECRET_FIELDS.items():
        for label, table in tables_at(dict(tables), place):
            for name in names:
                if path := table.get(f"{name}_file"):
                    yield (*place_of(label), f"{name}_file"), folder / str(path)
    server, store = tables.get("server"), tables.get("store")
    tls = server.get("tls") if isinstance(server, Mapping) else None
    if isinstance(tls, Mapping) and tls.get("key_file"):
        yield ("server", "tls", "key_file"), folder / str(tls["key_file"])
    url = store.get("url") if isinstance(store, Mapping) else None
    for path in _key_files_of(url if isinstance(url, str) else ""):
        yield ("store", "url"), Path(path)


def _key_files_of(url: str) -> list[str]:
    try:
        return parse_qs(urlsplit(url).query).get("key_file", [])
    except ValueError:
        return []  # not a URL: the rules report it


def holds_secrets(tables: Mapping[str, Any]) -> bool:
    return any(
        table.get(name)
        for place, names in SECRET_FIELDS.items()
        for _, table in tables_at(dict(tables), place)
        for name in names
        if not (name in ("url", "proxy_url") and not _has_password(str(table.get(name))))
    )


def _has_password(url: str) -> bool:
    """True if the URL of a store or proxy has a login before its host, or the sentinels' password in its query."""
    return "@" in url or "password=" in url.lower()


def place_files(tables: MutableMapping[str, Any], *, folder: Path) -> None:
    """Let relative paths of certificates and of a page's Python start at `folder`, like those of secrets."""
    for _, table in (*tables_at(tables, "server.*"), *tables_at(tables, "providers.*")):
        _place(table, ("certificate_file", "key_file", "ca_file"), folder)
    for _, route in tables_at(tables, "routes"):
        _place(route, ("ca_file",), folder)
        if isinstance(page := route.get("streamlit"), Mapping) and "/" in str(page.get("python")):
            route["streamlit"] = page = dict(page)
            _place(page, ("python",), folder)


def _place(table: MutableMapping[str, Any], keys: tuple[str, ...], folder: Path) -> None:
    for key in keys:
        if isinstance(path := table.get(key), str) and path:
            table[key] = str(folder / path)


def read_secret_files(raw: MutableMapping[str, Any], *, folder: Path) -> Iterator[FormFault]:
    """Put the content of the files into `raw`. Report each file that is missing, empty or not readable."""
    for place, names in SECRET_FIELDS.items():
        for label, table in tables_at(raw, place):
            for name in names:
                path = table.pop(f"{name}_file", "")
                if not path:
                    continue
                at: Place = (*place_of(label), f"{name}_file")
                if table.get(name):
                    yield FormFault(at, f"given beside {name}", f"keep one of {name} and {name}_file")
                    continue
                try:
                    text = (folder / str(path)).read_text(encoding="utf-8")
                except (OSError, UnicodeDecodeError) as exc:
                    yield FormFault(at, *_unreadable(exc, path, name))
                    continue
                if not text.strip():
                    yield FormFault(at, f"{path} is empty", FIXES.get(name, "put the secret into it"))
                    continue
                lines = [line.strip() for line in text.splitlines() if line.strip()]
                table[name] = lines if name == "keys" else text.strip()


def _unreadable(error: OSError | UnicodeDecodeError, path: object, name: str) -> tuple[str, str]:
    if isinstance(error, FileNotFoundError):
        return f"no file {path}", FIXES.get(name, "put the secret into it, and let only its owner read it")
    return f"{path} cannot be read: {type(error).__name__}", "check the path and who may read it"


def tables_at(raw: MutableMapping[str, Any], place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the tables at `place`, as copies in `raw` that can be changed. `x.*` means every table below x.

    A list of tables yields each of them, as `x[0]`.
    """
    head, _, rest = place.partition(".")
    table = raw.get(head)
    if isinstance(table, list | tuple):
        raw[head] = rows = [dict(row) if isinstance(row, Mapping) else row for row in table]
        yield from ((f"{head}[{number}]", row) for number, row in enumerate(rows) if isinstance(row, dict))
        return
    if not isinstance(table, Mapping):
        return
    raw[head] = table = dict(table)
    if not rest:
        yield head, table
        return
    for name, inner in table.items():
        if isinstance(inner, Mapping):
            table[name] = copied = dict(inner)
            yield f"{head}.{name}", copied
