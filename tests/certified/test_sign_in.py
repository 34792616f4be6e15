"""Signing in at an OpenID-certified provider, as every kind of client."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import httpx

from tests.certified.relying_party import CertifiedDoor, Kind, session_cookie
from tests.fakes import RecordingUpstream

OpenDoor = Callable[[Kind], CertifiedDoor]
DEEP_LINK = "/explore?species=Gentoo&min=5500"


def authorization_request(pages: list[httpx.Response], door: CertifiedDoor) -> dict[str, list[str]]:
    """The query of the redirect that sent the browser to the provider."""
    (sent,) = [
        page.headers["location"]
        for page in pages
        if page.headers.get("location", "").startswith(f"{door.provider.issuer}/auth?")
    ]
    return parse_qs(urlsplit(sent).query)


def test_a_sign_in_leads_to_the_deep_link_and_opens_a_session_of_the_person(
    open_door: OpenDoor, kind: Kind, upstream: RecordingUpstream
) -> None:
    door = open_door(kind)
    with door.browser() as browser:
        pages = door.sign_in(browser, path=DEEP_LINK)
        assert str(pages[-1].url) == door.url + DEEP_LINK
        assert pages[-1].status_code == 200
        assert upstream.last.target == DEEP_LINK.encode()
        told = browser.fetch(f"{door.url}/auth/session").json()
    assert (told["sub"], told["iss"], told["provider"]) == ("alice", door.provider.issuer, "corp")
    assert (told["name"], told["email"]) == ("Alice Example", "alice@corp.example")
    assert (told["roles"], told["groups"]) == (["analyst", "admin"], ["science"])


def test_the_api_gets_an_access_token_that_the_provider_accepts(
    open_door: OpenDoor, kind: Kind, upstream: RecordingUpstream
) -> None:
    door = open_door(kind)
    with door.browser() as browser:
        door.sign_in(browser, "bob")
        assert browser.fetch(f"{door.url}/api/models").status_code == 200
        bearer = upstream.last.header("authorization")
        userinfo = browser.get(f"{door.provider.issuer}/me", headers={"Authorization": bearer})
    assert userinfo.status_code == 200
    signed = userinfo.headers["content-type"].startswith("application/jwt")
    assert signed == kind.signed_userinfo
    assert signed or userinfo.json()["sub"] == "bob"


def test_the_front_channel_has_only_the_necessary_parameters(open_door: OpenDoor, kind: Kind) -> None:
    door = open_door(kind)
    with door.browser() as browser:
        pages = door.sign_in(browser)
    asked = authorization_request(pages, door)
    if kind.par == "off":
        assert not door.events("pushed_authorization_request.success")
        assert {"state", "nonce", "code_challenge", "redirect_uri"} <= set(asked)
    else:
        assert len(door.events("pushed_authorization_request.success")) == 1
        assert set(asked) == {"client_id", "request_uri"}
        assert asked["client_id"] == [door.client_id]
    (callback,) = [page for page in pages if page.url.path == "/auth/callback/corp"]
    by_form = kind.response_mode == "form_post"
    assert callback.request.method == ("POST" if by_form else "GET")
    assert bool(callback.url.query) != by_form
    everything = " ".join(f"{page.url} {page.headers}" for page in pages)
    tokens = door.session(session_cookie(browser)).tokens
    assert not [each for each in (tokens.access_token, tokens.refresh_token, tokens.id_token) if each in everything]


def test_a_second_sign_in_uses_the_session_at_the_provider_and_replaces_ours(open_door: OpenDoor, kind: Kind) -> None:
    door = open_door(kind)
    with door.browser() as browser:
        door.sign_in(browser)
        first = session_cookie(browser)
        pages = door.walk(browser, browser.get(f"{door.url}/auth/login", params={"return_to": DEEP_LINK}))
        assert str(pages[-1].url) == door.url + DEEP_LINK
        second = session_cookie(browser)
    assert door.is_signed_in(second)
    assert not door.is_signed_in(first)
