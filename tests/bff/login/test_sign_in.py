"""Signing in and out as use cases: when the provider is called, and what remains afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from structlog.testing import capture_logs

from bff.access.policy import Demands
from bff.audit import Audit
from bff.contract import EndReason
from bff.errors import AuthError, CallbackRejected, InvalidToken, ProviderUnavailable, StoreUnavailable
from bff.login.observer import LoginObserver
from bff.login.sign_in import Browser, LoginDenied, LoginFinished, LoginRequest, LoginStarted, SignIn
from bff.login.transactions import Transactions
from bff.login.trials import Trials
from bff.oidc.end_session import ByRedirect
from bff.sessions.lifecycle import Opened
from bff.settings.public_urls import PublicUrls
from bff.settings.tables import LimitSettings
from bff.stores.events import SessionsEnded
from tests.bff.factories import keyring, resume
from tests.bff.refresh_bench import Bench
from tests.fakes import OMIT

URLS = PublicUrls("https://apps.example.com")
REQUEST = LoginRequest(provider="corp", return_to="/report?team=red")
Pairs = list[tuple[str, str]]


def browser(*cookies: str) -> Browser:
    return Browser(cookies=[cookie.partition(";")[0].encode() for cookie in cookies], address="192.0.2.1", urls=URLS)


class Door:
    """The use cases under test, and the steps that a browser does between them."""

    def __init__(self, bench: Bench, *, observer: LoginObserver | None = None, **over: Any) -> None:
        self.bench, self.fake = bench, bench.fake
        self.provider = bench.new_provider(**over) if over else bench.provider
        transactions = Transactions(bench.store, keyring(), LimitSettings())
        self.sign_in = SignIn(
            {"corp": self.provider},
            bench.sessions,
            transactions,
            trials=Trials(bench.store, keyring(), seconds=600),
            audit=Audit(),
            clock=bench.clock,
            observer=observer,
        )

    async def start(self, sent: Browser | None = None, *, demands: Demands | None = None, **over: Any) -> LoginStarted:
        request = replace(REQUEST, **over)
        return await self.sign_in.start_login(
            request, sent or browser(), demands=demands or Demands(), replaces=over.pop("replaces", "")
        )

    async def authorize(self, started: LoginStarted) -> Pairs:
        """What the provider sends back with the browser."""
        async with httpx.AsyncClient() as http:
            answer = await http.get(started.url)
        assert answer.status_code == 303, answer.text
        return parse_qsl(urlsplit(answer.headers["location"]).query)

    async def finish(self, parameters: Pairs, sent: Browser) -> LoginFinished | LoginDenied:
        return await self.sign_in.finish_login("corp", parameters, sent)

    async def walk(self, *cookies: str, **over: Any) -> LoginFinished:
        started = await self.start(browser(*cookies), **over)
        outcome = await self.finish(await self.authorize(started), browser(*started.set_cookies, *cookies))
        assert isinstance(outcome, LoginFinished)
        return outcome


@pytest.fixture
async def door(bench: Bench) -> AsyncIterator[Door]:
    bench.fake.options.auto_login = "alice"
    made = Door(bench)
    yield made
    await made.sign_in.drain()
    bench.fake.options.auto_login = ""
    bench.fake.options.require_par = False


def session_cookie(opened: Opened) -> str:
    return f"__Host-vestibule={opened.cookie}"


async def code_of(work: Any) -> str:
    with pytest.raises(AuthError) as refused:
        await work
    return refused.value.code


class TestAWholeSignIn:
    async def test_a_sign_in_opens_a_session_and_leads_back(self, door: Door) -> None:
        finished = await door.walk()
        session = finished.opened.session
        assert finished.return_to == "/report?team=red"
        assert (session.identity.sub, session.identity.roles, session.provider) == (
            "alice",
            ("analyst", "admin"),
            "corp",
        )
        assert session.sid == door.fake.logins("alice")[-1].sid
        assert session.tokens.expires_at == door.bench.clock() + 99
        assert await resume(door.bench.sessions, finished.opened.cookie) is not None

    async def test_a_sign_in_gives_the_browser_only_what_it_needs(self, door: Door) -> None:
        started = await door.start(prompt="login")
        sent = dict(parse_qsl(urlsplit(started.url).query))
        assert sent.keys() == {"client_id", "request_uri"}
        pushed = door.fake.hits_of("par")[-1].form
        assert (pushed["prompt"], pushed["code_challenge_method"], pushed["response_type"]) == ("login", "S256", "code")
        assert pushed["redirect_uri"] == "https://apps.example.com/auth/callback/corp"
        assert "code_verifier" not in pushed
        assert started.url not in repr(started)

    async def test_the_binding_cookie_is_sent_across_sites_only_for_form_post(self, door: Door) -> None:
        assert "SameSite=Lax" in (await door.start()).set_cookies[0]
        posting = Door(door.bench, response_mode="form_post")
        assert "SameSite=None" in (await posting.start()).set_cookies[0]
        assert door.fake.hits_of("par")[-1].form["response_mode"] == "form_post"
        await posting.provider.aclose()

    async def test_a_token_response_without_a_scope_has_the_requested_scope(self, door: Door) -> None:
        """RFC 6749 section 5.1: it may be left out when it is the same."""
        door.fake.bend.token.json(lambda answer: {name: v for name, v in answer.items() if name != "scope"})
        assert (await door.walk()).opened.session.tokens.scope == "openid profile email"

    async def test_a_sign_in_does_not_call_userinfo_when_it_is_switched_off(self, door: Door) -> None:
        bare = Door(door.bench, userinfo="never")
        await bare.walk()
        assert door.fake.hits_of("userinfo") == []
        await bare.provider.aclose()

    async def test_a_sign_in_reads_no_roles_from_an_opaque_access_token(self, door: Door) -> None:
        door.fake.bend.access_token.raw(lambda token: "opaque", times=1)
        door.fake.bend.userinfo.raw(json={"sub": "alice", "groups": ["ops"]})
        assert (await door.walk()).opened.session.identity.groups == ("ops", "science")

    async def test_a_sign_in_keeps_the_kit_client_and_its_binding(self, door: Door) -> None:
        finished = await door.walk(kit_client="dash", kit_binding="b")
        assert (finished.kit_client, finished.kit_binding) == ("dash", "b")


class TestItsEvents:
    async def outcome(self, door: Door) -> list[tuple[str, str]]:
        with capture_logs() as logs:
            started = await door.start()
            await door.finish(await door.authorize(started), browser(*started.set_cookies))
        return [(line["event"], line.get("reason", "")) for line in logs]

    async def test_a_sign_in_writes_one_event_at_its_start_and_one_at_its_end(self, door: Door) -> None:
        assert await self.outcome(door) == [("login_started", ""), ("login_ok", "")]

    @pytest.mark.parametrize(("error", "reason"), [("access_denied", "access_denied"), ("not a code", "denied")])
    async def test_the_event_of_a_failed_sign_in_has_the_reason(self, door: Door, error: str, reason: str) -> None:
        door.fake.bend.authorization.json(
            lambda answer: {"error": error, "state": answer["state"], "iss": answer["iss"]}
        )
        assert await self.outcome(door) == [("login_started", ""), ("login_failed", reason)]


class TestAuthentication:
    async def test_a_sign_in_asks_for_the_stricter_max_age_and_the_acr_of_the_page(self, door: Door) -> None:
        await door.start(demands=Demands(max_age=60, acr_values=("2", "3")), max_age=600.0)
        pushed = door.fake.hits_of("par")[-1].form
        assert (pushed["max_age"], pushed["acr_values"]) == ("60", "2 3")

    async def test_the_requested_max_age_and_acr_are_enforced(self, door: Door) -> None:
        started = await door.start(demands=Demands(acr_values=("2",)))
        parameters = await door.authorize(started)
        assert await code_of(door.finish(parameters, browser(*started.set_cookies))) == "id_token_acr"


class TestTheSessionBefore:
    async def test_a_new_sign_in_ends_the_session_before(self, door: Door) -> None:
        first = (await door.walk()).opened
        await door.walk(session_cookie(first))
        assert await resume(door.bench.sessions, first.cookie) is None
        assert SessionsEnded(EndReason.SUPERSEDED, name=first.session.name) in door.bench.events

    async def test_a_session_that_another_tab_opened_during_the_sign_in_ends_too(self, door: Door) -> None:
        """Its cookie is about to be overwritten, so nobody could sign this session out later."""
        slow, quick = await door.start(), await door.start()
        first = await door.finish(await door.authorize(quick), browser(*quick.set_cookies))
        assert isinstance(first, LoginFinished)
        held = session_cookie(first.opened)
        second = await door.finish(await door.authorize(slow), browser(*slow.set_cookies, held))
        assert isinstance(second, LoginFinished)
        assert await resume(door.bench.sessions, first.opened.cookie) is None
        assert await resume(door.bench.sessions, second.opened.cookie) is not None

    async def test_a_duplicate_or_broken_session_cookie_ends_no_session(self, door: Door) -> None:
        first = (await door.walk()).opened
        other = session_cookie(first).replace("=", "=x", 1)
        for cookies in ([session_cookie(first)] * 2, [other], ["__Host-vestibule="]):
            started = await door.start()
            await door.finish(await door.authorize(started), browser(*started.set_cookies, *cookies))
            assert await resume(door.bench.sessions, first.cookie) is not None


class TestRefusedCallbacks:
    async def test_a_refused_callback_makes_no_request_to_the_provider(self, door: Door) -> None:
        started, other = await door.start(), await door.start()
        parameters = await door.authorize(started)
        bound = browser(*started.set_cookies)
        door.fake.clear_hits()
        twice = [*parameters, ("state", "x")]
        foreign = [(name, "https://evil.example" if name == "iss" else value) for name, value in parameters]
        assert await code_of(door.finish(twice, bound)) == "callback_duplicate"
        assert await code_of(door.finish(parameters, browser())) == "callback_foreign_browser"
        assert await code_of(door.finish(parameters, browser(*other.set_cookies))) == "callback_foreign_browser"
        assert await code_of(door.finish(parameters, browser(*started.set_cookies * 2))) == "callback_foreign_browser"
        assert await code_of(door.finish(foreign, bound)) == "callback_issuer"
        assert await code_of(door.finish(parameters, bound)) == "callback_unknown", "that used it up"
        assert door.fake.hits_of("token") == []

    async def test_one_of_a_hundred_parallel_callbacks_succeeds(self, door: Door) -> None:
        started = await door.start()
        parameters = await door.authorize(started)
        bound = browser(*started.set_cookies)
        outcomes = await asyncio.gather(*(door.finish(parameters, bound) for _ in range(100)), return_exceptions=True)
        assert sum(isinstance(outcome, LoginFinished) for outcome in outcomes) == 1
        assert sum(isinstance(outcome, CallbackRejected) for outcome in outcomes) == 99
        assert len(door.fake.hits_of("token")) == 1

    async def test_a_denied_sign_in_has_the_target_to_return_to(self, door: Door) -> None:
        started = await door.start()
        door.fake.bend.authorization.json(
            lambda answer: {"error": "access_denied", "state": answer["state"], "iss": answer["iss"]}
        )
        parameters = await door.authorize(started)
        outcome = await door.finish(parameters, browser(*started.set_cookies))
        assert outcome == LoginDenied("access_denied", "/report?team=red", "corp")

    async def test_a_refused_callback_clears_the_cookie_of_its_transaction(self, door: Door) -> None:
        started = await door.start()
        parameters = await door.authorize(started)
        bound = browser(*started.set_cookies)
        (cleared,) = door.sign_in.clear_transaction_cookie(parameters, bound)
        assert cleared.startswith(started.set_cookies[0].partition("=")[0] + "=;")
        assert "Max-Age=0" in cleared
        for pairs in ([], [("state", "")], [("state", "ü")], [("state", "t" * 43)]):
            assert door.sign_in.clear_transaction_cookie(pairs, bound) == []


class TestAFailedCompletion:
    async def attempt(self, door: Door) -> str:
        started = await door.start()
        parameters = await door.authorize(started)
        code = await code_of(door.finish(parameters, browser(*started.set_cookies)))
        await door.sign_in.drain()
        assert not door.bench.store._records
        return code

    async def test_a_failed_sign_in_revokes_the_tokens_it_received(self, door: Door) -> None:
        door.fake.bend.id_token.claims(lambda claims: claims | {"nonce": OMIT})
        assert await self.attempt(door) == "id_token_nonce"
        assert len(door.fake.hits_of("revocation")) == 1

    async def test_a_sign_in_without_an_id_token_fails(self, door: Door) -> None:
        door.fake.bend.token.json(lambda answer: {name: v for name, v in answer.items() if name != "id_token"})
        assert await self.attempt(door) == "id_token_missing"

    async def test_a_sign_in_with_userinfo_of_another_person_fails(self, door: Door) -> None:
        door.fake.bend.userinfo.raw(json={"sub": "bob"})
        assert await self.attempt(door) == "userinfo_sub"

    async def test_a_sign_in_with_a_refused_code_fails(self, door: Door) -> None:
        door.fake.bend.token.raw(400, json={"error": "invalid_grant"})
        assert await self.attempt(door) == "token_refused"
        door.fake.bend.token.raw(404)
        assert await self.attempt(door) == "token_refused"
        assert door.fake.hits_of("revocation") == []

    async def test_a_sign_in_fails_when_a_logout_arrives_during_it(self, door: Door) -> None:
        started = await door.start()
        parameters = await door.authorize(started)
        door.bench.clock.advance(1)
        await door.bench.sessions.end_person(door.fake.issuer, "alice", EndReason.LOGOUT)
        assert await code_of(door.finish(parameters, browser(*started.set_cookies))) == "login_ended"
        await door.sign_in.drain()
        assert not door.bench.store._records
        door.bench.clock.advance(1)
        assert (await door.walk()).opened, "a later one works"


class TestPushedRequests:
    async def test_pushed_requests_are_used_where_the_provider_has_them_unless_switched_off(self, door: Door) -> None:
        off = Door(door.bench, par="off")
        plain = dict(parse_qsl(urlsplit((await off.start()).url).query))
        assert plain["code_challenge_method"] == "S256"
        assert door.fake.hits_of("par") == []
        door.fake.options.require_par = True
        bare = Door(door.bench, par="off")
        assert await code_of(bare.start()) == "par_required"
        await off.provider.aclose()
        await bare.provider.aclose()

    async def test_a_failed_pushed_request_leaves_no_plain_request_and_no_transaction(self, door: Door) -> None:
        door.fake.bend.par.raw(400, json={"error": "invalid_request"})
        with pytest.raises(ProviderUnavailable):
            await door.start()
        assert not door.bench.store._values


class TestSigningOut:
    async def test_a_sign_out_ends_the_session_before_the_redirect_to_the_provider(self, door: Door) -> None:
        opened = (await door.walk()).opened
        left = await door.sign_in.start_logout(opened.session, everywhere=False, urls=URLS)
        assert await resume(door.bench.sessions, opened.cookie) is None
        assert isinstance(left.request, ByRedirect)
        sent = dict(parse_qsl(urlsplit(left.request.url).query))
        assert sent["id_token_hint"] == opened.session.tokens.id_token
        back = "https://apps.example.com/auth/logged-out"
        assert (sent["client_id"], sent["post_logout_redirect_uri"]) == ("vestibule", back)
        assert len(sent["state"]) == 43
        await door.sign_in.drain()
        (revoked,) = door.fake.hits_of("revocation")
        assert revoked.form["token"] == opened.session.tokens.refresh_token

    async def test_a_sign_out_everywhere_ends_and_revokes_all_sessions_of_the_person(self, door: Door) -> None:
        opened = [(await door.walk()).opened for _ in range(3)]
        door.bench.clock.advance(1)
        await door.sign_in.start_logout(opened[0].session, everywhere=True, urls=URLS)
        await door.sign_in.drain()
        assert [await resume(door.bench.sessions, each.cookie) for each in opened] == [None] * 3
        assert {hit.form["token"] for hit in door.fake.hits_of("revocation")} == {
            each.session.tokens.refresh_token for each in opened
        }

    async def test_a_sign_out_works_without_the_provider(self, door: Door) -> None:
        opened = (await door.walk()).opened
        unreachable = Door(door.bench, http_timeout_seconds=0.2)
        door.fake.bend.discovery.raw(500)
        left = await unreachable.sign_in.start_logout(opened.session, everywhere=False, urls=URLS)
        assert left.request is None
        assert await resume(door.bench.sessions, opened.cookie) is None
        await unreachable.sign_in.drain()
        await unreachable.provider.aclose()

    async def test_a_sign_out_is_local_when_the_provider_is_unknown_or_has_no_logout(self, door: Door) -> None:
        opened = (await door.walk()).opened
        door.fake.bend.discovery.json(lambda document: document | {"end_session_endpoint": None})
        bare = Door(door.bench, id_token_hint=False)
        assert (await bare.sign_in.start_logout(opened.session, everywhere=False, urls=URLS)).request is None
        foreign = replace(opened.session, identity=replace(opened.session.identity, provider="gone"))
        assert (await bare.sign_in.start_logout(foreign, everywhere=False, urls=URLS)).request is None
        await bare.sign_in.drain()
        await bare.provider.aclose()

    async def test_a_sign_out_sends_no_id_token_hint_when_it_is_switched_off(self, door: Door) -> None:
        opened = (await door.walk()).opened
        quiet = Door(door.bench, id_token_hint=False)
        left = await quiet.sign_in.start_logout(opened.session, everywhere=False, urls=URLS)
        assert isinstance(left.request, ByRedirect)
        assert "id_token_hint" not in left.request.url
        await quiet.sign_in.drain()
        await quiet.provider.aclose()

    async def test_a_sign_out_that_cannot_be_stored_fails(self, door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
        opened = (await door.walk()).opened

        async def fails(name: str) -> bool:
            raise StoreUnavailable

        monkeypatch.setattr(door.bench.store, "delete", fails)
        with pytest.raises(StoreUnavailable):
            await door.sign_in.start_logout(opened.session, everywhere=False, urls=URLS)
        assert door.fake.hits_of("revocation") == []


async def test_an_invalid_token_is_refused_with_the_name_of_the_rule_and_is_not_repeated(door: Door) -> None:
    """The code names the rule. What the token says about the person is shown to nobody."""
    door.fake.bend.id_token.claims(lambda claims: claims | {"nonce": "mallory"})
    started = await door.start()
    with pytest.raises(InvalidToken) as refused:
        await door.finish(await door.authorize(started), browser(*started.set_cookies))
    assert refused.value.code == "id_token_nonce"
    assert "mallory" not in str(refused.value) + refused.value.message
    await door.sign_in.drain()


async def test_a_refused_audience_is_only_in_the_log(door: Door) -> None:
    door.fake.bend.id_token.claims(lambda claims: claims | {"aud": "another"})
    started = await door.start()
    with pytest.raises(InvalidToken) as refused:
        await door.finish(await door.authorize(started), browser(*started.set_cookies))
    assert "another" in refused.value.detail
    assert "another" not in refused.value.message
    await door.sign_in.drain()
