"""One deployment per proxy and file of tests: the real program with its file of `deploy/`."""

from __future__ import annotations

from collections.abc import Iterator
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


@pytest.fixture(scope="module", params=PLACES)
def started(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    starter, use = request.param
    folder = tmp_path_factory.mktemp(starter.mode)
    with (
        FakeProvider(auto_login="alice") as provider,
        deployment(
            starter, provider=provider, authority=make_authority(folder), folder=folder, routes=ROUTES, use=use
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
