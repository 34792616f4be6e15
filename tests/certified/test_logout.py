"""Signing out at an OpenID-certified provider: by the front door, and by another client of the same provider."""

from __future__ import annotations

import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from hashlib import sha256
from secrets import token_hex
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.certified.certified_provider import CertifiedProvider
from tests.certified.relying_party import CertifiedDoor, Kind, kind_named, session_cookie
from tests.fakes import CookieClient

OpenDoor = Callable[[Kind], CertifiedDoor]
ELSEWHERE = "https://elsewhere.example"
CHALLENGE = urlsafe_b64encode(sha256(b"v" * 43).digest()).rstrip(b"=").decode("ascii")


def confirm(browser: CookieClient, question: httpx.Response) -> httpx.Response:
    """Say yes to the provider's question whether to sign out there."""
    return browser.submit(question, "#op.logoutForm", fields={"logout": "yes"})


def asks_who_it_is(door: CertifiedDoor, browser: CookieClient) -> bool:
    """True if a sign-in now shows the provider's login page: the provider has no session with this browser."""
    return 'id="person-alice"' in door.walk(browser, browser.get(f"{door.url}/auth/login"))[-1].text


class OtherClient:
    """Another application of the same provider, signed in to and out of in the browser's session there."""

    def __init__(self, provider: CertifiedProvider) -> None:
        self.provider, self.client_id = provider, f"elsewhere-{token_hex(4)}"
        provider.register(
            {
                "client_id": self.client_id,
                "token_endpoint_auth_method": "none",
                "redirect_uris": [f"{ELSEWHERE}/callback"],
                "post_logout_redirect_uris": [f"{ELSEWHERE}/bye"],
            }
        )

    def sign_in(self, browser: CookieClient) -> None:
        """A sign-in that needs no page, because the person is signed in at the provider."""
        answer = browser.get(
            f"{self.provider.issuer}/auth",
            params={
                "client_id": self.client_id,
                "response_type": "code",
                "scope": "openid",
                "redirect_uri": f"{ELSEWHERE}/callback",
                "code_challenge": CHALLENGE,
                "code_challenge_method": "S256",
            },
        )
        assert answer.headers["location"].startswith(f"{ELSEWHERE}/callback?code=")

    def sign_out(self, browser: CookieClient) -> None:
        """Signing out here and, as asked, at the provider: it then calls every other client of that session."""
        query = {"client_id": self.client_id, "post_logout_redirect_uri": f"{ELSEWHERE}/bye"}
        question = browser.get(f"{self.provider.issuer}/session/end", params=query)
        assert confirm(browser, question).headers["location"] == f"{ELSEWHERE}/bye"


@pytest.fixture
def elsewhere(provider: CertifiedProvider) -> OtherClient:
    return OtherClient(provider)


def is_over_within(door: CertifiedDoor, cookie: str, *, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while door.is_signed_in(cookie):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_signing_out_ends_our_session_then_the_one_at_the_provider_and_returns(open_door: OpenDoor, kind: Kind) -> None:
    door = open_door(kind)
    with door.browser() as browser:
        door.sign_in(browser)
        cookie = session_cookie(browser)
        question = browser.walk(browser.post(f"{door.url}/auth/logout"))[-1]
        assert str(question.url).startswith(f"{door.provider.issuer}/session/end?")
        assert {"id_token_hint", "client_id", "post_logout_redirect_uri", "state"} == set(
            parse_qs(urlsplit(str(question.url)).query)
        )
        assert not door.is_signed_in(cookie)
        landed = browser.walk(confirm(browser, question))[-1]
        assert str(landed.url).startswith(f"{door.url}/auth/logged-out?state=")
        assert landed.status_code == 200
        assert "You are signed out" in landed.text
        assert len(door.events("end_session.success")) == 1
        assert asks_who_it_is(door, browser)


def test_signing_out_revokes_the_refresh_token_even_if_the_person_stops_at_the_provider(
    open_door: OpenDoor, kind: Kind
) -> None:
    door = open_door(kind)
    with door.browser() as browser:
        door.sign_in(browser)
        browser.post(f"{door.url}/auth/logout")
    door.provider.wait_for("grant.revoked", client_id=door.client_id)
    assert not door.events("revocation.error")


def test_the_provider_ends_our_session_when_another_client_signs_the_person_out(
    open_door: OpenDoor, kind: Kind, elsewhere: OtherClient
) -> None:
    door = open_door(kind)
    with door.browser() as browser, door.browser() as other_person:
        door.sign_in(other_person, "bob")
        door.sign_in(browser)
        cookie = session_cookie(browser)
        assert door.is_signed_in(cookie)
        elsewhere.sign_in(browser)
        elsewhere.sign_out(browser)
        assert is_over_within(door, cookie, seconds=1)
        assert door.is_signed_in(session_cookie(other_person))
    assert len(door.events("backchannel.success")) == 1
    assert not door.events("backchannel.error")


@pytest.mark.parametrize(("by_sid", "survives"), [(True, True), (False, False)], ids=["by sid", "by sub"])
def test_a_logout_token_ends_the_sessions_it_names(
    open_door: OpenDoor, elsewhere: OtherClient, *, by_sid: bool, survives: bool
) -> None:
    door = open_door(kind_named("signed assertion", logout_by_sid=by_sid))
    with door.browser() as desk, door.browser() as phone:
        door.sign_in(desk)
        door.sign_in(phone)
        at_desk, on_phone = session_cookie(desk), session_cookie(phone)
        assert bool(door.session(at_desk).sid) == by_sid
        elsewhere.sign_out(desk)
        assert is_over_within(door, at_desk, seconds=1)
        assert is_over_within(door, on_phone, seconds=0.2) != survives


def test_a_person_signed_out_from_elsewhere_can_sign_in_again(open_door: OpenDoor, elsewhere: OtherClient) -> None:
    door = open_door(kind_named("public client"))
    with door.browser() as browser:
        door.sign_in(browser)
        elsewhere.sign_out(browser)
        assert door.sign_in(browser)[-1].status_code == 200
        assert door.is_signed_in(session_cookie(browser))
