"""One sign-in by a strict cookie-jar client: every redirect, cookie attribute and header on the way."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.fakes import CookieClient, FakeProvider, RecordingUpstream
from tests.front_door import RunningDoor, api_route, page_route, running_door

PAGE = b"<!doctype html><html><head><title>App</title></head><body>hello</body></html>"


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    with FakeProvider() as fake:
        yield fake


@pytest.fixture
def upstream() -> Iterator[RecordingUpstream]:
    with RecordingUpstream() as up:
        up.respond("/*", body=PAGE, headers=[("Content-Type", "text/html")])
        yield up


@pytest.fixture
def door(provider: FakeProvider, upstream: RecordingUpstream) -> Iterator[RunningDoor]:
    routes = [api_route(upstream, token="assertion", audience="models-api"), page_route(upstream)]
    with running_door({"corp": provider}, routes) as running:
        provider.client.redirect_uris = [f"{running.url}/auth/callback/corp"]
        provider.client.post_logout_redirect_uris = [f"{running.url}/auth/logged-out"]
        yield running


def test_each_step_of_a_sign_in_has_the_expected_requests(
    door: RunningDoor, provider: FakeProvider, upstream: RecordingUpstream
) -> None:
    with CookieClient() as browser:
        deep_link = f"{door.url}/explore?species=Gentoo&min=5500"

        refused = browser.get(deep_link)
        assert refused.status_code == 302
        assert refused.headers["location"] == "/auth/login?return_to=%2Fexplore%3Fspecies%3DGentoo%26min%3D5500"
        assert refused.headers["cache-control"] == "no-store"
        assert not upstream.requests

        started = browser.follow(refused)
        assert started.status_code == 302
        assert started.headers["cache-control"] == "no-store"
        assert started.headers["referrer-policy"] == "no-referrer"
        (transaction,) = [cookie for cookie in browser.cookies.history if cookie.name.startswith("vestibule-tx-")]
        assert transaction.httponly
        assert transaction.samesite == "Lax"
        assert transaction.path == "/"
        assert transaction.domain is None
        assert transaction.max_age == 600
        assert len(transaction.raw.partition(";")[0]) <= 100

        asked = provider_request(provider)
        assert asked["response_type"] == ["code"]
        assert asked["redirect_uri"] == [f"{door.url}/auth/callback/corp"]
        assert asked["code_challenge_method"] == ["S256"]
        assert len(asked["state"][0]) == len(asked["nonce"][0]) == len(asked["code_challenge"][0]) == 43

        provider_page = browser.follow(started)
        callback = browser.follow(browser.submit(provider_page, "#person-alice"))
        assert urlsplit(str(callback.url)).path == "/auth/callback/corp"
        assert callback.status_code == 303
        assert callback.headers["location"] == "/explore?species=Gentoo&min=5500"
        assert callback.headers["cache-control"] == "no-store"
        assert callback.headers["referrer-policy"] == "no-referrer"
        assert callback.content == b""
        session = browser.cookies["vestibule"]
        assert session.httponly
        assert session.samesite == "Lax"
        assert session.path == "/"
        assert session.domain is None
        assert session.max_age is None
        assert transaction.name not in browser.cookies

        page = browser.follow(callback)
        assert page.status_code == 200
        assert str(page.url) == deep_link
        assert b'<head><script src="/auth/guard.js"></script><title>' in page.content
        assert page.headers["cache-control"] == "no-store"
        assert upstream.last.header("x-auth-request-user") == "alice"
        assert upstream.last.values("cookie") == []
        assert upstream.last.values("authorization") == []


def test_the_session_endpoint_answers_and_the_api_gets_a_bearer_token(
    door: RunningDoor, upstream: RecordingUpstream
) -> None:
    with CookieClient() as browser:
        door.sign_in(browser, path="/explore")
        told = browser.fetch(f"{door.url}/auth/session").json()
        assert (told["sub"], told["provider"], told["roles"]) == ("alice", "corp", ["analyst", "admin"])
        assert told["idle_expires_at"] < told["expires_at"]
        assert browser.fetch(f"{door.url}/api/models?x=1").status_code == 200
        assert upstream.last.target == b"/models?x=1"
        assert (upstream.last.header("authorization") or "").startswith("Bearer ey")
        assert upstream.last.header("x-forwarded-prefix") == "/api"


def test_signing_out_ends_both_sessions_and_the_old_cookie_stops_working(
    door: RunningDoor, provider: FakeProvider
) -> None:
    with CookieClient() as browser:
        door.sign_in(browser, path="/explore")
        stolen = browser.cookies["vestibule"].value
        steps = browser.walk(browser.post(f"{door.url}/auth/logout"))
        assert steps[0].status_code == 303
        assert "vestibule=;" in steps[0].headers["set-cookie"]
        assert "Max-Age=0" in steps[0].headers["set-cookie"]
        (ended,) = provider.hits_of("end_session")
        assert set(ended.query) == {"id_token_hint", "client_id", "post_logout_redirect_uri", "state"}
        assert ended.query["post_logout_redirect_uri"] == f"{door.url}/auth/logged-out"
        assert str(steps[-1].url).startswith(f"{door.url}/auth/logged-out")
        assert steps[-1].status_code == 200
        assert "You are signed out" in steps[-1].text
        replay = browser.fetch(f"{door.url}/auth/session", headers={"Cookie": f"vestibule={stolen}"})
        assert replay.status_code == 401
        assert replay.json()["code"] == "login_required"


def provider_request(provider: FakeProvider) -> dict[str, list[str]]:
    """The authorization request as the provider got it, pushed or in the front channel."""
    hit = provider.hits_of("par")[-1]
    return {name: hit.form.getlist(name) for name in hit.form}
