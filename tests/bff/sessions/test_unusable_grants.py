"""The provider grants a refresh, but its answer cannot be used.

This is not an outage, and the refresh token may be spent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from bff.sessions.refresh import RETRY_SECONDS, BearerToken, NoToken, RefreshFailed
from tests.bff.refresh_bench import LIFETIME, Bench, token_of

Change = Callable[[dict[str, Any]], dict[str, Any]]


def changing(**over: Any) -> Change:
    return lambda answer: {**answer, **over}


async def refreshed(bench: Bench, change: Change, *, after: float = LIFETIME) -> tuple[Any, Any, str]:
    """The outcome for a session whose refresh is answered like this, the session after it, and the log's detail."""
    session = await bench.sign_in()
    bench.fake.bend.token.json(change, times=1)
    bench.clock.advance(after)
    with capture_logs() as logs:
        outcome = await bench.tokens.access_token(session)
        await bench.tokens.drain()
    [line] = [line for line in logs if line["event"] == "refresh_failed"]
    assert line["reason"] in ("token_response_token", "token_response_type")
    assert not any(line["event"] == "refresh_ok" for line in logs)
    return outcome, await bench.again(session), line["detail"]


@pytest.mark.parametrize(
    "over",
    [{"access_token": "a b"}, {"access_token": None}, {"token_type": "mac"}, {"id_token": 5}, {"access_token": 5}],
)
async def test_the_new_refresh_token_in_an_unusable_token_response_is_kept_and_the_next_refresh_works(
    bench: Bench, over: dict[str, Any]
) -> None:
    outcome, session, detail = await refreshed(bench, changing(**over))
    assert outcome == RefreshFailed(RETRY_SECONDS)
    assert detail.endswith("the new refresh token is kept")
    family = bench.fake.memory.families[session.tokens.refresh_token]
    assert session.tokens.refresh_token == family.tokens[-1]
    bench.clock.advance(2 * RETRY_SECONDS)
    assert isinstance(await bench.tokens.access_token(session), BearerToken)
    assert bench.fake.reuse_detected == []


async def test_a_refresh_token_with_a_space_is_accepted(bench: Bench) -> None:
    session = await bench.sign_in()
    bench.fake.bend.token.json(changing(refresh_token="r 2"), times=1)
    bench.clock.advance(LIFETIME)
    assert isinstance(await bench.tokens.access_token(session), BearerToken)
    stored = await bench.again(session)
    assert stored is not None
    assert stored.tokens.refresh_token == "r 2"


async def test_the_old_refresh_token_is_kept_when_an_unusable_token_response_has_none(bench: Bench) -> None:
    bench.fake.options.rotate_refresh_tokens = False
    outcome, session, detail = await refreshed(bench, changing(access_token="a b"))
    assert outcome == RefreshFailed(RETRY_SECONDS)
    assert detail.endswith("the refresh token is kept")
    bench.clock.advance(2 * RETRY_SECONDS)
    assert isinstance(await bench.tokens.access_token(session), BearerToken)


@pytest.mark.parametrize(
    "value", ["a\nb", 5, ["r"], "ü", "x" * 70_000], ids=["line break", "number", "list", "ü", "long"]
)
async def test_an_unusable_new_refresh_token_leaves_the_session_without_a_refresh_token(
    bench: Bench, value: Any
) -> None:
    """The old refresh token is spent, and sending it again would look like theft.

    The person can sign in again at once.
    """
    outcome, session, detail = await refreshed(bench, changing(refresh_token=value))
    assert outcome == NoToken()
    assert "the refresh token is spent" in detail
    assert session.tokens.refresh_token == ""
    bench.fake.clear_hits()
    bench.clock.advance(2 * RETRY_SECONDS)
    assert await bench.tokens.access_token(session) == NoToken()
    assert bench.fake.hits_of("token") == []


async def test_the_old_access_token_is_used_until_it_expires_after_an_unusable_refresh(bench: Bench) -> None:
    _, session, _ = await refreshed(bench, changing(refresh_token=5), after=LIFETIME - 5)
    assert token_of(await bench.tokens.access_token(session)) == session.tokens.access_token
    bench.clock.advance(5)
    assert await bench.tokens.access_token(session) == NoToken()


async def test_a_session_that_ended_during_an_unusable_refresh_stays_ended(bench: Bench) -> None:
    session = await bench.sign_in()
    bench.fake.bend.token.json(changing(access_token="a b"), times=1)
    bench.clock.advance(LIFETIME)
    with bench.fake.bend.token.hold() as gate:
        waiting = asyncio.create_task(bench.tokens.access_token(session))
        await asyncio.to_thread(gate.wait_arrived)
        await bench.sessions.store.delete(session.name)
        gate.release()
        outcome = await waiting
    assert not isinstance(outcome, BearerToken)
    assert await bench.again(session) is None
