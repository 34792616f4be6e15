"""The authorization endpoint: what it refuses, when it asks, and when single sign-on answers for the person."""

from __future__ import annotations

import httpx
import pytest

from bff.testing import FakeClock, FakeProvider
from tests.bff.fake_provider.relying_party import CALLBACK, RelyingParty, claims_of, sent_back
from tests.fakes import CookieClient


def is_page(response: httpx.Response) -> bool:
    return response.status_code == 200 and "<h1>Sign in</h1>" in response.text


def test_the_browser_returns_with_code_state_and_issuer(party: RelyingParty, provider: FakeProvider) -> None:
    back = party.browser.submit(party.ask(), "#person-alice")
    told = sent_back(back)
    assert told.keys() == {"code", "state", "iss"}
    assert (told["state"], told["iss"]) == ("the-state", provider.issuer)
    assert (back.status_code, back.headers["cache-control"]) == (303, "no-store")


def test_an_authorization_request_may_be_a_posted_form(party: RelyingParty, provider: FakeProvider) -> None:
    url = httpx.URL(party.authorization_url())
    page = party.browser.post(provider.issuer + "/authorize", data=dict(url.params), initiator="http://localhost:9/")
    assert is_page(page)
    assert "code" in sent_back(party.browser.submit(page, "#person-bob"))


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "another"},
        {"client_id": None},
        {"redirect_uri": None},
        {"redirect_uri": "javascript:alert(1)"},
        {"redirect_uri": "/callback"},
        {"redirect_uri": CALLBACK + "#part"},
    ],
    ids=["another client", "no client", "no address", "a script", "a relative address", "a fragment"],
)
def test_a_request_with_a_wrong_client_or_address_gets_a_400_page_and_no_redirect(
    party: RelyingParty, changes: dict[str, str | None]
) -> None:
    refused = party.ask(**changes)
    assert refused.status_code == 400
    assert "location" not in refused.headers
    assert "This cannot be done" in refused.text


@pytest.mark.parametrize("uri", [CALLBACK + "/", CALLBACK + "?x=1", "http://LOCALHOST:9/callback"])
def test_a_redirect_uri_must_match_the_registered_one_exactly(
    party: RelyingParty, provider: FakeProvider, uri: str
) -> None:
    provider.client.redirect_uris = (CALLBACK,)
    assert party.ask(redirect_uri=uri).status_code == 400
    assert is_page(party.ask())


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": None}, "unsupported_response_type"),
        ({"response_mode": "form_post"}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None, "code_challenge": None}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"scope": "profile"}, "invalid_scope"),
        ({"prompt": "magic"}, "invalid_request"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"max_age": "-1"}, "invalid_request"),
        ({"max_age": "²"}, "invalid_request"),
        ({"request": "a.b.c"}, "request_not_supported"),
        ({"request_uri": "https://app.example"}, "request_uri_not_supported"),
        ({"prompt": "none"}, "login_required"),
    ],
)
def test_any_other_mistake_returns_to_the_client_with_an_error_code(
    party: RelyingParty, provider: FakeProvider, changes: dict[str, str | None], error: str
) -> None:
    told = sent_back(party.ask(**changes))
    assert (told["error"], told["state"], told["iss"]) == (error, "the-state", provider.issuer)
    assert "code" not in told


def test_a_parameter_that_comes_twice_is_refused(party: RelyingParty) -> None:
    assert party.browser.get(party.authorization_url() + "&state=again").status_code == 400


def test_cancel_returns_to_the_client_with_access_denied(party: RelyingParty) -> None:
    assert sent_back(party.browser.submit(party.ask(), "#cancel"))["error"] == "access_denied"


def test_the_posted_sign_in_form_checks_the_request_again(party: RelyingParty, provider: FakeProvider) -> None:
    page = party.ask()
    provider.client.redirect_uris = ("http://localhost:9/another",)
    assert party.browser.submit(page, "#person-alice").status_code == 400


def test_a_form_posted_by_another_site_signs_nobody_in(party: RelyingParty, provider: FakeProvider) -> None:
    action = httpx.URL(party.authorization_url()).copy_with(path="/sign-in")
    refused = party.browser.post(action, data={"sub": "alice"}, cross_site=True)
    assert refused.status_code == 403
    assert provider.sessions.all() == []


def test_the_button_of_an_unknown_person_signs_nobody_in(party: RelyingParty) -> None:
    action = httpx.URL(party.authorization_url()).copy_with(path="/sign-in")
    assert party.browser.post(action, data={"sub": "mallory"}).status_code == 400


def test_a_signed_in_browser_gets_an_answer_without_a_page(party: RelyingParty) -> None:
    first = claims_of(party.sign_in()["id_token"])
    for changes in ({}, {"prompt": "none"}):
        tokens = party.exchange(party.ask(**changes)).json()
        again = claims_of(tokens["id_token"])
        assert (again["sub"], again["sid"]) == ("alice", first["sid"])


def test_another_browser_does_not_share_the_sign_in(party: RelyingParty, other_party: RelyingParty) -> None:
    party.sign_in()
    assert is_page(other_party.ask())


@pytest.mark.parametrize("prompt", ["login", "consent", "select_account", "login consent"])
def test_the_prompt_parameter_shows_the_page_to_a_signed_in_person(
    party: RelyingParty, clock: FakeClock, prompt: str
) -> None:
    first = claims_of(party.sign_in()["id_token"])
    clock.advance(100)
    page = party.ask(prompt=prompt)
    assert is_page(page)
    assert "signed in now" in page.text
    again = claims_of(party.exchange(party.browser.submit(page, "#person-alice")).json()["id_token"])
    assert again["sid"] == first["sid"]
    assert again["auth_time"] == first["auth_time"] + 100


def test_max_age_shows_the_page_when_the_sign_in_is_older(party: RelyingParty, clock: FakeClock) -> None:
    party.sign_in()
    clock.advance(60)
    assert "code" in sent_back(party.ask(max_age="61"))
    assert is_page(party.ask(max_age="60"))
    assert is_page(party.ask(max_age="0"))
    assert sent_back(party.ask(max_age="60", prompt="none"))["error"] == "login_required"


def test_a_requested_acr_is_asked_for_and_stated_in_the_token(party: RelyingParty) -> None:
    assert "acr" not in claims_of(party.sign_in()["id_token"])
    page = party.ask(acr_values="gold silver")
    assert is_page(page)
    tokens = party.exchange(party.browser.submit(page, "#person-alice")).json()
    assert claims_of(tokens["id_token"])["acr"] == "gold"
    assert "code" in sent_back(party.ask(acr_values="gold"))


def test_ui_locales_and_unknown_parameters_change_nothing(party: RelyingParty) -> None:
    assert is_page(party.ask(ui_locales="de", display="touch", colour="blue"))


def test_signing_in_another_person_ends_the_session_of_the_first(party: RelyingParty, provider: FakeProvider) -> None:
    first = party.sign_in()
    second = party.sign_in("bob", prompt="select_account")
    assert claims_of(first["id_token"])["sid"] != claims_of(second["id_token"])["sid"]
    assert [session.sub for session in provider.sessions.all()] == ["bob"]
    assert party.refresh(first["refresh_token"]).json()["error"] == "invalid_grant"
    assert party.userinfo(first["access_token"]).status_code == 401


def test_the_cookie_is_hidden_from_scripts_and_other_sites(party: RelyingParty, provider: FakeProvider) -> None:
    party.sign_in()
    cookie = party.browser.cookies[provider.cookie_name]
    assert (cookie.httponly, cookie.samesite, cookie.path) == (True, "Lax", "/")
    assert cookie.value not in {session.sid for session in provider.sessions.all()}


def test_with_the_page_switched_off_the_next_person_is_signed_in_at_once() -> None:
    with FakeProvider() as provider, CookieClient() as browser:
        party = RelyingParty(provider, browser)
        provider.next_person = "bob"
        tokens = party.exchange(party.ask(prompt="login")).json()
        assert claims_of(tokens["id_token"])["sub"] == "bob"
        provider.next_person = "alice"
        assert claims_of(party.exchange(party.ask()).json()["id_token"])["sub"] == "alice"
