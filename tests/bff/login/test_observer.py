"""An observer is told how each sign-in ends, and a sign-in is the same with one as without."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bff.errors import AuthError, CallbackRejected, ProviderUnavailable
from bff.login.sign_in import LoginDenied
from bff.oidc.tokens import TokenResponse
from bff.provider.identity import Sources
from bff.sessions.record import Session
from tests.bff.login.test_sign_in import Door, Pairs, browser
from tests.bff.refresh_bench import Bench


class Notes:
    """An observer that records what it is told."""

    def __init__(self) -> None:
        self.sessions: list[Session] = []
        self.tokens: list[str] = []
        self.sources: list[Sources] = []
        self.denials: list[str] = []
        self.refusals: list[str] = []

    def signed_in(self, session: Session, *, answer: TokenResponse, sources: Sources) -> None:
        self.sessions.append(session)
        self.tokens.append(answer.access_token)
        self.sources.append(sources)

    def denied(self, error: str) -> None:
        self.denials.append(error)

    def refused(self, error: AuthError) -> None:
        self.refusals.append(error.code)

    @property
    def all(self) -> tuple[int, list[str], list[str]]:
        return len(self.sessions), self.denials, self.refusals


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
async def door(bench: Bench, notes: Notes) -> AsyncIterator[Door]:
    bench.fake.options.auto_login = "alice"
    made = Door(bench, observer=notes)
    yield made
    await made.sign_in.drain()
    bench.fake.options.auto_login = ""


async def test_the_observer_gets_session_tokens_and_claims_of_a_finished_sign_in(door: Door, notes: Notes) -> None:
    finished = await door.walk()
    session = finished.opened.session
    assert notes.all == (1, [], [])
    assert notes.sessions == [session]
    assert notes.tokens == [session.tokens.access_token]
    assert notes.sources[0]["id_token"]["sub"] == "alice"


async def test_the_observer_hears_that_a_cancelled_sign_in_was_denied(door: Door, notes: Notes) -> None:
    door.fake.bend.authorization.json(
        lambda answer: {"error": "access_denied", "state": answer["state"], "iss": answer["iss"]}
    )
    started = await door.start()
    outcome = await door.finish(await door.authorize(started), browser(*started.set_cookies))
    assert outcome == LoginDenied("access_denied", "/report?team=red", "corp")
    assert notes.all == (0, ["access_denied"], [])


async def test_the_observer_hears_of_a_refused_callback_once_and_the_error_is_still_raised(
    door: Door, notes: Notes
) -> None:
    parameters: Pairs = await door.authorize(await door.start())
    with pytest.raises(CallbackRejected) as refused:
        await door.finish(parameters, browser())
    assert refused.value.code == "callback_foreign_browser"
    assert notes.all == (0, [], ["callback_foreign_browser"])


async def test_the_observer_hears_that_a_sign_in_with_a_bad_id_token_was_refused(door: Door, notes: Notes) -> None:
    door.fake.bend.id_token.claims(lambda claims: claims | {"aud": "somebody-else"})
    with pytest.raises(AuthError):
        await door.walk()
    assert notes.all == (0, [], ["id_token_aud"])


async def test_the_observer_hears_that_a_sign_in_that_cannot_start_was_refused(door: Door, notes: Notes) -> None:
    door.fake.bend.par.raw(500)
    with pytest.raises(ProviderUnavailable) as refused:
        await door.start()
    assert notes.all == (0, [], [refused.value.code])
