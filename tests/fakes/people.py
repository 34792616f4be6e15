"""The people a fake provider knows, and where they are signed in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Person:
    """Somebody with an account. Change the fields while the provider runs: the next token shows it."""

    username: str
    sub: str
    email: str
    name: str
    roles: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    email_verified: bool = True
    enabled: bool = True
    extra: dict[str, Any] = field(default_factory=dict)
    """Further claims for ID token and userinfo."""

    def claims(self) -> dict[str, Any]:
        """The claims that ID token and userinfo share."""
        return {
            "sub": self.sub,
            "email": self.email,
            "email_verified": self.email_verified,
            "name": self.name,
            "preferred_username": self.username,
            "realm_access": {"roles": list(self.roles)},
            "groups": list(self.groups),
            **self.extra,
        }


def default_people() -> Iterable[Person]:
    return (
        Person("alice", "alice", "alice@example.com", "Alice Example", ["analyst", "admin"], ["science"]),
        Person("bob", "bob", "bob@example.com", "Bob Example", ["viewer"]),
    )


@dataclass(slots=True)
class Login:
    """A session at the provider: what a `sid` names."""

    sid: str
    sub: str
    auth_time: int
    client_ids: set[str] = field(default_factory=set)
    ended: bool = False
