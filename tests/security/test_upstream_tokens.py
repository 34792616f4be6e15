"""TK-7: a route sends the token of the person for that route, or no token."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jwt
import pytest

from tests.fakes import FakeClock, FakeProvider, RecordingUpstream, is_grant
from tests.front_door import api_route, page_route
from tests.security.house import House, open_house
from tests.security.rejection import assert_rejected

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
WANTED = {
    "one": {"audience": "api-one", "scope": "one:read"},
    "two": {"audience": "api-two", "scope": "two:read"},
    "wide": {"audience": "api-one", "scope": "one:read one:write"},
    "place": {"resource": "https://api.example/three", "scope": "one:read"},
}


def token_routes(upstream: RecordingUpstream) -> list[dict[str, Any]]:
    return [
        *(
            api_route(upstream, id=name, path=f"/{name}/", token="exchange", exchange=exchange)
            for name, exchange in WANTED.items()
        ),
        api_route(
            upstream,
            id="service",
            path="/service/",
            token="client_credentials",
            exchange={"audience": "service-api", "scope": "batch"},
        ),
        api_route(upstream, id="identity", path="/identity/", token="id_token"),
        api_route(upstream, id="maybe", path="/maybe/", auth="optional", token="exchange", exchange=WANTED["one"]),
        page_route(upstream),
    ]


@pytest.fixture(scope="module")
def shared_token_house(shared_provider: FakeProvider, shared_upstream: RecordingUpstream) -> Iterator[House]:
    with open_house(shared_provider, shared_upstream, routes=token_routes(shared_upstream)) as house:
        yield house


@pytest.fixture
def token_house(
    shared_token_house: House,
    provider: FakeProvider,
    upstream: RecordingUpstream,
    audit: list[MutableMapping[str, Any]],
) -> Iterator[House]:
    house = House(provider, upstream, shared_token_house.door, shared_token_house.store, audit)
    yield house
    house.close_browsers()


def bearer(house: House) -> dict[str, Any]:
    """Claims of the bearer token that the upstream got last."""
    scheme, _, token = (house.upstream.last.header("authorization") or "").partition(" ")
    assert scheme == "Bearer"
    return jwt.decode(token, options={"verify_signature": False})


def test_tk_7_the_parameters_of_a_token_exchange_come_only_from_the_route(token_house: House) -> None:
    browser = token_house.sign_in()
    access_token = token_house.session_of(browser).tokens.access_token
    url = f"{token_house.url}/one/x?audience=evil&resource=https://evil.example&scope=admin"
    assert browser.fetch(url, headers={"X-Audience": "evil", "Authorization": "Bearer mine"}).status_code == 200
    assert bearer(token_house)["aud"] == "api-one"
    form = token_house.provider.hits_of("token")[-1].form
    assert dict(form) == {
        "grant_type": EXCHANGE,
        "subject_token": access_token,
        "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
        **WANTED["one"],
    }


def test_tk_7_parallel_requests_never_get_the_token_of_another_route_or_person(token_house: House) -> None:
    people = {name: token_house.session_cookie(token_house.sign_in(name)) for name in ("alice", "bob")}
    token_house.provider.bend.token.delay(0.02, when=is_grant(EXCHANGE))

    def ask(number: int) -> int:
        person, route = ("alice", "bob")[number % 2], tuple(WANTED)[number // 2 % len(WANTED)]
        path = f"/{route}/{person}/{number}"
        return token_house.get_raw(path, "Sec-Fetch-Site: same-origin", cookie=people[person]).status

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(ask, range(160))) == {200}
    seen = [request for request in token_house.upstream.requests if request.path.count("/") == 2]
    assert len(seen) == 160
    combinations = set()
    for request in seen:
        _, person, _ = request.path.split("/")
        token = (request.header("authorization") or "").removeprefix("Bearer ")
        claims = jwt.decode(token, options={"verify_signature": False})
        assert claims["sub"] == person
        combinations.add((person, claims["aud"], claims["scope"]))
    assert combinations == {
        (person, wanted.get("audience") or wanted["resource"], wanted["scope"])
        for person in people
        for wanted in WANTED.values()
    }
    assert len(token_house.provider.grants(EXCHANGE)) == len(people) * len(WANTED)


def test_tk_7_an_exchanged_token_is_kept_for_its_audience_resource_and_scope(token_house: House) -> None:
    browser = token_house.sign_in()
    for _ in range(3):
        for name in WANTED:
            assert browser.fetch(f"{token_house.url}/{name}/x").status_code == 200
            assert bearer(token_house)["scope"] == WANTED[name]["scope"]
    assert len(token_house.provider.grants(EXCHANGE)) == len(WANTED)


def test_tk_7_a_new_session_uses_no_token_of_the_session_before(token_house: House) -> None:
    browser = token_house.sign_in()
    assert browser.fetch(f"{token_house.url}/one/x").status_code == 200
    token_house.sign_in("bob", browser=browser)
    assert browser.fetch(f"{token_house.url}/one/x").status_code == 200
    assert bearer(token_house)["sub"] == "bob"


def test_tk_7_an_expired_exchanged_token_is_not_used(
    timed_house: Callable[..., House], upstream: RecordingUpstream, clock: FakeClock
) -> None:
    house = timed_house(routes=token_routes(upstream))
    browser = house.sign_in()
    for _ in range(8):
        assert browser.fetch(f"{house.url}/one/x").status_code == 200
        assert bearer(house)["exp"] > clock()
        clock.advance(100)


REFUSALS: dict[str, dict[str, Any]] = {
    "invalid_target": {"status": 400, "json": {"error": "invalid_target"}},
    "invalid_grant": {"status": 400, "json": {"error": "invalid_grant"}},
    "unauthorized_client": {"status": 401, "json": {"error": "invalid_client"}},
    "no token": {"status": 200, "json": {"token_type": "Bearer"}},
    "no bearer": {"status": 200, "json": {"access_token": "x", "token_type": "DPoP"}},
    "token with a line end": {"status": 200, "json": {"access_token": "x\r\nX: y", "token_type": "Bearer"}},
    "HTML": {"status": 200, "body": "<html>"},
}


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("path", ["/one/x", "/maybe/x"])
def test_tk_7_a_refused_token_exchange_gives_502_and_sends_nothing_to_the_upstream(
    token_house: House, path: str, refusal: str
) -> None:
    browser = token_house.sign_in()
    token_house.provider.bend.token.raw(**REFUSALS[refusal], when=is_grant(EXCHANGE))
    assert_rejected(
        token_house,
        lambda: browser.fetch(f"{token_house.url}{path}"),
        statuses=[502],
        token_hits=1,
        reason="token_exchange",
    )
    assert token_house.is_signed_in(browser)


def test_tk_7_an_outage_during_the_token_exchange_sends_nothing_to_the_upstream(token_house: House) -> None:
    browser = token_house.sign_in()
    token_house.provider.bend.token.drop(when=is_grant(EXCHANGE))
    assert_rejected(token_house, lambda: browser.fetch(f"{token_house.url}/one/x"), statuses=[502, 503], token_hits=1)
    assert token_house.is_signed_in(browser)


def test_tk_7_a_request_without_a_session_is_passed_on_without_a_token(token_house: House) -> None:
    answer = token_house.get_raw("/maybe/x", "Authorization: Bearer mine", "X-Vestibule-CSRF: 1")
    assert answer.status == 200
    assert token_house.upstream.last.values("authorization") == []
    assert token_house.provider.grants(EXCHANGE) == []


def test_a_service_route_sends_the_token_of_the_front_door_and_the_identity_of_the_person(token_house: House) -> None:
    for person in ("alice", "bob"):
        browser = token_house.sign_in(person)
        assert browser.fetch(f"{token_house.url}/service/x").status_code == 200
        claims = bearer(token_house)
        assert (claims["sub"], claims["aud"], claims["scope"]) == ("vestibule", "service-api", "batch")
        assert token_house.upstream.last.header("x-auth-request-user") == person
    assert len(token_house.provider.grants("client_credentials")) <= 1
    assert token_house.get_raw("/service/x", "Sec-Fetch-Site: same-origin").status == 401


def test_a_service_route_without_its_token_sends_nothing_to_the_upstream(
    build_house: Callable[..., House], upstream: RecordingUpstream
) -> None:
    house = build_house(routes=token_routes(upstream))
    browser = house.sign_in()
    house.provider.bend.token.raw(400, json={"error": "unauthorized_client"}, when=is_grant("client_credentials"))
    assert_rejected(
        house,
        lambda: browser.fetch(f"{house.url}/service/x"),
        statuses=[502],
        token_hits=1,
        reason="client_credentials",
    )


def test_an_id_token_route_sends_the_id_token_of_the_person(token_house: House) -> None:
    for person in ("alice", "bob"):
        browser = token_house.sign_in(person)
        assert browser.fetch(f"{token_house.url}/identity/x").status_code == 200
        claims = bearer(token_house)
        assert (claims["sub"], claims["aud"]) == (person, "vestibule")


def test_an_id_token_route_sends_no_expired_token(
    timed_house: Callable[..., House], upstream: RecordingUpstream, clock: FakeClock, provider: FakeProvider
) -> None:
    house = timed_house(routes=token_routes(upstream))
    browser = house.sign_in()
    clock.advance(301)
    assert browser.fetch(f"{house.url}/identity/x").status_code == 200
    assert bearer(house)["exp"] > clock()
    provider.options.issue_refresh_tokens = False
    browser = house.sign_in()
    clock.advance(301)
    before = len(upstream.requests)
    answer = browser.fetch(f"{house.url}/identity/x")
    assert (answer.status_code, answer.json()["code"]) == (401, "token_expired")
    assert len(upstream.requests) == before


def test_an_id_token_that_ends_before_the_access_token_is_renewed_when_it_is_needed(
    timed_house: Callable[..., House], upstream: RecordingUpstream, clock: FakeClock, provider: FakeProvider
) -> None:
    house = timed_house(routes=token_routes(upstream))
    provider.options.id_token_lifetime = 60
    browser = house.sign_in()
    for _ in range(3):
        clock.advance(61)
        for _ in range(2):
            assert browser.fetch(f"{house.url}/identity/x").status_code == 200
            assert bearer(house)["exp"] > clock()
    assert len(provider.grants("refresh_token")) == 3, "one grant for each end of an ID token"


def test_an_id_token_that_cannot_be_renewed_because_of_an_outage_signs_nobody_out(
    timed_house: Callable[..., House], upstream: RecordingUpstream, clock: FakeClock, provider: FakeProvider
) -> None:
    house = timed_house(routes=token_routes(upstream))
    provider.options.id_token_lifetime = 60
    browser = house.sign_in()
    provider.bend.token.raw(503, when=is_grant("refresh_token"))
    clock.advance(61)
    before = len(upstream.requests)
    for _ in range(2):
        answer = browser.fetch(f"{house.url}/identity/x")
        assert (answer.status_code, answer.json()["code"]) == (503, "token_refresh")
        assert int(answer.headers["retry-after"]) > 0
    assert len(upstream.requests) == before
    provider.bend.reset()
    clock.advance(10)
    assert browser.fetch(f"{house.url}/identity/x").status_code == 200


def test_a_provider_that_does_not_renew_id_tokens_is_not_asked_with_every_request(
    timed_house: Callable[..., House], upstream: RecordingUpstream, clock: FakeClock, provider: FakeProvider
) -> None:
    house = timed_house(routes=token_routes(upstream))
    provider.options.id_token_lifetime = 60
    provider.options.id_token_on_refresh = False
    browser = house.sign_in()
    clock.advance(61)
    for _ in range(5):
        answer = browser.fetch(f"{house.url}/identity/x")
        assert (answer.status_code, answer.json()["code"]) == (401, "token_expired")
        clock.advance(1)
    assert len(provider.grants("refresh_token")) == 1


def test_an_id_token_that_a_refresh_does_not_renew_is_not_sent_after_it_expires(
    timed_house: Callable[..., House], upstream: RecordingUpstream, clock: FakeClock, provider: FakeProvider
) -> None:
    house = timed_house(routes=token_routes(upstream))
    browser = house.sign_in()
    provider.options.id_token_on_refresh = False
    clock.advance(301)
    before = len(upstream.requests)
    answer = browser.fetch(f"{house.url}/identity/x")
    assert (answer.status_code, answer.json()["code"]) == (401, "token_expired")
    assert len(upstream.requests) == before
    assert house.is_signed_in(browser)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_px_15_a_401_of_an_upstream_is_passed_on_and_signs_nobody_out(token_house: House, method: str) -> None:
    browser = token_house.sign_in()
    token_house.upstream.respond("/denied", status=401, json={"reason": "not today"})
    before = len(token_house.upstream.requests)
    answer = browser.fetch(f"{token_house.url}/identity/denied", method=method)
    assert (answer.status_code, answer.json()) == (401, {"reason": "not today"})
    assert len(token_house.upstream.requests) - before <= 2, "asked again and again"
    assert len(token_house.provider.grants("refresh_token")) <= 1
    assert token_house.is_signed_in(browser)
