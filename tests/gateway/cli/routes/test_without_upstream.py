"""A route without an upstream: `vestibule routes` decides as the forward-auth listener answers a proxy."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from gateway.cli.routes.callers import NOBODY, Described, Who, read_who
from gateway.cli.routes.explanation import Explanation, explain
from gateway.cli.routes.listing import as_table
from gateway.cli.routes.offline_door import OfflineDoor
from gateway.cli.routes.questions import read_question
from gateway.cli.routes.report import as_text
from tests.fakes import FakeProvider
from tests.front_door import RunningDoor, running_door
from tests.security.asking import ASKING, XHR, Asker

ROUTES: list[dict[str, Any]] = [
    {"id": "app", "path": "/", "kind": "page", "require": {"roles_any": ["analyst"]}},
    {"id": "open", "path": "/open", "auth": "public"},
    {"id": "read-only", "path": "/read-only", "methods": ["GET"]},
]
QUESTIONS = [
    ("GET", "/x?y=1"),
    ("POST", "/x"),
    ("GET", "/open"),
    ("GET", "/read-only"),
    ("DELETE", "/read-only"),
    ("GET", "/%2e%2e/open"),
    ("GET", "/OPEN"),
]


@pytest.fixture(scope="module")
def door() -> Iterator[RunningDoor]:
    with FakeProvider() as provider, running_door({"corp": provider}, ROUTES, **ASKING) as running:
        yield running


@pytest.fixture(scope="module")
def cookies(door: RunningDoor) -> dict[str, str]:
    found = {"nobody": ""}
    for person in ("alice", "bob"):
        with door.browser() as browser:
            door.sign_in(browser, person, "/auth/login")
            found[person] = next(one.value for one in browser.cookies if one.name == "vestibule")
    return found


def who(door: RunningDoor, name: str) -> Who:
    if name == "nobody":
        return NOBODY
    roles = {"alice": ["analyst", "admin"], "bob": ["viewer"]}[name]
    groups = {"alice": ["science"], "bob": []}[name]
    described = Described(sub=name, roles=roles, groups=groups, email=f"{name}@example.com")
    found = read_who(described, door.settings, where="test")
    known = {"name": f"{name.title()} Example", "preferred_username": name}
    return replace(found, claims={**found.claims, **known})


def explained(door: RunningDoor, method: str, url: str, name: str) -> Explanation:
    async def ask() -> Explanation:
        offline = OfflineDoor(door.settings)
        try:
            question = read_question(method, url, origins=offline.bff.origins, who=who(door, name))
            return await explain(offline, question)
        finally:
            await offline.aclose()

    return asyncio.run(ask())


@pytest.mark.parametrize("person", ["nobody", "alice", "bob"])
@pytest.mark.parametrize(("method", "url"), QUESTIONS, ids=[f"{method} {url}" for method, url in QUESTIONS])
def test_the_command_decides_as_the_answer_to_a_proxy(
    method: str, url: str, person: str, door: RunningDoor, cookies: dict[str, str]
) -> None:
    asker = Asker(door.verify_port, f"localhost:{door.port}", cookie=cookies[person])
    lines = [*XHR, ("Origin", door.url)]
    verdict = asker.ask(url, method=method, headers=lines)
    decided = explained(door, method, url, person).decided
    if verdict.status == 200:
        assert decided.outcome == "allowed"
        sent = {name.decode(): value.decode() for name, value in decided.headers}
        for name, value in verdict.lines:
            if name.startswith("x-auth-request-"):
                assert sent[name] == value, name
    else:
        assert decided.outcome == "refused"
        # An ambiguous address and a wrong method are 403 for a proxy: it would take another status for a failure.
        assert verdict.status in (decided.status, 403)


def test_the_report_says_that_a_proxy_asks(door: RunningDoor) -> None:
    text = as_text(explained(door, "GET", "/x", "alice"), door.settings)
    assert "no upstream: a proxy that asks /auth/verify gets these headers" in text
    assert "x-auth-request-user: alice" in text


def test_the_list_says_that_a_proxy_asks(door: RunningDoor) -> None:
    rows = [line.split() for line in as_table(door.settings).splitlines()]
    assert [row[-1] for row in rows[1:]] == ["(forward-auth)"] * 3
