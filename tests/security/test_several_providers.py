"""Several identity providers at one door: chosen by the person or by the route, and never mixed up (CB-5, IT-9)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from tests.fakes import FakeProvider, RecordingUpstream
from tests.front_door import api_route, page_route, provider_table
from tests.security.house import House, location_query
from tests.security.kit_calls import KIT_CLIENTS, call, kit_headers
from tests.security.raw import handshake, websocket_status
from tests.security.rejection import assert_rejected


@pytest.fixture
def second() -> Iterator[FakeProvider]:
    with FakeProvider(auto_login="alice") as provider:
        yield provider


@pytest.fixture
def two_houses(
    build_house: Callable[..., House], provider: FakeProvider, second: FakeProvider, upstream: RecordingUpstream
) -> House:
    """One house with the providers `corp` and `other`; `/partners` and `/partner-api/` are only for `other`."""
    return build_house(
        providers={
            "corp": provider_table(provider, par="off", display_name="The Corporation"),
            "other": provider_table(second, par="off"),
        },
        routes=[
            api_route(upstream),
            api_route(upstream, id="partner-api", path="/partner-api/", provider="other"),
            page_route(upstream, id="partners", path="/partners", provider="other"),
            page_route(upstream),
        ],
        kit_clients=KIT_CLIENTS | {"app-a": {**KIT_CLIENTS["app-a"], "routes": ["api", "partner-api"]}},
    )


def test_the_sign_in_page_lists_every_provider_and_starts_no_sign_in(two_houses: House) -> None:
    page = two_houses.browser().get(f"{two_houses.url}/auth/login?return_to=/page/x&login_hint=alice")
    assert page.status_code == 200
    for provider in ("corp", "other"):
        assert f"provider={provider}" in page.text
    assert "The Corporation" in page.text
    assert page.text.count("return_to=%2Fpage%2Fx") == 2
    assert page.text.count("login_hint=alice") == 2
    assert two_houses.store.logins == []


@pytest.mark.parametrize("payload", ["//evil.com", "javascript:alert(1)", '"><script>', "/api/x"])
def test_the_sign_in_page_leads_only_to_local_pages(two_houses: House, payload: str) -> None:
    page = two_houses.browser().get(f"{two_houses.url}/auth/login", params={"return_to": payload})
    assert page.text.count("return_to=%2F&") == 2
    assert "evil.com" not in page.text
    assert "<script" not in page.text


def test_a_sign_in_with_a_named_provider_skips_the_sign_in_page(two_houses: House, second: FakeProvider) -> None:
    started = two_houses.start_login(two_houses.browser(), provider="other")
    assert started.headers["location"].startswith(f"{second.issuer}/authorize?")
    assert location_query(started)["redirect_uri"] == f"{two_houses.url}/auth/callback/other"


@pytest.mark.parametrize("name", ["third", "CORP", "corp/../other", "corp other", "x.eyJwcm92aWRlciI6InRoaXJkIn0.y"])
def test_a_sign_in_with_an_unknown_provider_is_refused(two_houses: House, name: str) -> None:
    assert_rejected(
        two_houses,
        lambda: two_houses.start_login(two_houses.browser(), provider=name),
        statuses=[400],
        reason="unknown_provider",
    )


def test_cb_5_a_state_of_one_provider_opens_no_session_at_the_callback_of_another(
    two_houses: House, provider: FakeProvider, second: FakeProvider
) -> None:
    browser = two_houses.browser()
    at_corp = two_houses.callback_url(browser, provider="corp")
    swapped = at_corp.replace("/auth/callback/corp", "/auth/callback/other")
    assert_rejected(two_houses, lambda: browser.get(swapped), statuses=[400], reason="callback_provider")
    code = dict(httpx.URL(at_corp).params)["code"]
    assert all(code.encode() not in hit.body for hit in second.hits)
    assert second.hits_of("token", "userinfo") == []
    assert_rejected(two_houses, lambda: browser.get(at_corp), statuses=[400])


def test_cb_5_a_response_of_another_issuer_opens_no_session(two_houses: House, second: FakeProvider) -> None:
    browser = two_houses.browser()
    at_corp = httpx.URL(two_houses.callback_url(browser, provider="corp"))
    mixed = str(at_corp.copy_set_param("iss", second.issuer))
    assert_rejected(two_houses, lambda: browser.get(mixed), statuses=[400], reason="callback_issuer")


def test_cb_5_an_id_token_of_another_provider_opens_no_session(
    two_houses: House, provider: FakeProvider, second: FakeProvider
) -> None:
    browser = two_houses.browser()
    url = two_houses.callback_url(browser, provider="corp")
    provider.bend.id_token.key(second.signing_key)
    assert_rejected(two_houses, lambda: browser.get(url), statuses=[400], token_hits=1)


def test_it_9_the_same_sub_at_two_issuers_is_two_people(
    two_houses: House, upstream: RecordingUpstream, provider: FakeProvider, second: FakeProvider
) -> None:
    here = two_houses.sign_in(path="/auth/login?provider=corp")
    there = two_houses.sign_in(path="/auth/login?provider=other")
    seen = []
    for browser, name, issuer in ((here, "corp", provider.issuer), (there, "other", second.issuer)):
        session = browser.fetch(f"{two_houses.url}/auth/session").json()
        assert (session["sub"], session["iss"], session["provider"]) == ("alice", issuer, name)
        assert browser.fetch(f"{two_houses.url}/api/x").status_code == 200
        assert upstream.last.header("x-auth-request-user") == f"{name}:alice"
        assert upstream.last.header("x-auth-request-provider") == name
        seen.append(upstream.last.header("x-auth-request-id"))
        assert len(browser.fetch(f"{two_houses.url}/auth/sessions").json()["sessions"]) == 1
    assert seen[0] != seen[1]
    here.post(f"{two_houses.url}/auth/logout", data={"everywhere": "1"})
    assert not two_houses.is_signed_in(here)
    assert two_houses.is_signed_in(there)


def test_it_9_page_state_of_the_same_sub_at_two_issuers_is_separate(two_houses: House) -> None:
    handles = {}
    for name in ("corp", "other"):
        session = two_houses.session_of(two_houses.sign_in(path=f"/auth/login?provider={name}"))
        handles[name] = kit_headers(handle=two_houses.door.app.bff.kit.handle_for(session.name, client="app-a"))
    assert call(two_houses, "state/x", method="PUT", headers=handles["corp"], content=b"corp").status_code == 204
    assert call(two_houses, "state/x", method="GET", headers=handles["other"]).status_code == 404


def test_a_route_of_one_provider_starts_a_sign_in_at_that_provider(two_houses: House, second: FakeProvider) -> None:
    browser = two_houses.browser()
    pages = browser.walk(browser.get(f"{two_houses.url}/partners/x"))
    assert (pages[-1].status_code, pages[-1].url.path) == (200, "/partners/x")
    assert [urlsplit(str(page.url)).port for page in pages if page.url.path == "/authorize"] == [second.port]


def test_a_route_of_one_provider_refuses_a_session_of_another(
    two_houses: House, upstream: RecordingUpstream, second: FakeProvider
) -> None:
    browser = two_houses.sign_in(path="/auth/login?provider=corp")
    cookie = two_houses.session_cookie(browser)
    before = len(upstream.requests)
    answer = browser.fetch(f"{two_houses.url}/partner-api/x")
    assert (answer.status_code, answer.json()["code"]) == (401, "step_up_required")
    assert websocket_status(two_houses.door.port, handshake("/partners/ws", two_houses.host, cookie=cookie)) == 401
    handle = two_houses.door.app.bff.kit.handle_for(two_houses.session_of(browser).name, client="app-a")
    answer = call(two_houses, "/partner-api/x", method="GET", headers=kit_headers(handle=handle))
    assert answer.status_code == 401
    assert len(upstream.requests) == before
    pages = browser.walk(browser.get(f"{two_houses.url}/partners"))
    assert pages[-1].status_code == 200
    assert browser.fetch(f"{two_houses.url}/auth/session").json()["iss"] == second.issuer


def test_a_person_who_signs_in_at_the_wrong_provider_again_gets_an_error_page_and_no_loop(two_houses: House) -> None:
    browser = two_houses.browser()
    pages = browser.walk(browser.get(f"{two_houses.url}/auth/login?provider=corp&return_to=/partners"))
    assert (pages[-1].status_code, pages[-1].url.path) == (200, "/partners")
