"""Local roles appear everywhere with the other roles, and an identity that only looks similar does not get them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jwt
import pytest

from tests.fakes import CookieClient, FakeClock, FakeProvider, RecordingUpstream
from tests.front_door import api_route, page_route, provider_table
from tests.security.house import House, open_house
from tests.security.kit_calls import KIT_CLIENTS, ask_token, fetch_code, redeem

ROLES: dict[str, dict[str, Any]] = {
    "insider": {"email_domains": ["corp.example"]},
    "ada": {"emails": ["ada@corp.example"]},
    "scientist": {"groups_any": ["science"]},
    "boss": {"claims": {"unit.head": True}},
    "strict": {"groups_any": ["science"], "email_domains": ["corp.example"]},
    "chained": {"roles_any": ["insider"]},
}


def role_routes(upstream: RecordingUpstream) -> list[dict[str, Any]]:
    guarded = [
        api_route(upstream, id=f"only-{role}", path=f"/only-{role}/", require={"roles_any": [role]}) for role in ROLES
    ]
    return [
        *guarded,
        api_route(upstream, token="assertion", audience="models-api"),
        page_route(upstream, kit="app-a"),
    ]


@pytest.fixture
def grace(provider: FakeProvider) -> Iterator[Callable[..., None]]:
    """`grace(email=…)`: the claims of the one person that these tests sign in."""

    def describe(email: str = "grace@elsewhere.example", **how: Any) -> None:
        provider.add_person("grace", email=email, **how)

    describe()
    yield describe
    provider.people.pop("grace")


@pytest.fixture(scope="module")
def shared_role_house(shared_provider: FakeProvider, shared_upstream: RecordingUpstream) -> Iterator[House]:
    kit_clients = {name: {**client, "routes": ["api"]} for name, client in KIT_CLIENTS.items()}
    routes = role_routes(shared_upstream)
    with open_house(shared_provider, shared_upstream, routes=routes, roles=ROLES, kit_clients=kit_clients) as house:
        yield house


@pytest.fixture
def role_house(
    shared_role_house: House, provider: FakeProvider, upstream: RecordingUpstream, grace: Callable[..., None]
) -> Iterator[House]:
    yield shared_role_house
    shared_role_house.close_browsers()


def roles_of(house: House, browser: CookieClient) -> set[str]:
    return set(browser.fetch(f"{house.url}/auth/session").json()["roles"])


def test_local_roles_appear_wherever_roles_do(role_house: House, grace: Callable[..., None]) -> None:
    grace(email="ada@corp.example", groups=["science"], roles=["viewer"])
    house, expected = role_house, {"viewer", "insider", "ada", "scientist", "strict"}
    browser = house.sign_in("grace")
    assert roles_of(house, browser) == expected
    for role in ROLES:
        answer = browser.fetch(f"{house.url}/only-{role}/x")
        assert answer.status_code == (200 if role in expected else 403), role
    assert browser.fetch(f"{house.url}/api/x").status_code == 200
    seen = house.upstream.last
    assert set((seen.header("x-auth-request-roles") or "").split(",")) == expected
    bearer = (seen.header("authorization") or "").removeprefix("Bearer ")
    assert set(jwt.decode(bearer, options={"verify_signature": False})["roles"]) == expected
    assert browser.get(f"{house.url}/page").status_code == 200
    handshake = house.upstream.last.header("x-vestibule-assertion") or ""
    assert set(jwt.decode(handshake, options={"verify_signature": False})["roles"]) == expected


def test_local_roles_appear_at_the_kit(role_house: House, grace: Callable[..., None]) -> None:
    grace(email="ada@corp.example", groups=["science"])
    expected = {"insider", "ada", "scientist", "strict"}
    answer = redeem(role_house, fetch_code(role_house, "grace").value).json()
    assert set(answer["identity"]["roles"]) == expected
    token = ask_token(role_house, answer["session_handle"], "plain-api").json()["access_token"]
    assert set(jwt.decode(token, options={"verify_signature": False})["roles"]) == expected


def test_a_missing_claim_gives_no_role(role_house: House, grace: Callable[..., None]) -> None:
    grace()
    browser = role_house.sign_in("grace")
    assert roles_of(role_house, browser) == set()
    assert {browser.fetch(f"{role_house.url}/only-{role}/x").status_code for role in ROLES} == {403}
    assert role_house.upstream.requests_to("/x") == []


ADDRESSES = [
    "a@evil@corp.example",
    "a@corp.example@evil.com",
    "a@corp.example,b@evil.com",
    "a@corp.example b",
    "a@corp.example.evil.com",
    "a@evilcorp.example",
    "a@sub.corp.example",
    "a@corp\u2024example",
    "a@c\u043erp.example",
    "a@corp.ex\u0430mple",
    "a@\uff43orp.example",
    "a@corp.example\u200b",
    "a@\u212aorp.example",
    '"a@corp.example"@evil.com',
    "<a@corp.example>",
    "a@corp.example\x00",
    "a@corp.example\n",
    "corp.example",
    "@evil.com;@corp.example",
    "a@corp.example.",
    "a@xn--crp-0na.example",
    "ad\u0430@corp.example",
]


@pytest.mark.parametrize("email", ADDRESSES)
def test_it_9_an_email_that_only_looks_like_the_domain_gives_no_role(
    role_house: House, grace: Callable[..., None], email: str
) -> None:
    grace(email=email)
    browser = role_house.sign_in("grace")
    assert roles_of(role_house, browser) == set()
    assert browser.fetch(f"{role_house.url}/only-insider/x").status_code == 403


@pytest.mark.parametrize("verified", [False, None, "false", 1, "yes", "1", []])
def test_it_9_an_unverified_email_gives_no_role(role_house: House, grace: Callable[..., None], verified: Any) -> None:
    grace(email="ada@corp.example", email_verified=verified)
    assert roles_of(role_house, role_house.sign_in("grace")) == set()


@pytest.mark.parametrize("head", ["true", 1, None, False, [], {"head": True}])
def test_a_claim_of_another_type_gives_no_role(role_house: House, grace: Callable[..., None], head: Any) -> None:
    grace(extra={"unit": {"head": head}})
    assert roles_of(role_house, role_house.sign_in("grace")) == set()


def test_a_claim_of_the_right_value_gives_the_role(role_house: House, grace: Callable[..., None]) -> None:
    grace(extra={"unit": {"head": True}})
    assert roles_of(role_house, role_house.sign_in("grace")) == {"boss"}


def test_all_keys_of_a_local_role_rule_must_be_met(role_house: House, grace: Callable[..., None]) -> None:
    grace(groups=["science"])
    assert roles_of(role_house, role_house.sign_in("grace")) == {"scientist"}
    grace(email="x@corp.example")
    assert roles_of(role_house, role_house.sign_in("grace")) == {"insider"}


def test_a_client_cannot_give_itself_a_role(role_house: House, grace: Callable[..., None]) -> None:
    grace()
    browser = role_house.sign_in("grace")
    headers = {"X-Auth-Request-Roles": "insider", "X-Auth-Request-Groups": "science", "X-Roles": "insider"}
    assert browser.fetch(f"{role_house.url}/only-insider/x", headers=headers).status_code == 403
    assert browser.fetch(f"{role_house.url}/api/x", headers=headers).status_code == 200
    assert role_house.upstream.last.values("x-auth-request-roles") == [""]


def test_sl_1_a_role_that_the_provider_removed_is_gone_after_the_next_refresh(
    timed_house: Callable[..., House], clock: FakeClock, provider: FakeProvider, upstream: RecordingUpstream
) -> None:
    """Also if the provider leaves the claim out when it is empty."""
    table = provider_table(provider, par="off", roles_claim="app_roles", roles_from=["id_token"])
    routes = [api_route(upstream, token="access_token"), page_route(upstream, require={"roles_any": ["admin"]})]
    house = timed_house(providers={"corp": table}, routes=routes)
    provider.bend.id_token.claims(lambda claims: {**claims, "app_roles": ["admin"]}, times=1)
    browser = house.sign_in()
    assert browser.get(f"{house.url}/page").status_code == 200
    clock.advance(301)
    assert browser.fetch(f"{house.url}/api/x").status_code == 200
    assert browser.get(f"{house.url}/page").status_code == 403
    assert house.is_signed_in(browser)
