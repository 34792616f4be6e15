"""A complete sign-in, renewal and sign-out with each product that has a profile, configured as in docs/providers.md."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from bff.settings.profiles import PROFILES
from tests.fakes import FakeClock, FakeProvider, RecordingUpstream
from tests.fakes.products import PRODUCTS, UNVERIFIED, Product, without_metadata
from tests.front_door import api_route, page_route
from tests.repository import ROOT
from tests.security.house import House, open_house

BY_NAME = {product.profile: product for product in PRODUCTS}
every_product = pytest.mark.parametrize("product", PRODUCTS, ids=BY_NAME)


@contextmanager
def house_of(product: Product, **table: Any) -> Iterator[tuple[House, FakeClock]]:
    clock = FakeClock()
    with RecordingUpstream() as upstream, product.running(clock=clock) as provider:
        routes = [api_route(upstream, token="access_token"), page_route(upstream)]
        providers = {"corp": product.settings(provider) | table}
        with open_house(provider, upstream, routes=routes, clock=clock, providers=providers) as house:
            provider.client.post_logout_redirect_uris = [f"{house.url}/auth/logged-out"]
            yield house, clock


def test_each_profile_has_a_fake_product() -> None:
    assert sorted(BY_NAME) == sorted(PROFILES)


@every_product
def test_a_person_signs_in_with_roles_groups_and_email(product: Product) -> None:
    with house_of(product) as (house, _):
        browser = house.sign_in()
        person = browser.fetch(f"{house.url}/auth/session").json()
    assert (tuple(person["roles"]), tuple(person["groups"])) == (product.roles, product.groups)
    assert person["email_verified"] is product.email_verified


@pytest.mark.parametrize(
    ("profile", "claim"), [("entra", "roles"), ("b2c", "roles"), ("auth0", "https://apps.example.com/roles")]
)
def test_rs_5_roles_in_an_access_token_that_may_be_for_another_api_are_not_read(profile: str, claim: str) -> None:
    """What they mean there, the owner of that API decides."""
    product = BY_NAME[profile]
    with house_of(product) as (house, _):
        house.provider.bend.access_token.claims(lambda before: {**before, claim: ["admin"]})
        browser = house.sign_in()
        person = browser.fetch(f"{house.url}/auth/session").json()
    assert tuple(person["roles"]) == product.roles


@every_product
def test_a_refreshed_access_token_keeps_the_rights_of_the_person(product: Product) -> None:
    with house_of(product) as (house, clock):
        browser = house.sign_in()
        provider: FakeProvider = house.provider
        tokens = []
        for _ in range(3):
            assert browser.fetch(f"{house.url}/api/x").status_code == 200
            tokens.append(house.upstream.last.header("authorization"))
            clock.advance(provider.options.access_token_lifetime + 1)
        person = browser.fetch(f"{house.url}/auth/session").json()
        presented = [grant.refresh_token for grant in provider.grants("refresh_token")]
    assert len(set(tokens)) == 3, "each request after the end of the last token had a new one"
    assert (len(presented), len(set(presented))) == (2, 2 if product.rotates else 1)
    assert (tuple(person["roles"]), tuple(person["groups"])) == (product.roles, product.groups)
    assert provider.reuse_detected == []


@every_product
def test_signing_out_ends_the_session_here_and_at_products_that_support_it(product: Product) -> None:
    with house_of(product) as (house, _):
        browser = house.sign_in()
        login = house.provider.logins()[-1]
        pages = browser.walk(browser.post(f"{house.url}/auth/logout"))
        assert not house.is_signed_in(browser)
    assert pages[-1].url.path == "/auth/logged-out"
    assert login.ended is (product.knows_signing_out and "sid" in _claims_with_a_session(product))


@pytest.mark.parametrize("is_named", [True, False], ids=["named by discovery", "not named"])
def test_cognito_is_told_of_a_sign_out_by_its_own_request(is_named: bool) -> None:
    with house_of(BY_NAME["cognito"]) as (house, _):
        if not is_named:
            without_metadata(house.provider, "end_session_endpoint")
        browser = house.sign_in()
        there = urlsplit(browser.post(f"{house.url}/auth/logout").headers["location"])
    assert there.netloc == f"localhost:{house.provider.port}"
    assert there.path.endswith("/end-session" if is_named else "/logout")
    assert parse_qsl(there.query) == [
        ("client_id", house.provider.client.client_id),
        ("logout_uri", f"{house.url}/auth/logged-out"),
    ]


def _claims_with_a_session(product: Product) -> set[str]:
    """The fake ends the session that the hint names; without `sid` in its ID tokens there is nothing to name."""
    return set() if product.profile in ("entra", "b2c") else {"sid"}


@every_product
def test_the_page_on_providers_lists_each_profile_and_its_unverified_facts(product: Product) -> None:
    page = (ROOT / "docs/providers.md").read_text(encoding="utf-8")
    section = page.partition(f'profile = "{product.profile}"')[2].partition("\n## ")[0]
    assert section, f'no section shows profile = "{product.profile}"'
    for shape, source in product.sources.items():
        if source == UNVERIFIED:
            assert "not verified" in section, shape


def test_a_sign_in_at_zitadel_fails_without_its_profile() -> None:
    """Zitadel: with the defaults nobody gets in, because the ID token is for its other applications too."""
    with house_of(replace(BY_NAME["zitadel"]), profile="") as (house, _):
        browser = house.browser()
        house.provider.options.auto_login = "alice"
        pages = browser.walk(browser.get(f"{house.url}/auth/login"))
        assert pages[-1].status_code == 400
        assert not house.is_signed_in(browser)
