"""A person with more groups than a header line can hold, and what an upstream is told about them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jwt

from tests.fakes import FakeProvider
from tests.fakes.recorded import RecordedRequest

GROUPS = [f"00000000-0000-4000-8000-{number:012d}" for number in range(200)]
IDENTITY = (b"x-auth-request-", b"x-vestibule-", b"authorization")


@contextmanager
def many_groups(provider: FakeProvider, groups: list[str] | None = None) -> Iterator[list[str]]:
    """Let alice have `groups` (200 of UUID length) for a while."""
    alice = next(person for person in provider.people.values() if person.username == "alice")
    before = alice.groups
    alice.groups = list(GROUPS if groups is None else groups)
    try:
        yield alice.groups
    finally:
        alice.groups = before


def identity_lines(request: RecordedRequest) -> list[int]:
    """The length of each line that says who somebody is."""
    return [len(b"%s: %s\r\n" % (name, value)) for name, value in request.headers if name.lower().startswith(IDENTITY)]


def claims_in(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token.removeprefix("Bearer "), options={"verify_signature": False})
    return claims
