"""FA-1, FA-7: what grows (groups, tokens, addresses) fits into the answer that a proxy reads, or is refused aloud."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.fakes import FakeProvider
from tests.front_door import KIT_SECRET, provider_table
from tests.security.asking import ASKING, MODES, NAVIGATION, Asker
from tests.security.house import House
from tests.security.many_groups import GROUPS, claims_in, many_groups

KIT = {"dash": {"secret": KIT_SECRET, "routes": ["models"]}}
PAGE: dict[str, Any] = {"id": "pages", "path": "/", "kind": "page"}
BOTH: dict[str, Any] = PAGE | {"token": "assertion", "audience": "models-api", "kit": "dash"}
MODELS: dict[str, Any] = {"id": "models", "path": "/models", "kind": "api"}


def asker(house: House, mode: str = "nginx", cookie: str = "") -> Asker:
    return Asker(house.door.verify_port, house.host, mode, cookie)


@pytest.mark.parametrize("route", [PAGE, PAGE | {"token": "assertion", "audience": "a"}, PAGE | {"kit": "dash"}, BOTH])
@pytest.mark.parametrize("head_bytes", [4000, 2600])
def test_fa_1_the_head_of_a_yes_stays_within_its_limit(
    build_house: Callable[..., House], route: dict[str, Any], head_bytes: int
) -> None:
    tables = ASKING | {"forward_auth": {"modes": list(MODES), "head_bytes": head_bytes}}
    house = build_house(routes=[route, MODELS], kit_clients=KIT, **tables)
    with many_groups(house.provider):
        cookie = house.session_cookie(house.sign_in())
    answer = asker(house, "nginx", cookie).ask("/report")
    assert answer.status == 200
    assert answer.head_bytes <= head_bytes
    assert "groups" in answer.one("x-auth-request-omitted")
    assert answer.one("x-auth-request-groups") == ""
    assert answer.one("x-auth-request-user") == "alice"
    if route.get("token"):
        assert "groups" in claims_in(answer.one("authorization"))["omitted"]
    if route.get("kit"):
        assert "groups" in claims_in(answer.one("x-vestibule-assertion"))["omitted"]
        assert answer.one("x-vestibule-session")


def test_fa_1_by_default_groups_are_all_that_is_left_out(build_house: Callable[..., House]) -> None:
    house = build_house(routes=[PAGE | {"token": "assertion", "audience": "a"}], **ASKING)
    with many_groups(house.provider):
        cookie = house.session_cookie(house.sign_in())
    answer = asker(house, "nginx", cookie).ask("/report")
    assert answer.one("x-auth-request-omitted") == "groups"
    assert claims_in(answer.one("authorization"))["omitted"] == ["groups"]


def test_fa_1_a_raised_limit_has_room_for_the_groups(build_house: Callable[..., House]) -> None:
    tables = ASKING | {"forward_auth": {"modes": ["nginx"], "head_bytes": 16_000}}
    house = build_house(routes=[PAGE], **tables)
    with many_groups(house.provider, GROUPS[:100]):
        cookie = house.session_cookie(house.sign_in())
    answer = asker(house, "nginx", cookie).ask("/report")
    assert answer.one("x-auth-request-groups").split(",") == GROUPS[:100]
    assert answer.one("x-auth-request-omitted") == ""


def test_fa_1_a_token_of_the_provider_that_does_not_fit_is_refused_with_a_reason(
    build_house: Callable[..., House], provider: FakeProvider
) -> None:
    table = {"corp": provider_table(provider, par="off", userinfo="never")}
    house = build_house(providers=table, routes=[PAGE | {"token": "access_token"}], **ASKING)
    provider.bend.id_token.claims(lambda claims: {key: claims[key] for key in claims if key != "at_hash"})
    house.provider.bend.token.json(lambda answer: {**answer, "access_token": "t" * 3_700})
    cookie = house.session_cookie(house.sign_in())
    answer = asker(house, "nginx", cookie).ask("/report")
    assert answer.status == 500
    assert "reason=head_too_long" in answer.one("x-vestibule-refusal")
    assert answer.all("authorization") == []


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("length", [10, 1000, 2500, 8000])
def test_fa_7_a_person_comes_back_to_an_address_of_any_length(
    build_house: Callable[..., House], mode: str, length: int
) -> None:
    house = build_house(routes=[PAGE], **ASKING)
    target = "/report?" + "x=%C3%A9&" * (length // 9) + "end=1"
    answer = asker(house, mode).ask(target)
    assert answer.status in (401, 302)
    assert answer.head_bytes <= 4000
    browser = house.browser()
    pages = browser.walk(browser.get(answer.one("location")))
    assert str(pages[-1].url) == house.url + target


def test_fa_7_the_same_long_address_is_kept_once(build_house: Callable[..., House]) -> None:
    house = build_house(routes=[PAGE], limits={"pending_logins_per_address": 2}, **ASKING)
    locations = {asker(house).ask("/report?" + "a" * 4000).one("location") for _ in range(10)}
    assert len(locations) == 1


def test_fa_7_a_flood_of_long_addresses_fills_no_store(build_house: Callable[..., House]) -> None:
    house = build_house(routes=[PAGE], limits={"pending_logins_per_address": 5}, **ASKING)
    answers = [asker(house).ask(f"/report?{number}" + "a" * 4000) for number in range(8)]
    assert [answer.status for answer in answers] == [401] * 5 + [503] * 3
    assert "reason=login_limit" in answers[-1].one("x-vestibule-refusal")


def test_fa_7_a_kept_address_belongs_to_one_host(build_house: Callable[..., House]) -> None:
    house = build_house(routes=[PAGE], **ASKING)
    name = parse_qs(urlsplit(asker(house).ask("/report?" + "a" * 4000).one("location")).query)["return_id"][0]
    targets, do = house.door.app.bff.return_targets, house.door.do
    assert do(targets.find(name, origin=house.url)).startswith("/report?aaa")
    assert do(targets.find(name, origin="https://other.example")) == ""
    assert do(targets.find("0" * 64, origin=house.url)) == ""


@pytest.mark.parametrize("name", ["unknown", "0" * 64, "../../x", "x" * 5000])
def test_fa_7_the_name_of_nothing_leads_to_the_start_page(build_house: Callable[..., House], name: str) -> None:
    house = build_house(routes=[PAGE], **ASKING)
    browser = house.browser()
    pages = browser.walk(browser.get(f"{house.url}/auth/login", params={"return_id": name}))
    assert str(pages[-1].url) == house.url + "/"


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_fa_7_a_form_is_not_sent_again_after_the_sign_in(build_house: Callable[..., House], method: str) -> None:
    house = build_house(routes=[PAGE], **ASKING)
    answer = asker(house).ask("/report", method=method, headers=NAVIGATION)
    assert answer.status == 401
    assert "return_to" not in answer.one("x-vestibule-refusal")


def test_fa_7_idle_time_is_extended_without_any_cookie(timed_house: Callable[..., House], clock: Any) -> None:
    house = timed_house(routes=[PAGE], session={"idle_seconds": 600, "absolute_seconds": 100_000}, **ASKING)
    cookie = house.session_cookie(house.sign_in())
    for _ in range(10):
        clock.advance(500)
        answer = asker(house, "nginx", cookie).ask("/report")
        assert (answer.status, answer.all("set-cookie")) == (200, [])
    clock.advance(601)
    assert asker(house, "nginx", cookie).ask("/report").status == 401
