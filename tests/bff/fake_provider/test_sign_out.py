"""Sign-out at the provider: by a client with an ID token, after a question, by a button, and who is told."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qs

import httpx
import pytest

from bff.oidc.jwks import parse_jwks
from bff.oidc.logout import validate_logout_token
from bff.testing import FakeClock, FakeProvider
from tests.bff.fake_provider.relying_party import AFTERWARDS, RelyingParty, claims_of, header_of
from tests.fakes import RecordingUpstream
from tests.ports import free_port


@pytest.fixture
def listener() -> Iterator[RecordingUpstream]:
    """The server of the client that gets back-channel logouts."""
    with RecordingUpstream() as upstream:
        upstream.respond("/*", body=b"{}")
        yield upstream


def log_out(party: RelyingParty, **parameters: str) -> httpx.Response:
    query = {"post_logout_redirect_uri": AFTERWARDS, "state": "the-state", "client_id": "vestibule"} | parameters
    given = {name: value for name, value in query.items() if value}
    return party.browser.get(party.provider.issuer + "/logout", params=given, initiator="http://localhost:9/")


def told(listener: RecordingUpstream) -> list[str]:
    """The logout tokens that arrived."""
    return [parse_qs(request.body.decode())["logout_token"][0] for request in listener.requests]


def test_a_sign_out_with_an_id_token_ends_its_session_at_once(party: RelyingParty, provider: FakeProvider) -> None:
    tokens = party.sign_in()
    back = log_out(party, id_token_hint=tokens["id_token"])
    assert (back.status_code, back.headers["location"]) == (303, AFTERWARDS + "&state=the-state")
    assert provider.sessions.all() == []
    assert provider.cookie_name not in party.browser.cookies
    assert party.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"
    assert "<h1>Sign in</h1>" in party.ask().text


def test_a_sign_out_accepts_an_expired_id_token(party: RelyingParty, clock: FakeClock) -> None:
    tokens = party.sign_in()
    clock.advance(100_000)
    assert log_out(party, id_token_hint=tokens["id_token"]).status_code == 303


def test_a_sign_out_request_may_be_a_posted_form(party: RelyingParty, provider: FakeProvider) -> None:
    form = {"id_token_hint": party.sign_in()["id_token"], "post_logout_redirect_uri": AFTERWARDS}
    back = party.browser.post(provider.issuer + "/logout", data=form, cross_site=True)
    assert back.headers["location"] == AFTERWARDS
    assert provider.sessions.all() == []


@pytest.mark.parametrize("hint", ["", "x.y.z", "access token", "somebody else"])
def test_without_an_id_token_of_this_person_the_provider_asks_first(
    party: RelyingParty, other_party: RelyingParty, provider: FakeProvider, hint: str
) -> None:
    other, own = other_party.sign_in("bob"), party.sign_in()
    hints = {"access token": own["access_token"], "somebody else": other["id_token"]}
    page = log_out(party, id_token_hint=hints.get(hint, hint))
    assert "<h1>Sign out?</h1>" in page.text
    assert "as Alice" in page.text
    assert len(provider.sessions.all()) == 2
    back = party.browser.submit(page, "#sign-out")
    assert back.headers["location"] == AFTERWARDS + "&state=the-state"
    assert [session.sub for session in provider.sessions.all()] == ["bob"]


def test_a_person_who_is_already_signed_out_is_sent_back_at_once(party: RelyingParty) -> None:
    assert log_out(party).headers["location"] == AFTERWARDS + "&state=the-state"


def test_an_unknown_client_cannot_set_the_return_address(party: RelyingParty) -> None:
    stays = log_out(party, client_id="")
    assert "location" not in stays.headers
    assert "You are signed out" in stays.text
    assert log_out(party, client_id="another").status_code == 400


@pytest.mark.parametrize("uri", ["http://evil.example/", "javascript:alert(1)", AFTERWARDS + "&more=1"])
def test_an_unregistered_return_address_is_refused_and_no_session_ends(
    party: RelyingParty, provider: FakeProvider, uri: str
) -> None:
    provider.client.post_logout_redirect_uris = (AFTERWARDS,)
    tokens = party.sign_in()
    refused = log_out(party, id_token_hint=tokens["id_token"], post_logout_redirect_uri=uri)
    assert refused.status_code == 400
    assert "location" not in refused.headers
    assert len(provider.sessions.all()) == 1


@pytest.mark.parametrize("path", ["/logout/confirmed", "/sessions/end"])
def test_a_form_posted_by_another_site_signs_nobody_out(party: RelyingParty, provider: FakeProvider, path: str) -> None:
    party.sign_in()
    [session] = provider.sessions.all()
    refused = party.browser.post(provider.issuer + path, data={"sid": session.sid}, cross_site=True)
    assert refused.status_code == 403
    assert provider.sessions.all() == [session]


def test_the_client_is_told_about_every_ended_session(
    party: RelyingParty, provider: FakeProvider, listener: RecordingUpstream, clock: FakeClock
) -> None:
    provider.client.backchannel_logout_uri = listener.url + "/ended"
    sid = claims_of(party.sign_in()["id_token"])["sid"]
    page = party.browser.get(provider.issuer + "/")
    assert "this browser" in page.text
    ended = party.browser.post(provider.issuer + "/sessions/end", data={"sid": sid})
    assert "The session of Alice has ended. Vestibule was told (back-channel logout, status 200)." in ended.text
    assert "Nobody is signed in" in ended.text
    [token] = told(listener)
    assert header_of(token)["typ"] == "logout+jwt"
    keys = parse_jwks(httpx.get(provider.jwks_url).json())
    heard = validate_logout_token(
        token, keys=keys, alg="ES256", issuer=provider.issuer, client_id="vestibule", now=clock(), clock_skew=0
    )
    assert (heard.sub, heard.sid) == ("alice", sid)
    assert listener.last.target == b"/ended"


def test_an_ended_session_is_reported_once(
    party: RelyingParty, provider: FakeProvider, listener: RecordingUpstream
) -> None:
    provider.client.backchannel_logout_uri = listener.url + "/ended"
    party.sign_in()
    [session] = provider.sessions.all()
    for _ in range(2):
        page = party.browser.post(provider.issuer + "/sessions/end", data={"sid": session.sid})
    assert "That session has ended already." in page.text
    assert len(told(listener)) == 1


def test_a_client_that_refuses_the_logout_or_is_unreachable_is_named(
    party: RelyingParty, provider: FakeProvider, listener: RecordingUpstream
) -> None:
    listener.respond("/*", status=400)
    provider.client.backchannel_logout_uri = listener.url + "/ended"
    party.sign_in()
    assert "did not accept it (back-channel logout, status 400)" in provider.end_sessions("alice")[0]
    provider.client.backchannel_logout_uri = f"http://127.0.0.1:{free_port()}/ended"
    party.sign_in()
    assert "could not be told: ConnectError" in provider.end_sessions("alice")[0]
    provider.client.backchannel_logout_uri = ""
    party.sign_in()
    assert "no address for back-channel logout" in provider.end_sessions("alice")[0]
    assert provider.sessions.all() == []
