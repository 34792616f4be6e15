"""Read a Redis URL: the kind of deployment, the servers, our user there, and how the connection is secured.

| URL | deployment |
|---|---|
| `redis://[user:password@]host[:port][/db]` | one server, plain |
| `rediss://[user:password@]host[:port][/db]?ca_file=…` | one server, TLS |
| `redis+sentinel://[user:password@]host:port,host:port/service[/db]` | primary and replicas, watched by sentinels |
| `redis+cluster://[user:password@]host:port,host:port` | cluster |

Query: `ca_file, certificate_file, key_file` (PEM files), `tls=true` where the scheme does not say it, `replicas` (how
many must confirm an important write), `sentinel_username, sentinel_password`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

Kind = Literal["single", "sentinel", "cluster"]
KINDS: dict[str, Kind] = {
    "redis": "single",
    "rediss": "single",
    "redis+sentinel": "sentinel",
    "redis+cluster": "cluster",
}
DEFAULT_PORTS: dict[Kind, int] = {"single": 6379, "sentinel": 26379, "cluster": 6379}
TLS_FILES = ("ca_file", "certificate_file", "key_file")
QUERY_KEYS = frozenset({*TLS_FILES, "tls", "replicas", "sentinel_username", "sentinel_password"})


class RedisUrlRejected(ValueError):
    """The URL names no Redis deployment. The message says what to fix and never repeats the URL."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Login:
    """An ACL user. Both fields are empty if the server asks for none."""

    username: str = ""
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files of a secured connection. With an empty `ca_file`, the authorities of the system are trusted."""

    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisTarget:
    """A parsed URL. `replicas` is how many must confirm an important write; None if the deployment decides."""

    kind: Kind
    addresses: tuple[Address, ...]
    login: Login = Login()
    sentinel_login: Login = Login()
    service: str = ""
    db: int = 0
    tls: TlsFiles | None = None
    replicas: int | None = None


def parse_redis_url(url: str) -> RedisTarget:
    """Read a `store.url` of one of the Redis kinds.

    Raises:
        RedisUrlRejected: another scheme, a missing or malformed part, an unknown query key.
    """
    split = _split(url)
    kind = KINDS[split.scheme]
    query = _read_query(split)
    service, db = _read_path(split.path, kind)
    user, _, hosts = split.netloc.rpartition("@")
    username, _, password = user.partition(":")
    addresses = tuple(_read_address(host, default_port=DEFAULT_PORTS[kind]) for host in hosts.split(","))
    if kind == "single" and len(addresses) > 1:
        raise RedisUrlRejected("several hosts: use redis+sentinel:// or redis+cluster://")
    return RedisTarget(
        kind=kind,
        addresses=addresses,
        login=Login(unquote(username), unquote(password)),
        sentinel_login=Login(query.get("sentinel_username", ""), query.get("sentinel_password", "")),
        service=service,
        db=db,
        tls=_read_tls(split.scheme, query),
        replicas=_read_count(query["replicas"]) if "replicas" in query else None,
    )


def missing_files(target: RedisTarget) -> list[str]:
    """Return the names of the query keys whose file does not exist."""
    if target.tls is None:
        return []
    return [key for key in TLS_FILES if (path := getattr(target.tls, key)) and not Path(path).is_file()]


def _split(url: str) -> SplitResult:
    try:
        split = urlsplit(url)
    except ValueError:
        raise RedisUrlRejected("not a URL") from None
    if split.scheme not in KINDS:
        raise RedisUrlRejected("unknown scheme: use redis://, rediss://, redis+sentinel:// or redis+cluster://")
    if split.fragment or "?" in split.netloc:
        raise RedisUrlRejected("holds # or ?: write special characters of a password as %23 and %3F")
    return split


def _read_query(split: SplitResult) -> dict[str, str]:
    try:
        pairs = parse_qsl(split.query, keep_blank_values=True, strict_parsing=bool(split.query))
    except ValueError:
        raise RedisUrlRejected("the part after ? is not key=value&key=value") from None
    query = dict(pairs)
    if len(query) != len(pairs):
        raise RedisUrlRejected("a key is given twice after ?")
    unknown = sorted(set(query) - QUERY_KEYS)
    if unknown:
        raise RedisUrlRejected(f"unknown key after ?: known are {', '.join(sorted(QUERY_KEYS))}")
    if KINDS[split.scheme] != "sentinel" and any(key.startswith("sentinel_") for key in query):
        raise RedisUrlRejected("sentinel_username and sentinel_password belong to redis+sentinel://")
    return query


def _read_path(path: str, kind: Kind) -> tuple[str, int]:
    parts = [unquote(part) for part in path.split("/")[1:] if part]
    service = ""
    if kind == "sentinel":
        if not parts:
            raise RedisUrlRejected("no service name: write it as redis+sentinel://host:port,host:port/service")
        service, *parts = parts
    if len(parts) > 1:
        raise RedisUrlRejected("the path is longer than the number of a database")
    db = _read_count(parts[0]) if parts else 0
    if kind == "cluster" and db:
        raise RedisUrlRejected("a cluster has only database 0")
    return service, db


def _read_address(text: str, *, default_port: int) -> Address:
    bracketed, _, after = text.rpartition("]")
    host, _, port = after.rpartition(":") if ":" in after else (after, "", "")
    host = bracketed.removeprefix("[") if bracketed else host
    if not host or "[" in host or not (port == "" or (port.isascii() and port.isdigit() and 0 < int(port) < 65536)):
        raise RedisUrlRejected("a host is missing or its port is not a number: write host:port, separated by commas")
    return Address(unquote(host), int(port or default_port))


def _read_tls(scheme: str, query: dict[str, str]) -> TlsFiles | None:
    files = TlsFiles(**{key: query.get(key, "") for key in TLS_FILES})
    if query.get("tls", "true") not in ("true", "false"):
        raise RedisUrlRejected("tls is neither true nor false")
    wanted = scheme == "rediss" or query.get("tls") == "true"
    if scheme == "redis" and (wanted or files != TlsFiles()):
        raise RedisUrlRejected("TLS to one server is written rediss://")
    if scheme == "rediss" and query.get("tls") == "false":
        raise RedisUrlRejected("rediss:// and tls=false contradict each other")
    if files != TlsFiles() and not wanted:
        raise RedisUrlRejected("certificate files without tls=true")
    if bool(files.certificate_file) != bool(files.key_file):
        raise RedisUrlRejected("certificate_file and key_file go together")
    return files if wanted else None


def _read_count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 4):
        raise RedisUrlRejected("the database or the number of replicas is not a small number")
    return int(text)
