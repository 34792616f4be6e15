"""IT-9: an unverified email identifies nobody, neither for an application nor for a rule."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.fakes import CookieClient, FakeProvider, RecordedRequest, RecordingUpstream
from tests.front_door import api_route, page_route, provider_table
from tests.security.house import House

ADDRESS = "ceo@corp.example"
WORDS: dict[str, Any] = {"not-said": None, "no": False, "in-words": "yes", "yes": True, "yes-as-text": "true"}
PRESETS = {"x-auth-request": "x-auth-request-email", "x-forwarded": "x-forwarded-email", "remote": "remote-email"}


def routes(upstream: RecordingUpstream) -> list[dict[str, Any]]:
    over = {"strip_prefix": False, "claim_headers": {"X-Mail": "email"}}
    return [
        *(api_route(upstream, id=name, path=f"/{name}", identity_headers=name, **over) for name in PRESETS),
        api_route(upstream, id="models", path="/models", strip_prefix=False, token="assertion", audience="models-api"),
        page_route(upstream, id="by-address", path="/by-address", require={"emails": [ADDRESS]}),
        page_route(upstream, id="by-domain", path="/by-domain", require={"email_domains": ["corp.example"]}),
        page_route(upstream, id="by-claim", path="/by-claim", require={"claims": {"email": ADDRESS}}),
        page_route(upstream, id="by-role", path="/by-role", require={"roles_any": ["chief"]}),
    ]


@pytest.fixture
def sign_in(
    build_house: Callable[..., House], provider: FakeProvider, upstream: RecordingUpstream
) -> Callable[..., tuple[House, CookieClient]]:
    """Somebody who wrote `ADDRESS` into their account. `word` is what the provider says about it."""

    def sign_in(word: Any, *, setting: str) -> tuple[House, CookieClient]:
        house = build_house(
            routes=routes(upstream),
            providers={"corp": provider_table(provider, par="off", email_verified=setting)},
            roles={"chief": {"emails": [ADDRESS]}},
        )
        claims = {"email": ADDRESS, "email_verified": word}
        provider.bend.id_token.claims(lambda given: given | claims)
        provider.bend.userinfo.json(lambda given: given | claims)
        return house, house.sign_in()

    return sign_in


@pytest.mark.parametrize("setting", ["claim", "assume"])
@pytest.mark.parametrize("word", WORDS)
def test_it_9_an_unverified_email_is_sent_to_no_application(
    sign_in: Callable[..., tuple[House, CookieClient]], word: str, setting: str
) -> None:
    house, browser = sign_in(WORDS[word], setting=setting)
    is_verified = word.startswith("yes") or (setting, word) == ("assume", "not-said")
    for preset, header in PRESETS.items():
        assert browser.fetch(f"{house.url}/{preset}/x").status_code == 200
        request = house.upstream.last
        assert request.header(header) == (ADDRESS if is_verified else "")
        assert request.header("x-mail") == (ADDRESS if is_verified else "")
        assert is_verified or ADDRESS.encode() not in request.head


@pytest.mark.parametrize("setting", ["claim", "assume"])
@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("rule", ["by-address", "by-domain", "by-claim", "by-role"])
def test_it_9_rules_on_emails_follow_the_same_setting(
    sign_in: Callable[..., tuple[House, CookieClient]], word: str, setting: str, rule: str
) -> None:
    house, browser = sign_in(WORDS[word], setting=setting)
    is_verified = word.startswith("yes") or (setting, word) == ("assume", "not-said")
    assert browser.get(f"{house.url}/{rule}/x").status_code == (200 if is_verified else 403)


def test_it_9_every_json_answer_with_an_email_has_email_verified_too(
    sign_in: Callable[..., tuple[House, CookieClient]],
) -> None:
    house, browser = sign_in(False, setting="claim")
    session = browser.fetch(f"{house.url}/auth/session").json()
    assert (session["email"], session["email_verified"]) == (ADDRESS, False)
    browser.fetch(f"{house.url}/models/x")
    claims = claims_of(house.upstream.last)
    assert (claims["email"], claims["email_verified"]) == (ADDRESS, False)


def claims_of(request: RecordedRequest) -> dict[str, Any]:
    token = (request.header("authorization") or "").removeprefix("Bearer ")
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    return claims
