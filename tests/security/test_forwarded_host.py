"""`X-Forwarded-Host` decides nothing unless the operator says that the proxy sets it itself (AZ-5, PX-4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fakes import RecordingUpstream
from tests.front_door import KIT_SECRET, api_route, page_route
from tests.ports import free_port
from tests.security.house import House
from tests.security.nginx import running_nginx
from tests.security.raw import handshake, websocket_status
from tests.security.two_hosts import INTERNAL_HOST, PROXIES, TwoHosts, build_two_hosts

KIT = {"desk": {"secret": KIT_SECRET, "routes": ["here"]}}
OWN = ("Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty")
BEFORE_THE_DOOR = """
  server {{{{
    listen 127.0.0.1:{{port}};
    location / {{{{
      proxy_pass http://127.0.0.1:{door};
      proxy_http_version 1.1;
      proxy_set_header Host {host};
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $http_connection;
      proxy_set_header X-Forwarded-For $remote_addr;
      {more}
    }}}}
  }}}}
"""
"""Headers of the client that it does not set pass unchanged, as in any nginx."""
SETS_IT_ITSELF = "proxy_set_header X-Forwarded-Host $http_host;"


def routes(upstream: RecordingUpstream) -> list[dict[str, object]]:
    return [
        api_route(upstream, id="here", path="/api/", host="localhost"),
        api_route(upstream, id="there", path="/api/", host="127.0.0.1"),
        page_route(upstream, id="open", path="/open", auth="optional"),
        page_route(upstream),
    ]


@pytest.fixture
def build(build_house: Callable[..., House], upstream: RecordingUpstream) -> Callable[..., TwoHosts]:
    def hosts(*, trusted: bool = False, **ports: int) -> TwoHosts:
        server = {"trusted_proxies": PROXIES, "trusted_host_header": trusted}
        return build_two_hosts(build_house, routes(upstream), server=server, kit_clients=KIT, **ports)

    return hosts


@contextmanager
def behind_nginx(
    build: Callable[..., TwoHosts], folder: Path, *, trusted: bool, host: str = "$http_host", more: str = ""
) -> Iterator[TwoHosts]:
    """The hosts at the port of a real nginx before their door."""
    door = free_port()
    with running_nginx(folder, BEFORE_THE_DOOR.format(door=door, host=host, more=more)) as port:
        yield build(trusted=trusted, proxy_port=port, own_port=door)


def forwarded(origin: str) -> str:
    return f"X-Forwarded-Host: {origin.removeprefix('http://')}"


def test_az_5_a_forwarded_host_is_ignored_by_default(build: Callable[..., TwoHosts]) -> None:
    hosts = build()
    here = hosts.cookie(hosts.sign_in(hosts.here), hosts.here)
    assert hosts.ask(hosts.here, "/api/x", *OWN, forwarded(hosts.there), cookie=here).status == 200
    assert hosts.house.upstream.last.header("host") == hosts.here.removeprefix("http://")
    assert hosts.house.upstream.last.values("x-forwarded-host") == [hosts.here.removeprefix("http://")]
    location = hosts.ask(hosts.here, "/auth/login", forwarded(hosts.there)).header("location")
    assert "redirect_uri=" + hosts.here.replace(":", "%3A").replace("/", "%2F") in location


def test_az_5_the_log_line_of_a_421_names_the_setting(build: Callable[..., TwoHosts]) -> None:
    hosts = build()
    assert hosts.ask_host("inner:8000", "/api/x", forwarded(hosts.there)).status == 421
    assert hosts.ask_host("inner:8000", "/api/x", "X-Forwarded-Host: evil.example").status == 421
    noted = hosts.house.refusals()
    assert [event["reason"] for event in noted] == ["unknown_host", "unknown_host"]
    assert ["server.trusted_host_header" in event.get("detail", "") for event in noted] == [True, False]
    for event in noted:
        assert "received the host inner:8000, expected " + hosts.here.removeprefix("http://") in event["detail"]


def test_az_5_a_missing_port_in_the_host_is_logged_with_the_fix(build: Callable[..., TwoHosts]) -> None:
    hosts = build()
    name = hosts.here.removeprefix("http://")
    assert hosts.ask_host(name.partition(":")[0], "/api/x").status == 421
    detail = hosts.house.refusals()[-1]["detail"]
    assert f"received the host {name.partition(':')[0]}, expected {name}" in detail
    assert "$http_host" in detail


@pytest.mark.parametrize("path", ["/api/x", "/page", "/auth/session", "/auth/sessions"])
def test_ck_a_trusted_forwarded_host_gives_no_session_of_another_host(
    build: Callable[..., TwoHosts], path: str
) -> None:
    hosts = build(trusted=True)
    here = hosts.cookie(hosts.sign_in(hosts.here), hosts.here)
    assert hosts.ask(hosts.here, path, *OWN, cookie=here).status == 200
    before = len(hosts.house.upstream.requests)
    assert hosts.ask(hosts.here, path, *OWN, forwarded(hosts.there), cookie=here).status == 401
    assert [event["reason"] for event in hosts.house.refusals()] == ["session_origin"]
    assert len(hosts.house.upstream.requests) == before
    assert hosts.ask_host("inner:8000", path, *OWN, forwarded(hosts.here), cookie=here).status == 200


def test_the_internal_name_in_a_forwarded_host_is_ignored(build: Callable[..., TwoHosts]) -> None:
    hosts = build(trusted=True)
    lines = (f"X-Vestibule-Kit: desk:{KIT_SECRET}", f"X-Forwarded-Host: {INTERNAL_HOST}")
    assert hosts.ask(hosts.here, "/api/x", *lines).status == 421


@pytest.mark.component("nginx")
@pytest.mark.parametrize("trusted", [False, True], ids=["not trusted", "trusted by mistake"])
def test_px_4_a_script_cannot_reach_another_host_through_an_nginx_that_passes_the_forwarded_host_on(
    build: Callable[..., TwoHosts], tmp_path: Path, trusted: bool
) -> None:
    with behind_nginx(build, tmp_path, trusted=trusted) as hosts:
        browser = hosts.sign_in(hosts.there, browser=hosts.sign_in(hosts.here))
        here, upstream = hosts.cookie(browser, hosts.here), hosts.house.upstream
        upstream.clear()
        for method, path in (("GET", "/api/x"), ("POST", "/api/x"), ("GET", "/auth/session"), ("GET", "/open")):
            lines = (*OWN, f"Origin: {hosts.here}", forwarded(hosts.there))
            hosts.ask(hosts.here, path, *lines, method=method, cookie=here)
        seen = [(request.header("host"), request.header("x-auth-request-user")) for request in upstream.requests]
        there = hosts.there.removeprefix("http://")
        assert not [person for host, person in seen if host == there and person]
        request = handshake("/ws", hosts.here.removeprefix("http://"), forwarded(hosts.there), cookie=here)
        assert websocket_status(hosts.port, request) == (403 if trusted else 101)
        sign_out = (*OWN, forwarded(hosts.there))
        assert hosts.ask(hosts.here, "/auth/logout", *sign_out, method="POST", cookie=here, body="x=1").status == 303
        assert browser.fetch(f"{hosts.there}/auth/session").status_code == 200
        assert browser.fetch(f"{hosts.here}/auth/session").status_code == (200 if trusted else 401)


@pytest.mark.component("nginx")
def test_the_forwarded_host_of_a_proxy_that_sets_it_can_be_trusted(
    build: Callable[..., TwoHosts], tmp_path: Path
) -> None:
    with behind_nginx(build, tmp_path, trusted=True, host="inner:8000", more=SETS_IT_ITSELF) as hosts:
        browser = hosts.sign_in(hosts.there, browser=hosts.sign_in(hosts.here))
        here = hosts.cookie(browser, hosts.here)
        assert hosts.ask(hosts.here, "/api/x", *OWN, forwarded(hosts.there), cookie=here).status == 200
        assert hosts.house.upstream.last.header("host") == hosts.here.removeprefix("http://")
