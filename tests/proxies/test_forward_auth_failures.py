"""FM-1, FA-1: before each real proxy, nobody gets in while Vestibule cannot answer, and nobody has to sign in anew."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bff.settings.tables import Settings
from bff.stores import open_store
from tests.bff.stores.redis_servers import standalone
from tests.fakes import bind_socket
from tests.proxies.conftest import PACKAGED, Deploy
from tests.proxies.deployed import Deployment, Proxy
from tests.proxies.test_matrix import NAVIGATION, XHR
from tests.security.raw import RawAnswer

OWN_PAGE = {"nginx": 503, "haproxy": 503, "caddy": 502}
"""What a person gets when verify cannot be reached: Vestibule's page, but Caddy's own empty 502."""
WAITING = {
    "nginx": {"proxy_read_timeout 30s;": "proxy_read_timeout 1s;"},
    "haproxy": {" 30 unless is_own_page": " 1 unless is_own_page"},
    "caddy": {"response_header_timeout 30s": "response_header_timeout 1s"},
}
"""How to wait for one second only."""


def refused_within(place: Deployment, cookie: str, *, seconds: float) -> RawAnswer:
    """Ask until the answer is no yes any more: Vestibule may remember a session for a second."""
    deadline = time.monotonic() + seconds
    while (answer := place.ask("/report", *NAVIGATION, cookie=cookie)).status == 200 and time.monotonic() < deadline:
        time.sleep(0.1)
    return answer


@pytest.mark.component("redis-server")
def test_fm_1_while_the_store_is_stopped_nobody_gets_in_and_the_cookie_is_kept(
    deploy: Deploy, component: Callable[[str], Path], tmp_path: Path
) -> None:
    with standalone(component("redis-server"), tmp_path / "redis") as redis:
        store = open_store(
            Settings.model_validate({"store": {"url": redis.url, "timeout_seconds": 1}}), clock=time.time
        )
        place = deploy(store=store)
        browser, _ = place.sign_in()
        cookie = place.cookie_of(browser)
        redis.servers[0].freeze()
        answer = refused_within(place, cookie, seconds=10)
        place.web.clear()
        place.api.clear()
        call = place.ask("/api/models", *XHR, cookie=cookie)
        assert (answer.status, call.status) == (503, 503)
        assert "set-cookie" not in dict(answer.headers)
        assert b"/auth/login" not in call.body
        assert place.web.requests + place.api.requests == []
        redis.servers[0].thaw()
        deadline = time.monotonic() + 15
        while (again := place.ask("/report", *NAVIGATION, cookie=cookie)).status != 200 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert again.status == 200
        assert place.web.last.header("x-auth-request-user") == "alice"


@pytest.mark.parametrize("proxy", PACKAGED, indirect=True)
def test_fa_1_nobody_gets_in_while_verify_is_not_there(deploy: Deploy, proxy: Proxy) -> None:
    closed = bind_socket("127.0.0.1", 0)
    place = deploy(more={"127.0.0.1:8001": f"127.0.0.1:{closed.getsockname()[1]}"})
    closed.close()
    for target, lines in (("/report", NAVIGATION), ("/api/models", XHR), ("/public/x", NAVIGATION)):
        assert place.ask(target, *lines).status == OWN_PAGE[proxy.mode]
    assert place.web.requests + place.api.requests == []


@pytest.mark.parametrize("proxy", PACKAGED, indirect=True)
def test_fa_1_nobody_gets_in_while_verify_does_not_answer(deploy: Deploy, proxy: Proxy) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent_place = f"127.0.0.1:{silent.getsockname()[1]}"
        place = deploy(more={"127.0.0.1:8001": silent_place, **WAITING[proxy.mode]})
        assert place.ask("/report", *NAVIGATION).status in (OWN_PAGE[proxy.mode], 504)
        assert place.web.requests == []


def test_fa_4_a_person_in_200_groups_gets_in_and_the_omission_is_named(deploy: Deploy) -> None:
    place = deploy()
    names = [f"group-{number:03}-of-a-large-company" for number in range(200)]
    place.provider.add_person("carol", groups=names)
    browser, pages = place.sign_in("carol", path="/report")
    assert pages[-1].status_code == 200
    assert place.web.last.header("x-auth-request-user") == "carol"
    assert not place.web.last.header("x-auth-request-groups")
    assert place.web.last.header("x-auth-request-omitted") == "groups"
    assert place.ask("/api/models", *XHR, cookie=place.cookie_of(browser)).status == 200
    assert place.api.last.header("x-auth-request-user") == "carol"


def test_fa_4_an_identity_of_4_kb_arrives(deploy: Deploy) -> None:
    place = deploy()
    names = [f"group-{number:03}" for number in range(200)]
    place.provider.add_person("dora", groups=names, name="D" * 900)
    _, pages = place.sign_in("dora", path="/report")
    assert pages[-1].status_code == 200
    assert place.web.last.header("x-auth-request-groups") == ",".join(names)
    assert place.web.last.header("x-auth-request-name") == "D" * 900
