"""What a kit client can get: tokens for its own audiences, and page state of the signed-in person."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from functools import partial
from typing import Any

import jwt
import pytest

from bff.sessions.keyring import Keyring
from tests.fakes import FakeProvider, RecordingUpstream
from tests.front_door import KEY, api_route, page_route, provider_table
from tests.security.house import House, location_query, open_house
from tests.security.kit_calls import (
    BINDING,
    KIT_CLIENTS,
    ORIGINS,
    ask_token,
    call,
    fetch_handle,
    kit_headers,
    redeem,
)
from tests.security.rejection import assert_rejected


@pytest.fixture(scope="module")
def shared_kit_house(shared_provider: FakeProvider, shared_upstream: RecordingUpstream) -> Iterator[House]:
    with open_house(shared_provider, shared_upstream, kit_clients=KIT_CLIENTS) as house:
        yield house


@pytest.fixture
def kit_house(
    shared_kit_house: House,
    provider: FakeProvider,
    upstream: RecordingUpstream,
    audit: list[MutableMapping[str, Any]],
) -> Iterator[House]:
    house = House(provider, upstream, shared_kit_house.door, shared_kit_house.store, audit)
    yield house
    house.close_browsers()


@pytest.mark.parametrize("audience", ["models-api", "plain-api"])
def test_a_client_gets_tokens_for_the_person_with_its_own_audiences(kit_house: House, audience: str) -> None:
    handle, _ = fetch_handle(kit_house, "bob")
    answer = ask_token(kit_house, handle, audience)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    claims = jwt.decode(answer.json()["access_token"], options={"verify_signature": False})
    assert (claims["iss"], claims["aud"], claims["sub"]) == (kit_house.url, audience, "bob")
    assert claims["exp"] - claims["iat"] <= 60


@pytest.mark.parametrize(
    "audience", ["other-api", "api", "", "models-api ", "MODELS-API", "models", "kit:app-a", "*", "vestibule"]
)
def test_a_token_for_another_audience_is_refused(kit_house: House, audience: str) -> None:
    handle, _ = fetch_handle(kit_house)
    answer = assert_rejected(kit_house, lambda: ask_token(kit_house, handle, audience), statuses=[403])
    assert "access_token" not in answer.text


def handle_of(house: House, provider: str) -> str:
    """A session handle of `app-a` for somebody who signed in with `provider`."""
    browser = house.browser()
    query = {"kit": "app-a", "binding": BINDING, "return_to": f"{ORIGINS['app-a']}/page", "provider": provider}
    code = location_query(browser.get(house.callback_url(browser, **query)))["auth_code"]
    return str(redeem(house, code).json()["session_handle"])


CLOSED: dict[str, tuple[dict[str, Any], str]] = {
    "role": ({"require": {"roles_any": ["nobody-has-this"]}}, "require.roles_any"),
    "scope": ({"require": {"scopes_all": ["nobody-has-this"]}}, "require.scopes_all"),
    "level": ({"require": {"acr_any": ["nobody-has-this"]}}, "require.acr"),
    "provider": ({"provider": "other"}, "provider"),
}


@pytest.mark.parametrize("case", CLOSED)
@pytest.mark.parametrize("own", [True, False], ids=["a route of its own", "a route of others"])
def test_a_token_for_a_route_that_refuses_the_person_is_refused(
    build_house: Callable[..., House], upstream: RecordingUpstream, provider: FakeProvider, case: str, own: bool
) -> None:
    """What the front door denies under the route's path, it does not give out elsewhere either."""
    closing, reason = CLOSED[case]
    routes = [
        api_route(upstream, id="models", path="/models/", token="assertion", audience="models-api", **closing),
        api_route(upstream, token="access_token"),
        page_route(upstream),
    ]
    clients = {
        name: {**client, "routes": ["api", *(["models"] if own else [])]} for name, client in KIT_CLIENTS.items()
    }
    names = ("corp", "other") if "provider" in closing else ("corp",)
    providers = {name: provider_table(provider, par="off") for name in names}
    house = build_house(routes=routes, kit_clients=clients, providers=providers)
    handle = handle_of(house, "corp")
    noted = len(house.audit)
    answer = ask_token(house, handle)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert "access_token" not in answer.text
    left = [
        (event["event"], event.get("reason"), event.get("route")) for event in house.audit[noted:] if "audit" in event
    ]
    assert left == [("access_denied", reason, "models")]
    assert ask_token(house, handle, "plain-api").status_code == 200, "no route stands before it"


def test_one_route_that_accepts_the_person_is_enough_for_a_token_of_its_audience(
    build_house: Callable[..., House], upstream: RecordingUpstream
) -> None:
    closed = {"require": {"roles_any": ["nobody-has-this"]}}
    routes = [
        api_route(upstream, id="models", path="/models/", token="assertion", audience="models-api", **closed),
        api_route(upstream, token="assertion", audience="models-api"),
        page_route(upstream),
    ]
    house = build_house(routes=routes, kit_clients=KIT_CLIENTS)
    handle, _ = fetch_handle(house)
    assert ask_token(house, handle).status_code == 200


REFUSED: dict[str, tuple[int, Callable[[House, str], Any]]] = {
    "a cookie beside": (400, lambda house, handle: {"headers": with_kit(handle, {"Cookie": "vestibule=x"})}),
    "a live cookie beside": (
        400,
        lambda house, handle: {
            "headers": with_kit(handle, {"Cookie": f"vestibule={house.session_cookie(house.sign_in())}"})
        },
    ),
    "a cookie alone": (
        401,
        lambda house, handle: {"headers": {"Cookie": f"vestibule={house.session_cookie(house.sign_in())}"}},
    ),
    "no credential": (401, lambda house, handle: {"headers": {"X-Vestibule-Session": handle}}),
    "no handle": (401, lambda house, handle: {"headers": kit_headers()}),
    "an empty handle": (401, lambda house, handle: {"headers": kit_headers() | {"X-Vestibule-Session": ""}}),
    "a wrong secret": (401, lambda house, handle: {"headers": with_kit(handle, {"X-Vestibule-Kit": "app-a:no"})}),
    "no secret": (401, lambda house, handle: {"headers": with_kit(handle, {"X-Vestibule-Kit": "app-a:"})}),
    "an unknown client": (401, lambda house, handle: {"headers": with_kit(handle, {"X-Vestibule-Kit": "app-x:x"})}),
    "the secret of another client": (
        401,
        lambda house, handle: {
            "headers": with_kit(handle, {"X-Vestibule-Kit": f"app-a:{KIT_CLIENTS['app-b']['secret']}"})
        },
    ),
    "a session cookie as handle": (
        401,
        lambda house, handle: {
            "headers": with_kit(handle, {"X-Vestibule-Session": house.session_cookie(house.sign_in())})
        },
    ),
    "a damaged handle": (401, lambda house, handle: {"headers": with_kit(handle[:-6] + "AAAAAA", {})}),
    "a long handle": (400, lambda house, handle: {"headers": with_kit("A" * 2_000, {})}),
    "the handle twice": (
        400,
        lambda house, handle: {"headers": [*with_kit(handle, {}).items(), ("X-Vestibule-Session", handle)]},
    ),
    "the credential twice": (
        400,
        lambda house, handle: {
            "headers": [*with_kit(handle, {}).items(), ("X-Vestibule-Kit", kit_headers()["X-Vestibule-Kit"])]
        },
    ),
    "more than asked for": (400, lambda house, handle: {"json": {"audience": "models-api", "scope": "admin"}}),
    "audience as a list": (400, lambda house, handle: {"json": {"audience": ["models-api"]}}),
    "no JSON": (400, lambda house, handle: {"json": None, "content": b"audience=models-api"}),
    "a long body": (413, lambda house, handle: {"json": {"audience": "x" * 5_000}}),
    "GET": (405, lambda house, handle: {"method": "GET"}),
}


def with_kit(handle: str, changes: dict[str, str]) -> dict[str, str]:
    return kit_headers(handle=handle) | changes


@pytest.mark.parametrize("how", REFUSED)
def test_an_invalid_token_call_gets_no_token(kit_house: House, how: str) -> None:
    handle, _ = fetch_handle(kit_house)
    status, change = REFUSED[how]
    asked = {"headers": kit_headers(handle=handle), "json": {"audience": "models-api"}} | change(kit_house, handle)
    answer = call(kit_house, "token", **asked)
    assert answer.status_code == status, answer.text
    assert "access_token" not in answer.text
    assert handle not in answer.text
    assert KIT_CLIENTS["app-a"]["secret"] not in answer.text + repr(kit_house.audit)


def test_tokens_end_with_the_session(kit_house: House) -> None:
    handle, browser = fetch_handle(kit_house)
    assert ask_token(kit_house, handle).status_code == 200
    browser.post(f"{kit_house.url}/auth/logout")
    assert ask_token(kit_house, handle).status_code == 401
    assert call(kit_house, "state/x", method="GET", headers=kit_headers(handle=handle)).status_code == 401


def test_calls_of_a_client_reach_only_its_own_routes(kit_house: House) -> None:
    handle, _ = fetch_handle(kit_house, client="app-b")
    headers = kit_headers("app-b", handle=handle)
    assert call(kit_house, "/api/x", method="GET", headers=headers).status_code == 200
    for path in ("/models/x", "/strict/x", "/admin", "/page", "/optional/x"):
        assert_rejected(
            kit_house,
            partial(call, kit_house, path, method="GET", headers=headers),
            statuses=[403],
        )


def test_no_credential_of_the_kit_reaches_an_upstream(kit_house: House) -> None:
    handle, _ = fetch_handle(kit_house)
    assert call(kit_house, "/api/x", method="GET", headers=kit_headers(handle=handle)).status_code == 200
    seen = kit_house.upstream.last
    assert handle.encode() not in seen.head
    assert KIT_CLIENTS["app-a"]["secret"].encode() not in seen.head
    assert seen.header("x-auth-request-user") == "alice"


def keep(house: House, handle: str, state_id: str, value: bytes, *, client: str = "app-a") -> int:
    headers = kit_headers(client, handle=handle)
    return call(house, f"state/{state_id}", method="PUT", headers=headers, content=value).status_code


def kept(house: House, handle: str, state_id: str, *, client: str = "app-a") -> bytes | int:
    """The value, or the status of the refusal."""
    answer = call(house, f"state/{state_id}", method="GET", headers=kit_headers(client, handle=handle))
    return answer.content if answer.status_code == 200 else answer.status_code


def drop(house: House, handle: str, state_id: str, *, client: str = "app-a") -> int:
    headers = kit_headers(client, handle=handle)
    return call(house, f"state/{state_id}", method="DELETE", headers=headers).status_code


def test_page_state_belongs_to_one_person_at_one_client(kit_house: House) -> None:
    alice, _ = fetch_handle(kit_house)
    bob, _ = fetch_handle(kit_house, "bob")
    elsewhere, _ = fetch_handle(kit_house, client="app-b")
    assert keep(kit_house, alice, "draft", b"of alice") == 204
    assert kept(kit_house, bob, "draft") == 404
    assert kept(kit_house, elsewhere, "draft", client="app-b") == 404
    assert keep(kit_house, bob, "draft", b"of bob") == 204
    assert keep(kit_house, elsewhere, "draft", b"elsewhere", client="app-b") == 204
    assert kept(kit_house, alice, "draft") == b"of alice"
    assert drop(kit_house, bob, "draft") == 204
    assert drop(kit_house, elsewhere, "draft", client="app-b") == 204
    assert kept(kit_house, alice, "draft") == b"of alice"
    assert drop(kit_house, alice, "draft") == 204
    assert kept(kit_house, alice, "draft") == 404


def test_page_state_is_available_in_another_session_of_the_person(kit_house: House) -> None:
    first, _ = fetch_handle(kit_house)
    assert keep(kit_house, first, "shared", b"\x00\xff") == 204
    second, _ = fetch_handle(kit_house)
    assert kept(kit_house, second, "shared") == b"\x00\xff"
    assert drop(kit_house, second, "shared") == 204


def test_page_state_is_readable_after_a_key_rotation(
    build_house: Callable[..., House], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An old key still works: states that were saved with it are found, replaced and deleted."""
    house = build_house(kit_clients=KIT_CLIENTS)
    handle, _ = fetch_handle(house)
    assert [keep(house, handle, name, b"before") for name in ("a", "b")] == [204, 204]
    rotated = Keyring([b"unit-test-key-of-tomorrow-0123456789-abcdefgh", KEY.encode()])
    monkeypatch.setattr(house.door.app.bff.kit_states, "_keyring", rotated)
    assert [kept(house, handle, name) for name in ("a", "b")] == [b"before", b"before"]
    assert keep(house, handle, "a", b"after") == 204
    assert kept(house, handle, "a") == b"after"
    assert [drop(house, handle, name) for name in ("a", "b")] == [204, 204]
    assert [kept(house, handle, name) for name in ("a", "b")] == [404, 404]


def test_page_state_is_limited_in_size(kit_house: House) -> None:
    handle, _ = fetch_handle(kit_house)
    assert keep(kit_house, handle, "big", b"x" * 65_536) == 204
    assert keep(kit_house, handle, "big", b"y" * 65_537) == 413
    assert kept(kit_house, handle, "big") == b"x" * 65_536
    assert drop(kit_house, handle, "big") == 204


def test_page_state_is_limited_in_number_for_each_person(kit_house: House) -> None:
    handle, _ = fetch_handle(kit_house)
    bob, _ = fetch_handle(kit_house, "bob")
    assert {keep(kit_house, handle, f"n{number}", b"x") for number in range(50)} == {204}
    assert keep(kit_house, handle, "one-more", b"x") == 503
    assert keep(kit_house, handle, "n7", b"again") == 204
    assert kept(kit_house, handle, "n7") == b"again"
    assert keep(kit_house, bob, "one-more", b"x") == 204
    assert drop(kit_house, handle, "n0") == 204
    assert keep(kit_house, handle, "one-more", b"x") == 204
    for state_id in ("one-more", *(f"n{number}" for number in range(1, 50))):
        assert drop(kit_house, handle, state_id) == 204


def test_page_state_of_one_client_does_not_count_for_another(kit_house: House) -> None:
    handle, _ = fetch_handle(kit_house)
    elsewhere, _ = fetch_handle(kit_house, client="app-b")
    names = [f"n{number}" for number in range(50)]
    assert keep(kit_house, elsewhere, "first", b"of app-b", client="app-b") == 204
    assert {keep(kit_house, handle, name, b"of app-a") for name in names} == {204}
    assert keep(kit_house, handle, "one-more", b"x") == 503
    assert keep(kit_house, elsewhere, "second", b"of app-b", client="app-b") == 204
    assert kept(kit_house, elsewhere, "first", client="app-b") == b"of app-b"
    for name in names:
        assert drop(kit_house, elsewhere, name, client="app-b") == 204
        assert kept(kit_house, handle, name) == b"of app-a"
        assert drop(kit_house, handle, name) == 204
    for name in ("first", "second"):
        assert drop(kit_house, elsewhere, name, client="app-b") == 204


@pytest.mark.parametrize("state_id", ["a.b", "x" * 65, "a%00b", "%2e%2e", "a*", "é", "a:b", "a%2fb", "a|b"])
def test_an_id_of_page_state_must_be_a_plain_word(kit_house: House, state_id: str) -> None:
    handle, _ = fetch_handle(kit_house)
    assert keep(kit_house, handle, state_id, b"x") in (400, 404)
    assert kept(kit_house, handle, state_id) in (400, 404)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_page_state_needs_credential_and_handle_and_no_cookie(kit_house: House, method: str) -> None:
    handle, _ = fetch_handle(kit_house)
    cookie = {"Cookie": f"vestibule={kit_house.session_cookie(kit_house.sign_in())}"}
    for headers, status in (
        ({}, 401),
        (cookie, 401),
        (kit_headers(), 401),
        ({"X-Vestibule-Session": handle}, 401),
        (kit_headers("app-b", handle=handle), 401),
        (kit_headers(handle=handle) | cookie, 400),
    ):
        assert call(kit_house, "state/x", method=method, headers=headers).status_code == status
