"""What the tests of the connections to upstreams share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fakes import RecordingUpstream
from tests.gateway.upstream.door import Door, open_door


@pytest.fixture
def upstream() -> Iterator[RecordingUpstream]:
    with RecordingUpstream() as running:
        yield running


@pytest.fixture
def door(upstream: RecordingUpstream) -> Iterator[Door]:
    """A gateway before it, with the limits as they are by default."""
    with open_door(upstream.url) as opened:
        yield opened
