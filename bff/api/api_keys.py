"""API keys for automation: named, scoped, stored as hashes, sent in the header `X-API-Key` only.

    api_key = APIKey.from_env()

    @app.post("/imports", dependencies=[Depends(RequireScopes(api_key, "imports:write"))])

A file holds one key per line, `name:scope1+scope2:sha256hex`; `#` starts a comment. A key is 256 random bits, so one
SHA-256 of it is as safe as a slow hash. Two lines may share a name, so that a new key can replace an old one.

    python -m bff.api.api_keys nightly imports:write imports:read
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from fastapi import HTTPException
from fastapi.security import APIKeyHeader
from starlette.requests import HTTPConnection

from bff.secret_files import find_exposure

HEADER: Final = "X-API-Key"
ENV_KEYS: Final = "VESTIBULE_API_KEYS"
ENV_KEYS_FILE: Final = "VESTIBULE_API_KEYS_FILE"
KEY_BYTES: Final = 32
KEY_PREFIX: Final = "vak_"  # lets secret scanners know one when they see it
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_SCOPE: Final = re.compile(r"[!#-*,-\[\]-~]{1,128}")  # RFC 6749 section 3.3, without the + that separates them here
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_QUERY_NAMES: Final = frozenset({"x-api-key", "x_api_key", "api-key", "api_key", "apikey"})


class APIKeyMisconfigured(ValueError):
    """The list of keys is missing or unreadable; the message names the variable or file and the line, no content."""


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """The program that called: the name of its key, and the scopes of the key."""

    name: str
    scopes: frozenset[str]

    def has_scope(self, *scopes: str) -> bool:
        """True if the key has every one of `scopes`."""
        return all(scope in self.scopes for scope in scopes)


@dataclass(frozen=True, slots=True)
class MintedKey:
    """A new key for its holder, and the line that the API keeps instead of the key."""

    key: str = field(repr=False)
    line: str


@dataclass(frozen=True, slots=True)
class _Entry:
    holder: KeyHolder
    digest: bytes = field(repr=False)


class APIKey(APIKeyHeader):
    """A dependency that returns the `KeyHolder` of a valid key, and Swagger's Authorize button.

    `lines` are read once. To revoke a key, remove its line and restart the API.

    Raises:
        APIKeyMisconfigured: on construction, if a line cannot be read or comes twice, or if there is no line.
    """

    def __init__(self, lines: Iterable[str], *, source: str = "keys") -> None:
        super().__init__(name=HEADER, auto_error=False, scheme_name="APIKey")
        self._entries = _parse(lines, source)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> APIKey:
        """Read the file that `VESTIBULE_API_KEYS_FILE` names, or the lines in `VESTIBULE_API_KEYS`.

        Raises:
            APIKeyMisconfigured: naming the variable.
        """
        file, text = environ.get(ENV_KEYS_FILE, ""), environ.get(ENV_KEYS, "")
        if bool(file) == bool(text):
            raise APIKeyMisconfigured(f"set exactly one of {ENV_KEYS_FILE} and {ENV_KEYS}")
        if text:
            return cls(text.splitlines(), source=ENV_KEYS)
        try:
            exposure = find_exposure(Path(file), environ=environ)
            if exposure is not None and (exposure.who, exposure.what) == ("everybody", "change"):
                raise APIKeyMisconfigured(f"{ENV_KEYS_FILE}: {exposure.message}; {exposure.fix}")
            return cls(Path(file).read_text(encoding="utf-8").splitlines(), source=f"{ENV_KEYS_FILE} {file}")
        except (OSError, UnicodeDecodeError) as exc:
            raise APIKeyMisconfigured(f"{ENV_KEYS_FILE} {file} cannot be read: {type(exc).__name__}") from None

    async def __call__(self, request: HTTPConnection) -> KeyHolder:  # type: ignore[override]  # the holder, not the key
        """Return the program that made `request`, which may be a WebSocket handshake.

        Raises:
            HTTPException: 401, the same answer for every fault.
        """
        values = request.headers.getlist(HEADER)
        in_query = any(name.lower() in _QUERY_NAMES for name in request.query_params)
        holder = self.find(values[0]) if len(values) == 1 and not in_query else None
        if holder is None:
            problem = {"error": "invalid_key", "error_description": f"send one valid key, in {HEADER} and nowhere else"}
            raise HTTPException(401, problem, headers={"WWW-Authenticate": 'APIKey realm="api"'})
        return holder

    def find(self, key: str) -> KeyHolder | None:
        """Return the holder of `key`. A known and an unknown key take the same work."""
        digest = _digest(key)
        found = None
        for entry in self._entries:
            if hmac.compare_digest(entry.digest, digest):
                found = entry.holder
        return found


def mint_api_key(name: str, scopes: Iterable[str] = ()) -> MintedKey:
    """Make a new random key for the program `name`.

    Raises:
        APIKeyMisconfigured: the name or a scope cannot be written into a line.
    """
    key = KEY_PREFIX + secrets.token_urlsafe(KEY_BYTES)
    line = f"{name}:{'+'.join(scopes)}:{_digest(key).hex()}"
    _parse([line], "new key")
    return MintedKey(key, line)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8")).digest()


def _parse(lines: Iterable[str], source: str) -> tuple[_Entry, ...]:
    entries: list[_Entry] = []
    for number, raw in enumerate(lines, start=1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        entry = _parse_line(line)
        if entry is None:
            raise APIKeyMisconfigured(f"{source}, line {number}: write name:scope1+scope2:sha256hex")
        if any(entry.digest == other.digest for other in entries):
            raise APIKeyMisconfigured(f"{source}, line {number}: this key is in two lines")
        entries.append(entry)
    if not entries:
        raise APIKeyMisconfigured(f"{source}: there is no key")
    return tuple(entries)


def _parse_line(line: str) -> _Entry | None:
    """Read one line. Scopes may hold colons: the name ends at the first colon, the hash begins after the last."""
    name, _, rest = line.partition(":")
    scopes, colon, digest = rest.rpartition(":")
    words = scopes.split("+") if scopes else []
    if not colon or not _NAME.fullmatch(name) or not _HASH.fullmatch(digest) or not all(map(_SCOPE.fullmatch, words)):
        return None
    return _Entry(KeyHolder(name, frozenset(words)), bytes.fromhex(digest))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a new key, and the line that the API keeps."""
    parser = argparse.ArgumentParser(prog="python -m bff.api.api_keys", description=main.__doc__)
    parser.add_argument("name")
    parser.add_argument("scopes", nargs="*")
    chosen = parser.parse_args(arguments)
    try:
        minted = mint_api_key(chosen.name, chosen.scopes)
    except APIKeyMisconfigured:
        parser.error("write a name and scopes without spaces, + or control characters")
    print(f"key   {minted.key}\nline  {minted.line}")


if __name__ == "__main__":
    main()
