"""Whether a Redis answers without a password is tried at the server, not read from the URL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bff.stores.redis_openness import is_open_to_strangers
from bff.stores.redis_url import parse_redis_url
from tests.bff.stores.redis_servers import Deployment, Server, start_server
from tests.ports import free_port

PASSWORD = "unit-test-redis-password"
PREFIX = "vestibule:"


async def is_open(url: str) -> bool:
    return await is_open_to_strangers(parse_redis_url(url), prefix=PREFIX, seconds=2)


@pytest.fixture
def own_server(component: Callable[[str], Path], tmp_path: Path) -> Iterator[Callable[[], Server]]:
    """`own_server()` starts a server only for this test."""
    started: list[Server] = []

    def start() -> Server:
        started.append(start_server(component("redis-server"), tmp_path, free_port()))
        return started[-1]

    yield start
    for server in started:
        server.kill()


@pytest.mark.parametrize("kind", ["standalone", "cluster", "sentinel"])
async def test_a_deployment_without_a_password_is_open(deployment_of: Callable[[str], Deployment], kind: str) -> None:
    assert await is_open(deployment_of(kind).url)


async def test_a_deployment_with_a_password_is_not_open(own_server: Callable[[], Server]) -> None:
    server = own_server()
    with server.client() as client:
        client.config_set("requirepass", PASSWORD)
    assert not await is_open(f"redis://:{PASSWORD}@127.0.0.1:{server.port}/0")
    assert not await is_open(f"redis://127.0.0.1:{server.port}/0")


async def test_a_deployment_whose_default_user_has_no_password_is_open_although_our_user_has_one(
    own_server: Callable[[], Server],
) -> None:
    server = own_server()
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "vestibule", "on", f">{PASSWORD}", "~*", "&*", "+@all")
    url = f"redis://vestibule:{PASSWORD}@127.0.0.1:{server.port}/0"
    assert await is_open(url)
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "default", "off")
    assert not await is_open(url)


async def test_a_deployment_whose_default_user_cannot_reach_our_keys_is_not_open(
    own_server: Callable[[], Server],
) -> None:
    server = own_server()
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "default", "resetkeys", "~other:*")
    assert not await is_open(f"redis://127.0.0.1:{server.port}/0")


async def test_a_deployment_with_client_certificates_is_not_open(deployment_of: Callable[[str], Deployment]) -> None:
    assert not await is_open(deployment_of("secured").url)


async def test_an_unreachable_server_is_not_reported_as_open() -> None:
    assert not await is_open(f"redis://127.0.0.1:{free_port()}/0")
