"""The front door inside another FastAPI application: sign in, read the identity, refuse, sign out."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator, MutableMapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any

import httpx
import pytest
import structlog
from fastapi import APIRouter, Depends, FastAPI

from bff.audit import masked
from bff.errors import StoreUnavailable
from bff.install import CurrentSession, install, require_session
from bff.sessions.record import Session
from bff.settings.loading import parse_settings
from bff.stores.memory import MemoryStore
from bff.stores.protocol import StoredRecord
from tests.bff.serving import serving
from tests.fakes import CookieClient, FakeProvider, bind_socket
from tests.front_door import KEY, provider_table


class OwnStore(MemoryStore):
    """A store that the test can look into and switch off."""

    def __init__(self) -> None:
        super().__init__(clock=time.time)
        self.created: list[str] = []
        self.is_down = False
        self.is_closed = False

    async def create(
        self, name: str, sealed: bytes, *, owners: Sequence[str], idle_seconds: float, absolute_expires_at: float
    ) -> bool:
        self.created.append(name)
        return await super().create(
            name, sealed, owners=owners, idle_seconds=idle_seconds, absolute_expires_at=absolute_expires_at
        )

    async def load(self, name: str) -> StoredRecord | None:
        if self.is_down:
            raise StoreUnavailable()
        return await super().load(name)

    async def aclose(self) -> None:
        self.is_closed = True
        await super().aclose()


def test_names_that_only_the_front_door_serves_are_refused() -> None:
    tables = {
        "server": {"public_url": "http://localhost:8000", "environment": "development"},
        "secrets": {"keys": [KEY]},
        "providers": {"corp": {"issuer": "http://127.0.0.1:1", "client_id": "x", "client_secret": "unit-test-secret"}},
        "compat": {"oauth2_proxy": True},
    }
    with pytest.raises(ValueError, match=r"compat\.oauth2_proxy"):
        install(FastAPI(), parse_settings(tables))


@pytest.fixture
def events() -> Iterator[list[MutableMapping[str, Any]]]:
    """Every structured log event of this test."""
    with structlog.testing.capture_logs() as logged:
        yield logged


@dataclass
class Site:
    """An application with the front door in it."""

    url: str
    provider: FakeProvider
    store: OwnStore
    browser: CookieClient

    def sign_in(self, person: str = "alice", *, path: str = "/report") -> httpx.Response:
        """Open `path` and follow all redirects."""
        self.provider.options.auto_login = person
        return self.browser.walk(self.browser.get(self.url + path))[-1]


def own_routes(calls: list[str]) -> APIRouter:
    router = APIRouter()

    @router.get("/report")
    async def report(session: CurrentSession, month: str = "") -> dict[str, Any]:
        return {"sub": session.identity.sub, "roles": session.identity.roles, "month": month}

    @router.get("/résumé")
    async def resume(session: CurrentSession) -> str:
        return session.identity.sub

    @router.post("/report")
    async def change(session: CurrentSession) -> str:
        calls.append(session.identity.sub)
        return "changed"

    @router.get("/admin")
    async def admin(session: Annotated[Session, Depends(require_session(roles_any=["admin", "owner"]))]) -> str:
        return session.identity.name

    @router.get("/scientists", dependencies=[Depends(require_session(roles_any=["scientist"]))])
    async def scientists() -> str:
        return "science"

    @router.get("/open")
    async def open_to_all() -> str:
        return "open"

    return router


@pytest.fixture
def calls() -> list[str]:
    """The people whose requests reached the handler that changes something."""
    return []


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeProvider]:
    with FakeProvider() as running:
        yield running


@pytest.fixture
def site(provider: FakeProvider, calls: list[str]) -> Iterator[Site]:
    sock = bind_socket("127.0.0.1")
    url = f"http://localhost:{sock.getsockname()[1]}"
    provider.clear_hits()
    provider.client.post_logout_redirect_uris[:] = [f"{url}/auth/logged-out"]
    with CookieClient() as browser:
        settings = parse_settings(
            {
                "server": {
                    "public_url": url,
                    "origins": [url.replace("localhost", "127.0.0.1")],
                    "environment": "development",
                },
                "secrets": {"keys": [KEY]},
                "providers": {"corp": provider_table(provider)},
                "roles": {"scientist": {"groups_any": ["science"]}},
            }
        )
        app, store = FastAPI(), OwnStore()
        install(app, settings, store=store)
        app.include_router(own_routes(calls))
        with serving(app, sock=sock):
            yield Site(url, provider, store, browser)


def test_a_session_is_not_accepted_at_another_host_of_the_application(
    site: Site, events: list[MutableMapping[str, Any]]
) -> None:
    other = site.url.replace("localhost", "127.0.0.1")
    site.sign_in()
    cookie = {"Cookie": f"vestibule={next(cookie.value for cookie in site.browser.cookies)}"}
    with CookieClient() as browser:
        for path in ("/report", "/scientists", "/auth/session", "/auth/sessions"):
            assert browser.fetch(site.url + path, headers=cookie).status_code in (200, 403)
            assert browser.fetch(other + path, headers=cookie).status_code == 401
    assert [event["reason"] for event in events if event.get("reason") == "session_origin"] == ["session_origin"] * 4


@pytest.mark.parametrize("metadata", [{}, {"Sec-Fetch-Site": None}], ids=["fetch metadata", "no fetch metadata"])
@pytest.mark.parametrize(("method", "path"), [("POST", "/report"), ("POST", "/auth/logout"), ("GET", "/auth/session")])
def test_a_page_of_another_host_of_the_application_cannot_make_calls(
    site: Site, calls: list[str], metadata: dict[str, str | None], method: str, path: str
) -> None:
    other = site.url.replace("localhost", "127.0.0.1")
    site.sign_in()
    headers = {"Cookie": f"vestibule={next(cookie.value for cookie in site.browser.cookies)}", **metadata}
    answer = site.browser.fetch(site.url + path, method=method, initiator=other, headers=headers)
    assert (answer.status_code, calls) == (403, [])
    assert site.browser.fetch(f"{site.url}/auth/session").status_code == 200


def test_opening_a_page_leads_through_the_sign_in_and_back_to_it(site: Site) -> None:
    page = site.sign_in(path="/report?month=may&x=1%2F2")
    assert page.url == f"{site.url}/report?month=may&x=1%2F2"
    assert page.json() == {"sub": "alice", "roles": ["analyst", "admin", "scientist"], "month": "may"}


def test_a_sign_in_leads_back_to_a_path_outside_ascii(site: Site) -> None:
    assert site.sign_in(path="/r%C3%A9sum%C3%A9").json() == "alice"


def test_a_program_gets_the_address_of_the_sign_in_instead_of_a_redirect(site: Site) -> None:
    answer = site.browser.fetch(f"{site.url}/report?month=may")
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["code"] == "login_required"
    assert problem["login_url"] == "/auth/login?return_to=%2Freport%3Fmonth%3Dmay"
    assert site.provider.hits_of("authorize") == []


def test_a_browser_without_fetch_metadata_is_sent_to_the_sign_in_as_well(site: Site) -> None:
    answer = httpx.get(f"{site.url}/report", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.headers["location"]) == (302, "/auth/login?return_to=%2Freport")


def test_the_session_lives_in_the_store_that_was_passed_in(site: Site) -> None:
    site.sign_in()
    assert len(site.store.created) == 1
    assert site.browser.fetch(f"{site.url}/auth/session").json()["sub"] == "alice"


def test_a_route_without_a_guard_needs_no_sign_in(site: Site) -> None:
    assert site.browser.get(f"{site.url}/open").json() == "open"


def test_a_route_with_a_required_role_is_open_only_to_people_with_the_role(site: Site) -> None:
    assert site.sign_in("alice", path="/admin").json() == "Alice Example"
    assert site.browser.fetch(f"{site.url}/scientists").json() == "science"
    site.browser.cookies.clear()
    refused = site.sign_in("bob", path="/admin")
    assert refused.status_code == 403
    assert "Not allowed" in refused.text
    assert site.browser.fetch(f"{site.url}/scientists").json()["code"] == "forbidden"
    assert site.browser.fetch(f"{site.url}/report").json()["sub"] == "bob", "refusing signs nobody out"


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, "csrf_origin"),
        ({"Sec-Fetch-Site": "same-site", "Origin": None}, "csrf_cross_site"),
        ({"Sec-Fetch-Site": None, "Origin": None}, "csrf_missing"),
    ],
)
def test_a_change_requested_by_another_site_is_refused(
    site: Site, calls: list[str], headers: dict[str, str | None], code: str
) -> None:
    site.sign_in()
    answer = site.browser.fetch(f"{site.url}/report", method="POST", headers=headers)
    assert (answer.status_code, answer.json()["code"], calls) == (403, code, [])


def refusals(events: list[MutableMapping[str, Any]]) -> list[tuple[str, str]]:
    quiet = ("login_started", "login_ok")
    return [(each["event"], each["reason"]) for each in events if each.get("audit") and each["event"] not in quiet]


def test_lg_3_a_change_requested_by_another_site_is_one_event(
    site: Site, events: list[MutableMapping[str, Any]]
) -> None:
    site.sign_in()
    answer = site.browser.fetch(f"{site.url}/report", method="POST", headers={"Origin": "https://evil.example"})
    assert refusals(events) == [("request_refused", "csrf_origin")]
    assert events[-1]["request_id"] == answer.json()["request_id"]
    assert events[-1]["client"] == "127.0.0.1"


def test_lg_3_a_missing_role_is_one_event(site: Site, events: list[MutableMapping[str, Any]]) -> None:
    assert site.sign_in("bob", path="/admin").status_code == 403
    assert refusals(events) == [("access_denied", "require.roles_any")]
    assert events[-1]["subject"] == masked("bob")


def test_lg_3_an_unknown_host_and_an_unreachable_store_are_one_event_each(
    site: Site, events: list[MutableMapping[str, Any]]
) -> None:
    httpx.get(f"{site.url}/report", headers={"Host": "evil.example"})
    assert refusals(events) == [("request_refused", "unknown_host")]
    site.sign_in()
    site.store.is_down = True
    site.browser.fetch(f"{site.url}/report")
    assert refusals(events)[1:] == [("store_failed", "store_unavailable")]


def test_lg_3_a_request_without_a_sign_in_is_no_event(site: Site, events: list[MutableMapping[str, Any]]) -> None:
    assert site.browser.fetch(f"{site.url}/report").status_code == 401
    assert refusals(events) == []


def test_a_change_requested_by_a_page_of_the_application_succeeds(site: Site, calls: list[str]) -> None:
    site.sign_in()
    assert site.browser.fetch(f"{site.url}/report", method="POST").json() == "changed"
    assert calls == ["alice"]


def test_reading_by_a_script_of_a_neighbouring_site_is_refused(site: Site) -> None:
    site.sign_in()
    answer = site.browser.fetch(f"{site.url}/report", headers={"Sec-Fetch-Site": "same-site"})
    assert (answer.status_code, answer.json()["code"]) == (403, "csrf_cross_site")


def test_signing_out_ends_the_session_here_and_at_the_provider(site: Site) -> None:
    site.sign_in()
    stolen = {"Cookie": f"vestibule={site.browser.cookies['vestibule'].value}"}
    assert httpx.get(f"{site.url}/report", headers=stolen).json()["sub"] == "alice"
    out = site.browser.walk(site.browser.post(f"{site.url}/auth/logout"))
    assert out[-1].url.path == "/auth/logged-out"
    assert site.provider.hits_of("end_session")
    assert site.browser.fetch(f"{site.url}/report").status_code == 401
    assert httpx.get(f"{site.url}/report", headers=stolen).status_code == 401


def test_an_unreachable_store_gives_503_and_signs_nobody_out(site: Site) -> None:
    site.sign_in()
    site.store.is_down = True
    answer = site.browser.fetch(f"{site.url}/report")
    assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
    assert "set-cookie" not in answer.headers
    site.store.is_down = False
    assert site.browser.fetch(f"{site.url}/report").json()["sub"] == "alice"


def test_a_request_for_an_unknown_host_is_refused(site: Site) -> None:
    answer = httpx.get(f"{site.url}/report", headers={"Host": "evil.example"})
    assert answer.status_code == 421


def test_two_session_cookies_sign_nobody_in_and_leave_one_log_line(
    site: Site, events: list[MutableMapping[str, Any]]
) -> None:
    site.sign_in()
    value = site.browser.cookies["vestibule"].value
    answer = site.browser.fetch(f"{site.url}/report", headers={"Cookie": f"vestibule={value}; vestibule={value}"})
    assert answer.status_code == 401
    assert refusals(events) == [("duplicate_cookie", "session_cookie")]


async def test_the_store_is_closed_with_the_application_and_the_lifespan_of_the_application_still_runs() -> None:
    steps: list[str] = []

    @asynccontextmanager
    async def own_lifespan(_: FastAPI) -> AsyncIterator[None]:
        steps.append("start")
        yield
        steps.append("stop")

    app, store = FastAPI(lifespan=own_lifespan), OwnStore()
    settings = parse_settings(
        {
            "server": {"public_url": "https://apps.example.com"},
            "secrets": {"keys": [KEY]},
            "providers": {"corp": {"issuer": "https://idp.example.com", "client_id": "x", "client_secret": KEY}},
        }
    )
    install(app, settings, store=store)
    async with app.router.lifespan_context(app):
        assert (steps, store.is_closed) == (["start"], False)
    assert (steps, store.is_closed) == (["start", "stop"], True)


async def test_a_guarded_route_without_install_says_that_install_is_missing() -> None:
    app = FastAPI()

    @app.get("/")
    async def page(session: CurrentSession) -> str:
        return session.identity.sub

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as http:
        with pytest.raises(RuntimeError, match=r"call bff\.install\.install"):
            await http.get("/")
