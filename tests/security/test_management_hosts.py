"""CK-7, PX-9: the management listener answers to addresses and known names, so a rebound name reads nothing there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

import pytest

from gateway.management.app import create_management_app
from gateway.serving.server import build_server
from tests.fakes import bind_socket
from tests.security.house import House
from tests.security.raw import RawAnswer, exchange

ADMIN_TOKEN = "unit-test-admin-token-0123456789"
PATHS = ["/healthz", "/readyz", "/admin/sessions?sub=alice", "/nothing"]
Ask = Callable[..., RawAnswer]


@pytest.fixture
def ask(build_house: Callable[..., House]) -> Iterator[Ask]:
    """`ask(path, host)`: one request to the management listener of a house, with this Host header."""
    server = {"internal_hosts": ["vestibule:8000", "probe.internal"], "management_bind": "manage.internal:9090"}
    house = build_house(secrets={"admin_token": ADMIN_TOKEN}, server=server)
    sock = bind_socket("127.0.0.1")
    listener = build_server(create_management_app(house.door.app), house.door.settings, lifespan="off")

    async def start() -> asyncio.Task[None]:
        return asyncio.create_task(listener.serve(sockets=[sock]))

    def asked(path: str, *hosts: str) -> RawAnswer:
        lines = [f"GET {path} HTTP/1.1", *(f"Host: {host}" for host in hosts)]
        lines += [f"Authorization: Bearer {ADMIN_TOKEN}", "Connection: close"]
        return RawAnswer.parse(exchange(sock.getsockname()[1], ("\r\n".join(lines) + "\r\n\r\n").encode()))

    async def end() -> None:
        listener.should_exit = True
        await serving

    serving = house.door.do(start())
    yield asked
    house.door.do(end())
    sock.close()


FOREIGN = [
    "attacker.example",
    "attacker.example:9090",
    "127.0.0.1.attacker.example",
    "localhost.attacker.example:9090",
    "notlocalhost",
    "2130706433",
    "0x7f000001",
    "127.1",
    "vestibule.attacker.example",
    "[attacker.example]",
    "::1",
    "",
]


@pytest.mark.parametrize("host", FOREIGN)
def test_ck_7_the_management_listener_refuses_foreign_host_names(ask: Ask, host: str) -> None:
    for answer in [ask(path, host) for path in PATHS]:
        assert answer.status in (400, 421)
        assert b"store" not in answer.body
        assert b"sessions" not in answer.body


@pytest.mark.parametrize("path", PATHS)
def test_ck_7_a_foreign_host_name_gets_421_and_leaves_an_event(
    ask: Ask, path: str, audit: list[MutableMapping[str, Any]]
) -> None:
    answer = ask(path, "attacker.example")
    assert (answer.status, json.loads(answer.body)["code"]) == (421, "unknown_host")
    (event,) = [event for event in audit if event["event"] == "request_refused"]
    assert event["reason"] == "unknown_host"
    assert "internal_hosts" in event["detail"]


@pytest.mark.parametrize("hosts", [(), ("127.0.0.1", "attacker.example")], ids=["none", "two"])
def test_px_9_a_management_request_without_exactly_one_host_is_refused(ask: Ask, hosts: tuple[str, ...]) -> None:
    assert ask("/readyz", *hosts).status == 400


KNOWN = [
    "127.0.0.1",
    "127.0.0.1:9090",
    "10.1.2.3:9090",
    "[::1]",
    "[::1]:9090",
    "[fd00::7]:9090",
    "localhost",
    "LocalHost:9090",
    "vestibule:9090",
    "vestibule",
    "probe.internal:9090",
    "Manage.Internal:9090",
]


@pytest.mark.parametrize("host", KNOWN)
def test_ck_7_probes_with_an_ip_address_or_a_known_name_are_answered(ask: Ask, host: str) -> None:
    assert [ask(path, host).status for path in PATHS] == [200, 200, 200, 404]
