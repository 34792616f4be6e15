"""PX-14: no application can put a service worker before other pages, and a sign-out can remove stored data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.fakes import CookieClient, RecordingUpstream
from tests.front_door import api_route, page_route
from tests.ports import free_port
from tests.security.house import House
from tests.security.rejection import assert_rejected
from tests.security.two_hosts import TwoHosts, build_two_hosts

ASKS = {
    "the header": ["Service-Worker: script"],
    "the header in capitals": ["SERVICE-WORKER: SCRIPT"],
    "the header with another value": ["service-worker: x"],
    "the header twice": ["Service-Worker: ", "Service-Worker: script"],
    "fetch metadata alone": ["Sec-Fetch-Dest: serviceworker"],
    "fetch metadata in capitals": ["Sec-Fetch-Dest: ServiceWorker"],
}
SCRIPT = ["Service-Worker: script", "Sec-Fetch-Dest: serviceworker", "Sec-Fetch-Site: same-origin"]


def routes(upstream: RecordingUpstream) -> list[dict[str, Any]]:
    return [
        page_route(upstream, service_workers=True),
        page_route(upstream, id="app", path="/app/", service_workers=True),
        page_route(upstream, id="plain", path="/plain"),
        page_route(upstream, id="outer", path="/outer", service_workers=True),
        api_route(upstream, id="inner", path="/outer/inner/", service_workers=True),
        page_route(upstream, id="file", path="/lone/sw.js", service_workers=True),
        page_route(upstream, id="open", path="/open/", auth="public", kind="static", service_workers=True),
        page_route(upstream, id="shared", path="/shared/", service_workers=True),
        page_route(upstream, id="there", path="/shared/there/", host="127.0.0.1", service_workers=True),
    ]


@pytest.fixture
def hosts(build_house: Callable[..., House], upstream: RecordingUpstream) -> TwoHosts:
    return build_two_hosts(build_house, routes(upstream))


@pytest.mark.parametrize("lines", ASKS.values(), ids=ASKS.keys())
@pytest.mark.parametrize("path", ["/sw.js", "/api/sw.js", "/public/sw.js", "/admin/sw.js", "/strict/sw.js"])
def test_px_14_a_service_worker_script_is_refused_unless_its_route_allows_it(
    house: House, lines: list[str], path: str
) -> None:
    cookie = house.session_cookie(house.sign_in())
    house.audit.clear()
    house.upstream.clear()
    assert_rejected(house, lambda: house.get_raw(path, *lines, cookie=cookie), statuses=[403], reason="service_worker")
    plain = ["Sec-Fetch-Dest: script", "Sec-Fetch-Site: same-origin", "X-Vestibule-CSRF: 1"]
    assert house.get_raw(path, *plain, cookie=cookie).status in (200, 403)


@pytest.mark.parametrize("path", ["/auth/guard.js", "/auth/account", "/auth/session", "/auth/none.js", "/auth"])
def test_px_14_paths_of_the_sign_in_serve_no_service_worker(house: House, path: str) -> None:
    cookie = house.session_cookie(house.sign_in())
    assert_rejected(house, lambda: house.get_raw(path, *SCRIPT, cookie=cookie), statuses=[403], reason="service_worker")


@pytest.mark.parametrize("path", ["/", "/nowhere/sw.js", "/healthz"])
def test_px_14_the_list_of_applications_and_unknown_paths_serve_no_service_worker(
    build_house: Callable[..., House], upstream: RecordingUpstream, path: str
) -> None:
    only = page_route(upstream, id="only", path="/only/", service_workers=True)
    house = build_house(routes=[only], server={"public_health": True})
    cookie = house.session_cookie(house.sign_in(path="/only/"))
    house.audit.clear()
    assert_rejected(house, lambda: house.get_raw(path, *SCRIPT, cookie=cookie), statuses=[403], reason="service_worker")


@pytest.mark.parametrize(
    ("path", "is_served"),
    [
        ("/app/sw.js", True),
        ("/app/deep/sw.js", True),
        ("/outer/other/sw.js", True),
        ("/outer/inner/sw.js", True),
        ("/open/sw.js", True),
        ("/shared/sw.js", True),
        ("/elsewhere/sw.js", True),
        ("/sw.js", False),
        ("/app", False),
        ("/outer/sw.js", False),
        ("/plain/sw.js", False),
        ("/lone/sw.js", False),
        ("/auth/sw.js", False),
    ],
)
def test_px_14_the_scope_of_a_service_worker_is_the_folder_of_its_route(
    hosts: TwoHosts, path: str, is_served: bool
) -> None:
    cookie = hosts.cookie(hosts.sign_in(hosts.here), hosts.here)
    answer = hosts.ask(hosts.here, path, *SCRIPT, cookie=cookie)
    assert (answer.status == 200) is is_served, answer.received
    assert answer.status in (200, 403)
    assert not answer.all("service-worker-allowed")


def test_px_14_only_routes_of_the_same_host_count_as_routes_inside_the_folder(hosts: TwoHosts) -> None:
    cookie = hosts.cookie(hosts.sign_in(hosts.there), hosts.there)
    assert hosts.ask(hosts.there, "/shared/sw.js", *SCRIPT, cookie=cookie).status == 403
    assert hosts.ask(hosts.there, "/shared/there/sw.js", *SCRIPT, cookie=cookie).status == 200


@pytest.mark.parametrize(("path", "status"), [("/base/open/sw.js", 200), ("/base/sw.js", 403), ("/open/sw.js", 404)])
def test_px_14_the_scope_of_a_service_worker_starts_with_the_path_of_the_public_url(
    build_house: Callable[..., House], upstream: RecordingUpstream, path: str, status: int
) -> None:
    port = free_port()
    public = [route for route in routes(upstream) if "host" not in route]
    house = build_house(routes=public, port=port, server={"public_url": f"http://localhost:{port}/base"})
    answer = house.get_raw(path, *SCRIPT)
    assert answer.status == status


@pytest.mark.parametrize(
    ("kind", "varies"),
    [
        ("text/javascript", True),
        ("Application/JavaScript; charset=utf-8", True),
        ("application/x-ecmascript", True),
        ("text/html", False),
    ],
)
def test_px_14_a_script_in_the_browser_cache_cannot_become_a_service_worker(
    house: House, kind: str, varies: bool
) -> None:
    for path in ("/page", "/public/x"):
        house.upstream.respond(path, body=b"1", headers={"content-type": kind, "cache-control": "max-age=600"})
        answer = house.get_raw(path, cookie=house.session_cookie(house.sign_in()))
        assert answer.status == 200
        assert ("Service-Worker" in answer.header("vary")) is varies
    assert "Service-Worker" in house.get_raw("/auth/guard.js").header("vary")


# What pages stored, at sign-out


@pytest.fixture
def clearing(build_house: Callable[..., House], upstream: RecordingUpstream) -> TwoHosts:
    """`/desk` at the first host wants storage cleared."""
    wants = page_route(upstream, id="desk", path="/desk", host="localhost", clear_storage_at_sign_out=True)
    return build_two_hosts(build_house, [wants, page_route(upstream)])


def sign_out(hosts: TwoHosts, browser: CookieClient, origin: str) -> list[str]:
    answer = browser.post(f"{origin}/auth/logout")
    assert answer.status_code == 303
    return list(answer.headers.get_list("clear-site-data"))


def test_lo_signing_out_clears_storage_at_the_host_of_a_route_with_clear_storage(clearing: TwoHosts) -> None:
    browser = clearing.sign_in(clearing.there, browser=clearing.sign_in(clearing.here))
    assert sign_out(clearing, browser, clearing.there) == []
    assert sign_out(clearing, browser, clearing.here) == ['"storage"']
    assert sign_out(clearing, browser, clearing.here) == ['"storage"'], "nobody was signed in any more"


def test_lo_another_site_cannot_clear_storage(clearing: TwoHosts) -> None:
    browser = clearing.sign_in(clearing.here)
    refused = browser.post(f"{clearing.here}/auth/logout", cross_site=True)
    pages = [browser.get(f"{clearing.here}/auth/{page}") for page in ("logout", "logged-out", "account", "login")]
    assert refused.status_code == 403
    assert not [page for page in (refused, *pages) if "clear-site-data" in page.headers]


def test_px_14_a_refused_service_worker_is_removed_where_storage_is_cleared(clearing: TwoHosts) -> None:
    answers = [clearing.ask(origin, "/desk/sw.js", *SCRIPT) for origin in (clearing.here, clearing.there)]
    assert [answer.status for answer in answers] == [403, 403]
    assert [answer.all("clear-site-data") for answer in answers] == [['"storage"'], []]
