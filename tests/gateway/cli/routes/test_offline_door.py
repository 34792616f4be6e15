"""The decisions of `vestibule routes` are those of the running front door, asked over a real socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from gateway.cli.routes.callers import NOBODY, Described, Who, read_who
from gateway.cli.routes.explanation import Explanation, explain
from gateway.cli.routes.offline_door import OfflineDoor
from gateway.cli.routes.questions import Question, read_question
from tests.fakes import FakeProvider, RecordingUpstream
from tests.front_door import RunningDoor, api_route, page_route, running_door
from tests.security.raw import RawAnswer, exchange

FRIEND, FOE = "https://friend.example", "https://foe.example"
REQUESTS = [
    ("GET", "/api/models?x=1", ""),
    ("HEAD", "/api/models", ""),
    ("POST", "/api/models", ""),
    ("POST", "/api/models", FRIEND),
    ("POST", "/api/models", FOE),
    ("GET", "/api/models", FOE),
    ("DELETE", "/read-only/x", ""),
    ("GET", "/read-only/x", ""),
    ("POST", "/counted/x", ""),
    ("GET", "/ops", ""),
    ("GET", "/ops/x", ""),
    ("GET", "/open/x", ""),
    ("POST", "/open/x", FOE),
    ("GET", "/known/x", ""),
    ("GET", "/names/ü", ""),
    ("GET", "/", ""),
    ("GET", "/healthz", ""),
    ("GET", "/oauth2/auth", ""),
    ("GET", "/api/../ops", ""),
    ("GET", "/%2e%2e/ops", ""),
    ("GET", "/API/models", ""),
    ("GET", "/api%2fmodels", ""),
    ("GET", "/x;/..%3b/ops", ""),
    ("GET", "//api/x", ""),
    ("GET", "/x%zz", ""),
    ("GET", "/x%00", ""),
    ("GET", "/favicon.ico", ""),
    ("GET", "https://elsewhere.example/", ""),
    ("TRACE", "/api/models", ""),
    ("PROPFIND", "/api/models", ""),
    ("GET", "/" + "x" * 9000, ""),
]
ROUTES: list[dict[str, Any]] = [
    {"id": "read-only", "path": "/read-only", "methods": ["GET"]},
    {"id": "counted", "path": "/counted", "csrf": "header"},
    {"id": "open", "path": "/open", "auth": "public"},
    {"id": "known", "path": "/known", "auth": "optional"},
    {"id": "names", "path": "/names", "require": {"emails": ["alice@example.com"]}},
    {"id": "ops", "path": "/ops", "kind": "page", "strip_prefix": True, "require": {"groups_all": ["science"]}},
]


@pytest.fixture(scope="module")
def upstream() -> Iterator[RecordingUpstream]:
    with RecordingUpstream() as running:
        yield running


@pytest.fixture(scope="module")
def door(upstream: RecordingUpstream) -> Iterator[RunningDoor]:
    bearer = {"providers": ["corp"], "audience": "api"}
    api = api_route(
        upstream,
        require={"roles_any": ["analyst"]},
        token="assertion",
        audience="models",
        cors_origins=[FRIEND],
        accept_bearer=bearer,
    )
    others = [{"upstream": upstream.url, **route} for route in ROUTES]
    pages = page_route(upstream)
    with FakeProvider() as provider, running_door({"corp": provider}, [api, *others, pages]) as running:
        yield running


@pytest.fixture(scope="module")
def cookies(door: RunningDoor) -> dict[str, str]:
    """The session cookie of each person, after a real sign-in."""
    found = {"nobody": ""}
    for person in ("alice", "bob"):
        with door.browser() as browser:
            door.sign_in(browser, person)
            found[person] = next(f"{one.name}={one.value}" for one in browser.cookies if one.name == "vestibule")
    return found


def caller(door: RunningDoor, name: str) -> Who:
    """The same people for the command, from what a provider says about them."""
    if name == "nobody":
        return NOBODY
    roles = {"alice": ["analyst", "admin"], "bob": ["viewer"]}[name]
    groups = {"alice": ["science"], "bob": []}[name]
    claims: dict[str, Any] = {
        "sub": name,
        "name": f"{name.title()} Example",
        "preferred_username": name,
        "email": f"{name}@example.com",
        "email_verified": True,
        "realm_access": {"roles": roles},
        "groups": groups,
    }
    return read_who(Described(claims=claims, scopes=["openid"]), door.settings, where="test")


class Offline:
    """The command's door, for one question after the other."""

    def __init__(self, door: RunningDoor) -> None:
        self._runner = asyncio.Runner()
        self._door = OfflineDoor(door.settings)

    def explain(self, question: Question) -> Explanation:
        return self._runner.run(explain(self._door, question))

    def close(self) -> None:
        self._runner.run(self._door.aclose())
        self._runner.close()


@pytest.fixture(scope="module")
def offline(door: RunningDoor) -> Iterator[Offline]:
    asking = Offline(door)
    yield asking
    asking.close()


def ask_running(door: RunningDoor, question: Question, cookie: str) -> tuple[int, str]:
    """Send the very bytes of the question; return status and reason code."""
    headers = question.headers(next(iter(door.app.bff.origins.values())) if question.host in door.url else None)
    if cookie:
        headers.append((b"cookie", cookie.encode()))
    head = b"%s %s HTTP/1.1\r\n" % (question.method.encode(), question.target)
    head += b"".join(b"%s: %s\r\n" % header for header in headers)
    answer = RawAnswer.parse(exchange(door.port, head + b"connection: close\r\n\r\n"))
    is_problem = answer.header("content-type") == "application/problem+json" and answer.body
    return answer.status, json.loads(answer.body)["code"] if is_problem else ""


@pytest.mark.parametrize("person", ["nobody", "alice", "bob"])
@pytest.mark.parametrize(("method", "url", "origin"), REQUESTS, ids=[f"{m} {u[:24]} {o}" for m, u, o in REQUESTS])
def test_the_command_decides_as_the_running_front_door(
    method: str,
    url: str,
    origin: str,
    person: str,
    door: RunningDoor,
    upstream: RecordingUpstream,
    cookies: dict[str, str],
    offline: Offline,
) -> None:
    origins = dict(door.app.bff.origins)
    question = read_question(method, url, origins=origins, who=caller(door, person), origin=origin)
    before = len(upstream.requests)
    status, code = ask_running(door, question, cookies[person])
    reached = upstream.requests[before:]
    explanation = offline.explain(question)
    decided = explanation.decided
    assert decided.outcome == ("allowed" if reached else "refused" if status >= 400 else "answered")
    if reached:
        assert about_people(decided.headers) == about_people(reached[0].headers)
        assert decided.target.encode() == reached[0].target
    else:
        assert decided.status == status
        assert code in ("", decided.code)
    refusing = [step for step in explanation.steps if step.holds is False and step.subject != "cors"]
    assert bool(refusing) == (decided.outcome == "refused")


def about_people(headers: Sequence[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    return {name.lower(): value for name, value in headers if name.lower().startswith(b"x-auth-request-")}
