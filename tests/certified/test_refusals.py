"""An OpenID-certified provider refuses what does not fit the registration, and the log says what that was."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any

import pytest

from tests.certified.relying_party import SESSION_COOKIE, CertifiedDoor, Kind, kind_named
from tests.fakes import generate_key

OpenDoor = Callable[[Kind], CertifiedDoor]
Audit = list[MutableMapping[str, Any]]
REFUSED = ("login_failed", "provider_failed")
STRANGE_KEY = {"client_key": generate_key("ES256").private_pem.decode("ascii"), "client_key_id": "of-the-door"}


def reasons(audit: Audit) -> set[tuple[str, str]]:
    """Reason and detail of everything refused."""
    return {(each["reason"], each.get("detail", "")) for each in audit if each["event"] in REFUSED}


def test_a_client_key_that_the_provider_does_not_know_is_refused_before_the_sign_in(
    open_door: OpenDoor, audit: Audit
) -> None:
    door = open_door(kind_named("signed assertion", door=STRANGE_KEY))
    with door.browser() as browser:
        answer = browser.get(f"{door.url}/auth/login")
        assert answer.status_code == 503
        assert not list(browser.cookies)
    (refusal,) = door.events("pushed_authorization_request.error")
    assert (refusal.error, refusal.detail) == ("invalid_client", "signature verification failed")
    assert reasons(audit) == {("par_refused", "invalid_client")}


@pytest.mark.parametrize(
    "kind",
    [
        kind_named("signed assertion", par="off", door=STRANGE_KEY),
        kind_named("secret in the header", door={"client_secret": "unit-test secret of somebody else"}),
        kind_named("secret in the form", par="off", door={"client_secret": "unit-test secret of somebody else"}),
        kind_named("secret in the header", door={"client_auth": "none", "client_secret": ""}),
    ],
    ids=["strange key", "wrong secret in the header", "wrong secret in the form", "no secret"],
)
def test_a_client_with_wrong_authentication_gets_no_tokens(open_door: OpenDoor, kind: Kind, audit: Audit) -> None:
    door = open_door(kind)
    with door.browser() as browser:
        answer = door.sign_in(browser)[-1]
        assert answer.status_code == 400
        assert SESSION_COOKIE not in browser.cookies
    assert [event.error for event in door.events("grant.error")] == ["invalid_client"]
    assert reasons(audit) == {("token_refused", "invalid_client")}


@pytest.mark.parametrize(
    ("over", "reason"),
    [
        ({"id_token_alg": "PS256"}, "id_token_alg"),
        ({"ca_file": ""}, "provider_unreachable"),
    ],
    ids=["another algorithm", "an authority nobody trusts"],
)
def test_an_unexpected_algorithm_or_certificate_authority_opens_no_session(
    open_door: OpenDoor, over: dict[str, str], reason: str, audit: Audit
) -> None:
    door = open_door(kind_named("secret in the header", door=over))
    with door.browser() as browser:
        pages = door.walk(browser, browser.get(f"{door.url}/auth/login"))
        if 'id="person-alice"' in pages[-1].text:
            pages = door.walk(browser, browser.submit(pages[-1], "#person-alice"))
        assert pages[-1].status_code in (400, 503)
        assert SESSION_COOKIE not in browser.cookies
    assert {each for each, _ in reasons(audit)} == {reason}


def test_a_plain_request_is_refused_where_pushed_requests_are_required(open_door: OpenDoor, audit: Audit) -> None:
    door = open_door(kind_named("signed assertion", door={"par": "off"}))
    with door.browser() as browser:
        pages = door.walk(browser, browser.get(f"{door.url}/auth/login"))
        assert pages[-1].url.path == "/auth/callback/corp"
        assert pages[-1].status_code == 400
        assert SESSION_COOKIE not in browser.cookies
    assert {each for each, _ in reasons(audit)} == {"invalid_request"}
