"""One deployment per proxy and file of tests: the real program with its file of `deploy/`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import FakeProvider
from tests.proxies.deployed import FORWARD_AUTH, GATEWAY, Deployment, Proxy, deployment
from tests.proxies.envoy import ENVOY, envoy_changes
from tests.proxies.envoy_stand_in import EnvoyStandIn
from tests.proxies.stand_in import StandIn
from tests.proxies.starters import STARTERS
from tests.proxies.traefik_stand_in import TraefikStandIn, traefik_changes
from tests.security.certificates import make_authority

Deploy = Callable[..., Deployment]
ROUTES: list[dict[str, Any]] = [
    {"id": "web", "path": "/", "kind": "page"},
    {"id": "api", "path": "/api", "kind": "api", "token": "assertion", "audience": "models-api"},
    {"id": "admin", "path": "/admin", "kind": "page", "require": {"roles_any": ["chief"]}},
    {"id": "guests", "path": "/guests", "kind": "page", "auth": "optional"},
    {"id": "public", "path": "/public", "kind": "page", "auth": "public"},
    {"id": "fresh", "path": "/fresh", "kind": "page", "require": {"acr_any": ["gold"]}},
]


PROXIES: dict[str, Proxy] = {
    **STARTERS,
    "envoy": ENVOY,
    "stand-in for envoy": StandIn("envoy", envoy_changes, EnvoyStandIn),
    "stand-in for traefik": StandIn("traefik", traefik_changes, TraefikStandIn),
}
LONG = {"envoy": [pytest.mark.long]}
"""The real Envoy may have to be installed first: `make test-long`."""
PLACES = [
    pytest.param((PROXIES[name], use), id=f"{name}/{use}", marks=LONG.get(name, []))
    for use in (FORWARD_AUTH, GATEWAY)
    for name in sorted(PROXIES)
]
OPEN_SOCKETS = "The proxy asks at the handshake only. Applications with long WebSockets belong behind the gateway."
PUBLIC_CREDENTIAL = (
    "The file replaces `Authorization` for every route. An application with a sign-in of its own needs a part without."
)
NO_HTTP2 = "The file does not offer HTTP/2, because versions of nginx write it in different ways."
ONLY_HTTP1 = "The stand-in speaks HTTP/1.1 only. This says nothing about the proxy."
NOT_HELD: dict[tuple[str, str], str] = {
    **{
        ("test_fa_4_over_http2_the_identity_arrives_and_a_forged_one_does_not", f"nginx/{use}"): NO_HTTP2
        for use in (FORWARD_AUTH, GATEWAY)
    },
    **{
        ("test_fa_4_over_http2_the_identity_arrives_and_a_forged_one_does_not", str(place.id)): ONLY_HTTP1
        for place in PLACES
        if str(place.id).startswith("stand-in")
    },
    **{
        ("test_ws_5_an_open_websocket_ends_with_the_session", f"{name}/{FORWARD_AUTH}"): OPEN_SOCKETS
        for name in PROXIES
    },
    **{
        ("test_fa_4_on_a_public_route_the_credential_of_a_client_arrives", f"{name}/{FORWARD_AUTH}"): PUBLIC_CREDENTIAL
        for name in ("nginx", "caddy", "stand-in for traefik")
    },
}
"""Tests that do not hold before a proxy, each with the reason. They must fail there, and docs/proxies.md says why."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        function, _, parameters = item.name.partition("[")
        for (name, column), reason in NOT_HELD.items():
            if function == name and parameters.startswith(column):
                item.add_marker(pytest.mark.xfail(reason=reason, strict=True))


@pytest.fixture(scope="module", params=PLACES)
def started(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    proxy, use = request.param
    folder = tmp_path_factory.mktemp(proxy.mode)
    with (
        FakeProvider(auto_login="alice") as provider,
        deployment(
            proxy, provider=provider, authority=make_authority(folder), folder=folder, routes=ROUTES, use=use
        ) as running,
    ):
        yield running


@pytest.fixture
def place(started: Deployment) -> Iterator[Deployment]:
    """The deployment, with nothing recorded yet."""
    started.web.reset()
    started.api.reset()
    started.provider.bend.reset()
    yield started
    started.close_browsers()


ASKING = [place for place in PLACES if str(place.id).endswith(FORWARD_AUTH)]
PACKAGED = [place for place in ASKING if str(place.id).partition("/")[0] in STARTERS]
"""Debian's proxies, for tests that change a line of their files."""


@pytest.fixture(params=ASKING)
def proxy(request: pytest.FixtureRequest) -> Proxy:
    """Each proxy that asks, for tests that start it in their own way."""
    asking: Proxy = request.param[0]
    return asking


@pytest.fixture
def deploy(proxy: Proxy, tmp_path: Path) -> Iterator[Deploy]:
    """Start one deployment of the proxy, for this test alone."""
    with ExitStack() as stack:

        def start(*, routes: Sequence[Mapping[str, Any]] = ROUTES, **more: Any) -> Deployment:
            provider = stack.enter_context(FakeProvider(auto_login="alice"))
            authority = make_authority(tmp_path)
            place = stack.enter_context(
                deployment(proxy, provider=provider, authority=authority, folder=tmp_path, routes=routes, **more)
            )
            stack.callback(place.close_browsers)
            return place

        yield start
