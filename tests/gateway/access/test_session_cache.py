"""The sessions that a worker keeps: as many as fit, by number and by size, the last used ones."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from bff.assembly import Bff, assemble
from bff.contract import EndReason
from gateway.access import session_cache
from gateway.access.session_cache import LiveSession, SessionCache
from tests.bff import factories
from tests.fakes import FakeClock

SMALL, LARGE = "x", "x" * 30_000


@pytest.fixture
async def bff() -> AsyncIterator[Bff]:
    bff = assemble(factories.settings(), clock=FakeClock())
    yield bff
    await bff.aclose()


async def opened(bff: Bff, claim: str) -> str:
    """Open a session whose record holds `claim`; return its name."""
    opening = replace(factories.opening(FakeClock()), login_started_at=await bff.store.now())
    identity = replace(opening.identity, claims={**opening.identity.claims, "note": claim})
    made = await bff.sessions.open(replace(opening, identity=identity))
    assert made is not None
    return made.session.name


async def got(cache: SessionCache, name: str) -> LiveSession:
    live = await cache.get(name)
    assert live is not None
    return live


async def test_large_records_push_out_those_that_were_not_used_for_longest(
    bff: Bff, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_cache, "MAX_BYTES", 100_000)
    cache = SessionCache(bff)
    names = [await opened(bff, LARGE) for _ in range(6)]
    kept = [await got(cache, name) for name in names]
    assert [await got(cache, name) is live for name, live in zip(names[-3:], kept[-3:], strict=True)] == [True] * 3
    assert await got(cache, names[0]) is not kept[0]
    assert cache._bytes <= 100_000
    assert cache._bytes == sum(live.weight for live in cache._entries.values())


async def test_a_record_larger_than_the_whole_cache_is_served_and_not_kept(
    bff: Bff, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_cache, "MAX_BYTES", 20_000)
    cache = SessionCache(bff)
    small, large = await opened(bff, SMALL), await opened(bff, LARGE)
    live = await got(cache, small)
    assert await got(cache, large) is not await got(cache, large)
    assert await got(cache, small) is live


async def test_sessions_that_end_or_change_free_their_bytes(bff: Bff) -> None:
    cache = SessionCache(bff)
    first, second = await opened(bff, LARGE), await opened(bff, LARGE)
    live = await got(cache, first)
    await got(cache, second)
    changed = await bff.sessions.rewrite(live.session, tokens=live.session.tokens, identity=live.identity)
    assert changed is not None
    weight = (await got(cache, first)).weight
    assert cache._bytes == pytest.approx(2 * weight, rel=0.01)
    await bff.sessions.end(first, EndReason.LOGOUT)
    assert cache._bytes == pytest.approx(weight, rel=0.01)
    cache.close()
    assert cache._bytes == 0


def test_the_limit_is_six_kibibytes_for_each_session_that_may_be_kept() -> None:
    assert session_cache.MAX_BYTES == session_cache.MAX_ENTRIES * 6 * 1024
