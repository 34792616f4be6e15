"""One certified provider for all of these tests, and a separate front door for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import structlog

from tests import components
from tests.certified.certified_provider import CertifiedProvider
from tests.certified.npm_packages import InstallFailed, installed_packages
from tests.certified.relying_party import KINDS, CertifiedDoor, Kind
from tests.fakes import RecordingUpstream
from tests.security.certificates import Authority, make_authority


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def provider(component: Callable[[str], Path], artefacts: Path, authority: Authority) -> Iterator[CertifiedProvider]:
    node, npm = component("nodejs"), component("npm")
    try:
        packages = installed_packages(npm, artefacts)
    except InstallFailed as failed:
        components.leave_out(str(failed))
    with CertifiedProvider(node, packages, authority) as running:
        yield running


@pytest.fixture
def upstream() -> Iterator[RecordingUpstream]:
    with RecordingUpstream() as running:
        yield running


@pytest.fixture
def open_door(
    provider: CertifiedProvider, upstream: RecordingUpstream, authority: Authority
) -> Iterator[Callable[[Kind], CertifiedDoor]]:
    """`open_door(kind)`: a running door that is registered as this kind of client."""
    with ExitStack() as opened:

        def open_(kind: Kind) -> CertifiedDoor:
            door = CertifiedDoor(kind, provider, upstream, authority)
            door.start()
            opened.callback(door.stop)
            return door

        yield open_


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Every kind of client, one after the other."""
    chosen: Kind = request.param
    return chosen


@pytest.fixture
def audit() -> Iterator[list[MutableMapping[str, Any]]]:
    """Every structured log event of this test."""
    with structlog.testing.capture_logs() as events:
        yield events
