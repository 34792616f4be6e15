"""TK-7, PX-3: an assertion goes out in the header that its route names, and no client can send that header."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any

import jwt
import pytest

from tests.fakes import FakeProvider, RecordingUpstream
from tests.front_door import api_route, page_route
from tests.security.house import House, open_house

NAME = "X-JWT-Assertion"
SPELLINGS = ("X-JWT-Assertion", "x-jwt-assertion", "X_JWT_Assertion", "X.Jwt.Assertion", "X~JWT~Assertion")


def routes(upstream: RecordingUpstream) -> list[dict[str, Any]]:
    named: dict[str, Any] = {"token": "assertion", "audience": "grafana", "assertion_header": NAME}
    return [
        api_route(upstream, id="named", path="/named/", **named),
        api_route(upstream, id="maybe", path="/maybe/", auth="optional", **named),
        api_route(upstream, id="plain", path="/plain/", token="assertion", audience="plain"),
        api_route(upstream, id="listed", path="/listed/", forward_headers=["*", NAME]),
        page_route(upstream),
    ]


@pytest.fixture(scope="module")
def shared_named_house(shared_provider: FakeProvider, shared_upstream: RecordingUpstream) -> Iterator[House]:
    with open_house(shared_provider, shared_upstream, routes=routes(shared_upstream)) as house:
        yield house


@pytest.fixture
def named_house(
    shared_named_house: House,
    provider: FakeProvider,
    upstream: RecordingUpstream,
    audit: list[MutableMapping[str, Any]],
) -> Iterator[House]:
    house = House(provider, upstream, shared_named_house.door, shared_named_house.store, audit)
    yield house
    house.close_browsers()


def received(house: House) -> dict[str, list[str]]:
    """All headers of the upstream's last request that hold a token or could hold one, by lower-case name."""
    found: dict[str, list[str]] = {}
    for name, value in house.upstream.last.headers:
        key = name.decode("latin-1").lower()
        if "assertion" in key or key == "authorization":
            found.setdefault(key, []).append(value.decode("latin-1"))
    return found


def claims_of(house: House, token: str) -> dict[str, Any]:
    """Check the token as its application would: with the published keys."""
    keys = jwt.PyJWKSet.from_dict(house.door.app.bff.assertions.jwks())
    key = keys[jwt.get_unverified_header(token)["kid"]]
    return dict(jwt.decode(token, key.key, algorithms=["ES256"], audience="grafana", issuer=house.url))


def test_tk_7_an_assertion_goes_out_in_the_header_of_its_route_alone(named_house: House) -> None:
    browser = named_house.sign_in()
    assert browser.fetch(f"{named_house.url}/named/x").status_code == 200
    sent = received(named_house)
    assert list(sent) == ["x-jwt-assertion"]
    assert claims_of(named_house, *sent["x-jwt-assertion"])["sub"] == "alice"
    assert browser.fetch(f"{named_house.url}/plain/x").status_code == 200
    assert list(received(named_house)) == ["authorization"]


def test_tk_7_the_header_is_empty_if_nobody_is_signed_in(named_house: House) -> None:
    assert named_house.browser().fetch(f"{named_house.url}/maybe/x").status_code == 200
    assert received(named_house) == {"x-jwt-assertion": [""]}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("route", ["named", "maybe", "plain", "listed"])
def test_px_3_no_client_sends_the_header_of_an_assertion_on_any_route(
    named_house: House, route: str, spelling: str
) -> None:
    browser = named_house.sign_in()
    answer = browser.fetch(
        f"{named_house.url}/{route}/x", headers={spelling: "forged", "Authorization": "Bearer forged"}
    )
    assert answer.status_code == 200
    values = [value for values in received(named_house).values() for value in values]
    assert not [value for value in values if "forged" in value]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_px_3_a_stranger_sends_no_assertion_to_an_optional_route(named_house: House, spelling: str) -> None:
    answer = named_house.browser().fetch(f"{named_house.url}/maybe/x", headers={spelling: "forged"})
    assert answer.status_code == 200
    assert received(named_house) == {"x-jwt-assertion": [""]}
