"""The session record: all that is known about a signed-in person, and its form in the store."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from bff.contract import Identity
from bff.oidc.scopes import scope_names
from bff.provider.identity import NOWHERE, FoundIn


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSet:
    """A person's tokens at one provider. Times are Unix seconds; `expires_at` is None if the provider does not say."""

    access_token: str = field(default="", repr=False)
    refresh_token: str = field(default="", repr=False)
    id_token: str = field(default="", repr=False)
    obtained_at: float = 0
    expires_at: float | None = None
    scope: str = ""

    @property
    def scopes(self) -> frozenset[str]:
        """The names in `scope`."""
        return frozenset(scope_names(self.scope))


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A signed-in person. `name` is the record name; `revision` counts writes; times are Unix seconds.

    `login_started_at` is store time: a barrier at or after it ends the session.
    """

    name: str
    revision: int
    identity: Identity
    tokens: TokenSet
    sid: str
    origin: str
    created_at: float
    login_started_at: float
    absolute_expires_at: float
    device: str = ""
    proved_at: float = 0
    """When the person last authenticated, if the provider says so or was asked to do it again; 0 means unknown."""
    found_in: FoundIn = NOWHERE
    idle_expires_at: float = 0
    """Read from the store with the record; not part of the sealed record."""

    @property
    def provider(self) -> str:
        return self.identity.provider

    @property
    def is_machine(self) -> bool:
        """True for a caller with a bearer token of its own. It belongs to no origin and has no record in the store."""
        return not self.origin


def dump_session(session: Session) -> bytes:
    """Write the sealed part of the record as JSON; name, revision and idle time are stored beside it."""
    table = asdict(session)
    for beside in ("name", "revision", "idle_expires_at"):
        del table[beside]
    return json.dumps(table, separators=(",", ":")).encode()


def load_session(data: bytes, *, name: str, revision: int, idle_expires_at: float) -> Session:
    """Reverse `dump_session`.

    Raises:
        ValueError, TypeError, KeyError: the record has another schema.
    """
    table: Any = json.loads(data)
    if not isinstance(table, dict):
        raise TypeError("the record is not a table")
    identity = dict(table.pop("identity"))
    for names in ("roles", "groups"):
        identity[names] = tuple(identity[names])
    session = Session(
        name=name,
        revision=revision,
        identity=Identity(**identity),
        tokens=TokenSet(**table.pop("tokens")),
        found_in=FoundIn(**{kind: tuple(names) for kind, names in table.pop("found_in", {}).items()}),
        idle_expires_at=idle_expires_at,
        **table,
    )
    _check_types(session)
    return session


def _check_types(session: Session) -> None:
    """Refuse a record with a field of the wrong type, before its values are used."""
    identity, tokens = session.identity, session.tokens
    texts = (session.sid, session.origin, session.device, identity.iss, identity.sub, identity.provider)
    secrets = (tokens.access_token, tokens.refresh_token, tokens.id_token, tokens.scope)
    times = (
        session.created_at,
        session.login_started_at,
        session.absolute_expires_at,
        session.proved_at,
        tokens.obtained_at,
    )
    names = (*identity.roles, *identity.groups, *session.found_in.roles, *session.found_in.groups)
    if not all(isinstance(text, str) for text in (*texts, *secrets, *names)):
        raise TypeError("a text field is not a string")
    if not all(isinstance(time, int | float) for time in (*times, tokens.expires_at or 0)):
        raise TypeError("a time field is not a number")
