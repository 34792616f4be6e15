"""LG: the audit log has what administrators do, and what they are refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import httpx
import pytest
import uvicorn

from bff.audit import masked
from gateway.management.app import create_management_app
from tests.fakes import bind_socket
from tests.security.audit_log import ADDRESS, ADMIN_TOKEN, TRUST, assert_where, assert_whom, only_event
from tests.security.house import House


@pytest.fixture
def managed_house(build_house: Callable[..., House]) -> Iterator[tuple[House, str]]:
    """A house, and the address of its management listener."""
    house = build_house(secrets={"admin_token": ADMIN_TOKEN})
    sock = bind_socket(ADDRESS)
    app = create_management_app(house.door.app)
    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None))

    async def serve() -> asyncio.Task[None]:
        return asyncio.create_task(server.serve(sockets=[sock]))

    async def end() -> None:
        server.should_exit = True
        await serving

    serving = house.door.do(serve())
    yield house, f"http://{ADDRESS}:{sock.getsockname()[1]}"
    house.door.do(end())
    sock.close()


@pytest.mark.parametrize(
    ("order", "reason"), [({"sub": "alice"}, "revoke"), ({"all": "yes"}, "revoke_all")], ids=["a person", "everybody"]
)
def test_lg_3_sessions_ended_by_an_administrator_are_one_event(
    managed_house: tuple[House, str], order: dict[str, str], reason: str
) -> None:
    house, url = managed_house
    browser = house.sign_in()
    session = house.session_of(browser)

    def revoke() -> httpx.Response:
        headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
        return httpx.post(f"{url}/admin/revoke", json=order, headers=headers, verify=TRUST)

    answer, event = only_event(house, revoke, "admin_action", reason=reason)
    assert answer.status_code == 200
    if "sub" in order:
        assert_whom(event, session)
    assert_where(event, answer)
    assert not house.is_signed_in(browser)


ADMIN_HEADERS = {"Authorization": f"Bearer {ADMIN_TOKEN}"}


@pytest.mark.parametrize(
    ("order", "whom"),
    [
        ({"sub": "canary-sub"}, masked("canary-sub")),
        ({"sid": "canary-sid"}, f"sid {masked('canary-sid')}"),
        ({"sub": "canary-sub", "session": "0123456789ab"}, masked("canary-sub")),
    ],
    ids=["a person", "a provider session", "one session"],
)
def test_lg_3_a_revoke_by_an_administrator_that_finds_nobody_is_one_event(
    managed_house: tuple[House, str], order: dict[str, str], whom: str
) -> None:
    """It ends unfinished sign-ins. The log must show who was kept out, and by which request."""
    house, url = managed_house

    def revoke() -> httpx.Response:
        return httpx.post(f"{url}/admin/revoke", json=order, headers=ADMIN_HEADERS, verify=TRUST)

    answer, event = only_event(house, revoke, "admin_action", reason="revoke")
    assert answer.json() == {"ended": 0}
    assert event["detail"] == f"no live session of {whom}"
    assert "canary" not in repr(event)
    assert_where(event, answer)


@pytest.mark.parametrize(("sub", "number"), [("alice", 1), ("canary-sub", 0)])
def test_lg_3_a_search_for_sessions_by_an_administrator_is_one_event(
    managed_house: tuple[House, str], sub: str, number: int
) -> None:
    house, url = managed_house
    house.sign_in()

    def look_up() -> httpx.Response:
        query = {"sub": sub}
        return httpx.get(f"{url}/admin/sessions", params=query, headers=ADMIN_HEADERS, verify=TRUST)

    answer, event = only_event(house, look_up, "admin_action", reason="look_up")
    assert len(answer.json()["sessions"]) == number
    assert event["detail"] == f"{number} of {masked(sub)}"
    assert sub not in repr({**event, "iss": ""})
    assert_where(event, answer)


@pytest.mark.parametrize(("sub", "number"), [("alice", 1), ("canary-sub", 0)])
def test_lg_3_reading_claims_by_an_administrator_is_one_event(
    managed_house: tuple[House, str], sub: str, number: int
) -> None:
    house, url = managed_house
    house.sign_in()

    def look() -> httpx.Response:
        return httpx.get(f"{url}/admin/claims", params={"sub": sub}, headers=ADMIN_HEADERS, verify=TRUST)

    answer, event = only_event(house, look, "admin_action", reason="claims")
    assert (answer.json()["arrived"] is not None) == bool(number)
    assert "eyJ" not in answer.text
    assert event["detail"] == f"{number} of {masked(sub)}"
    assert sub not in repr({**event, "iss": ""})


@pytest.mark.parametrize(
    "body", [b"[" * 15_000, b'{"sub":"\\ud800"}', b"[1]", b'{"sub":1}', b"\xff", b"{", b'{"sub":""}']
)
def test_lg_4_an_unreadable_admin_request_is_refused(managed_house: tuple[House, str], body: bytes) -> None:
    _, url = managed_house
    answer = httpx.post(f"{url}/admin/revoke", content=body, headers=ADMIN_HEADERS, verify=TRUST)
    assert (answer.status_code, answer.json()["code"]) == (400, "admin_request")


@pytest.mark.parametrize("query", ["sub=%ED%A0%80", "sub=%FF", "sub=\xff", "sub="])
def test_lg_4_an_invalid_search_for_sessions_gets_an_error_answer_and_not_500(
    managed_house: tuple[House, str], query: str
) -> None:
    _, url = managed_house
    answer = httpx.get(f"{url}/admin/sessions?{query}", headers=ADMIN_HEADERS, verify=TRUST)
    assert answer.status_code in (200, 400)


def test_the_ready_endpoint_reports_a_provider_that_stopped_answering(managed_house: tuple[House, str]) -> None:
    house, url = managed_house

    def state() -> str:
        answer = httpx.get(f"{url}/readyz", verify=TRUST)
        assert (answer.status_code, len(answer.headers["x-request-id"])) == (200, 24)
        return str(answer.json()["parts"]["provider:corp"])

    browser = house.sign_in()
    assert state() == "ok"
    house.provider.bend.token.drop()
    browser.walk(browser.get(house.callback_url(browser)))
    assert state() == "did not answer last time"
    house.provider.bend.reset()
    house.sign_in()
    assert state() == "ok"


@pytest.mark.parametrize("token", ["", "Bearer", "Bearer canary-admin-token", f"Basic {ADMIN_TOKEN}"])
def test_lg_3_a_refused_admin_token_is_one_event(managed_house: tuple[House, str], token: str) -> None:
    house, url = managed_house
    headers = {"Authorization": token} if token else {}

    def revoke() -> httpx.Response:
        return httpx.post(f"{url}/admin/revoke", json={"all": "yes"}, headers=headers, verify=TRUST)

    answer, event = only_event(house, revoke, "request_refused", reason="admin_token")
    assert answer.status_code == 401
    assert_where(event, answer)
    assert "canary" not in repr(event)
