"""Test pages as a signed-in person, with a fake API and without a front door.

    def test_bob_is_turned_away_from_admin():
        with signed_in_as("bob", roles=("viewer",)):
            page = AppTest.from_file("app.py").run()
        assert shown_panel(page) == 403

    def test_a_prediction_is_shown():
        api = FakeApi().on("POST", "predict", json={"yield": 0.7})
        with signed_in_as("alice", roles=("analyst",), api=api):
            page = AppTest.from_file("predict.py").run()
        assert api.requests[0].json() == {"depth": 12}

The kit's own code runs, with its real paths, headers, errors and guards. Only the network and the handshake are fakes.
"""

from __future__ import annotations

import json as json_lib
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import httpx

from bff import contract
from bff.contract import Identity
from streamlit_kit.assertion import PageSession
from streamlit_kit.runtime import create_kit, use_kit
from streamlit_kit.settings import KitSettings
from streamlit_kit.transport import build_http_client

if TYPE_CHECKING:
    from streamlit.testing.v1 import AppTest

_URL: Final = "http://front-door.test"
_ROUTE: Final = "api"


@dataclass(frozen=True, slots=True)
class FakeRequest:
    """A request of a page. `path` is relative to the route. `headers` are those that the page itself gave."""

    method: str
    path: str
    params: Mapping[str, str]
    headers: Mapping[str, str]
    content: bytes = field(repr=False)

    def json(self) -> Any:
        return json_lib.loads(self.content)


@dataclass(frozen=True, slots=True)
class FakeAnswer:
    """An answer of the API: `json`, or `content` with its own Content-Type in `headers`."""

    status: int = 200
    json: Any = None
    content: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


Answerer = Callable[[FakeRequest], FakeAnswer]


class FakeApi:
    """An API of fixed answers or functions. Everything else is 404. `requests` has all requests in order."""

    def __init__(self) -> None:
        self.requests: list[FakeRequest] = []
        self._answers: dict[tuple[str, str], Answerer] = {}
        self._lock = threading.Lock()

    def on(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        status: int = 200,
        content: bytes = b"",
        headers: Mapping[str, str] | None = None,
        answer: Answerer | None = None,
    ) -> FakeApi:
        """Answer `method path` this way from now on. `answer` is a function of the request."""
        fixed = FakeAnswer(status=status, json=json, content=content, headers=headers or {})
        self._answers[method.upper(), path.strip("/")] = answer or (lambda _: fixed)
        return self

    def session_over(self, method: str, path: str) -> FakeApi:
        """Answer as the front door does after the end of the session."""
        return self._problem(method, path, status=401, code="login_required")

    def not_allowed(self, method: str, path: str) -> FakeApi:
        """Answer as the front door does for somebody whose roles do not fit the route."""
        return self._problem(method, path, status=403, code="forbidden")

    def out_of_reach(self, method: str, path: str) -> FakeApi:
        """Refuse the connection."""

        def refuse(_: FakeRequest) -> FakeAnswer:
            raise httpx.ConnectError("refused")

        return self.on(method, path, answer=refuse)

    def _problem(self, method: str, path: str, *, status: int, code: str) -> FakeApi:
        body = json_lib.dumps({"status": status, "code": code}).encode()
        headers = {"Content-Type": "application/problem+json"}
        return self.on(method, path, status=status, content=body, headers=headers)

    def handle(self, request: FakeRequest) -> FakeAnswer:
        with self._lock:
            self.requests.append(request)
            answer = self._answers.get((request.method, request.path))
        return answer(request) if answer is not None else FakeAnswer(status=404, json={"detail": "Not Found"})


@contextmanager
def signed_in_as(
    sub: str,
    *,
    roles: tuple[str, ...] = (),
    groups: tuple[str, ...] = (),
    name: str = "",
    email: str = "",
    claims: Mapping[str, Any] | None = None,
    expires_in: float = 3600,
    api: FakeApi | None = None,
) -> Iterator[Identity]:
    """Sign a person in for the pages that run inside the block. `expires_in` is in seconds."""
    identity = Identity(
        sub=sub,
        iss="https://idp.test",
        provider="test",
        name=name or sub.title(),
        email=email or f"{sub}@example.com",
        email_verified=True,
        preferred_username=sub,
        roles=roles,
        groups=groups,
        auth_time=int(time.time()),
        expires_at=int(time.time() + expires_in),
        claims=dict(claims or {}),
    )
    session = PageSession(identity=identity, handle="handle", routes={_ROUTE: f"/{_ROUTE}/"})
    with _front_door(session, api or FakeApi()):
        yield identity


@contextmanager
def signed_out(*, api: FakeApi | None = None) -> Iterator[None]:
    """Sign nobody in for the pages that run inside the block."""
    with _front_door(None, api or FakeApi()):
        yield


def shown_panel(page: AppTest) -> int:
    """Return the panel of the kit on a page: 401 sign-in, 403 not allowed, 503 out of reach, other failures, 0 none."""
    for element in page.html:
        found = re.search(r'<section class="vk-panel"[^>]* data-code="(\d{3})"', element.body)
        if found:
            return int(found[1])
    return 0


@contextmanager
def _front_door(session: PageSession | None, api: FakeApi) -> Iterator[None]:
    settings = KitSettings(url=_URL, client="test", secret="test", routes={_ROUTE: f"/{_ROUTE}/"})
    door = _FakeFrontDoor(api)
    with build_http_client(httpx.MockTransport(door.handle)) as http:
        kit = create_kit(settings, http, find_session=lambda: session)
        with use_kit(kit):
            yield


class _FakeFrontDoor:
    """The route to the API, page state and tokens, for one person."""

    def __init__(self, api: FakeApi) -> None:
        self._api = api
        self._states: dict[str, bytes] = {}

    def handle(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        state = contract.AUTH_PATH + contract.PATH_KIT_STATE + "/"
        if path.startswith(state):
            return self._handle_state(request, path.removeprefix(state))
        if path == contract.AUTH_PATH + contract.PATH_KIT_TOKEN:
            return httpx.Response(200, json={"access_token": "test-token", "token_type": "Bearer", "expires_at": 0})
        return self._call_api(request)

    def _handle_state(self, request: httpx.Request, state_id: str) -> httpx.Response:
        match request.method:
            case "PUT":
                self._states[state_id] = request.read()
                return httpx.Response(204)
            case "DELETE":
                self._states.pop(state_id, None)
                return httpx.Response(204)
            case _:
                kept = self._states.get(state_id)
                return httpx.Response(404) if kept is None else httpx.Response(200, content=kept)

    def _call_api(self, request: httpx.Request) -> httpx.Response:
        own = {contract.HEADER_KIT.lower(), contract.HEADER_SESSION.lower()}
        answer = self._api.handle(
            FakeRequest(
                method=request.method,
                path=request.url.path.removeprefix(f"/{_ROUTE}/").strip("/"),
                params=dict(request.url.params),
                headers={name: value for name, value in request.headers.items() if name not in own},
                content=request.read(),
            )
        )
        headers = dict(answer.headers)
        if answer.json is not None:
            return httpx.Response(answer.status, json=answer.json, headers=headers)
        return httpx.Response(answer.status, content=answer.content, headers=headers)
