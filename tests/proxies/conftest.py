"""One deployment per proxy and file of tests: the real program with its file of `deploy/`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.fakes import FakeProvider
from tests.proxies.deployed import FORWARD_AUTH, GATEWAY, Deployment, deployment
from tests.proxies.starters import STARTERS
from tests.security.certificates import make_authority

ROUTES: list[dict[str, Any]] = [
    {"id": "web", "path": "/", "kind": "page"},
    {"id": "api", "path": "/api", "kind": "api", "token": "assertion", "audience": "models-api"},
    {"id": "admin", "path": "/admin", "kind": "page", "require": {"roles_any": ["chief"]}},
    {"id": "guests", "path": "/guests", "kind": "page", "auth": "optional"},
    {"id": "public", "path": "/public", "kind": "page", "auth": "public"},
    {"id": "fresh", "path": "/fresh", "kind": "page", "require": {"acr_any": ["gold"]}},
]


PLACES = [(mode, use) for use in (FORWARD_AUTH, GATEWAY) for mode in sorted(STARTERS)]


@pytest.fixture(scope="module", params=PLACES, ids=[f"{mode}/{use}" for mode, use in PLACES])
def started(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    mode, use = request.param
    folder = tmp_path_factory.mktemp(mode)
    with (
        FakeProvider(auto_login="alice") as provider,
        deployment(
            STARTERS[mode], provider=provider, authority=make_authority(folder), folder=folder, routes=ROUTES, use=use
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
