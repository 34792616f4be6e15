"""PX-3: an identity is sent completely or marked as incomplete, in limited lines; the rest can be requested."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.fakes import RecordingUpstream
from tests.fakes.recorded import RecordedRequest
from tests.front_door import api_route, page_route
from tests.security.house import House
from tests.security.kit_calls import KIT_CLIENTS, TRUST, ask_token, call, fetch_handle, kit_headers
from tests.security.many_groups import GROUPS, claims_in, identity_lines, many_groups
from tests.security.raw import handshake, open_websocket

SHARED = {"kit": "app-a", "token": "assertion", "audience": "models-api"}


@pytest.fixture
def routes(upstream: RecordingUpstream) -> list[dict[str, Any]]:
    return [
        api_route(upstream, token="assertion", audience="plain-api"),
        api_route(upstream, id="models", path="/models/", **SHARED),
        api_route(
            upstream, id="few", path="/few/", token="assertion", audience="few-api", groups_forwarded=["*00001?"]
        ),
        page_route(upstream, kit="app-a"),
    ]


@pytest.fixture
def crowded(build_house: Callable[..., House], routes: list[dict[str, Any]]) -> House:
    return build_house(kit_clients=KIT_CLIENTS, routes=routes)


def visit(house: House, path: str, cookie: str) -> RecordedRequest:
    answer = house.get_raw(path, "Sec-Fetch-Site: same-origin", cookie=cookie)
    assert answer.status == 200
    return house.upstream.last


def ask_identity(house: House, bearer: str, **headers: str) -> httpx.Response:
    with httpx.Client(verify=TRUST) as http:
        return http.get(house.url + "/auth/identity", headers={"Authorization": bearer, **headers})


@pytest.mark.parametrize("path", ["/api/x", "/models/x", "/", "/_stcore/stream"])
def test_px_3_no_route_gets_more_identity_than_the_size_limit(crowded: House, path: str) -> None:
    with many_groups(crowded.provider):
        cookie = crowded.session_cookie(crowded.sign_in())
    if path == "/_stcore/stream":
        answer, client = open_websocket(crowded.door.port, handshake(path, crowded.host, cookie=cookie))
        client.close()
        assert answer.status == 101
        request = crowded.upstream.websockets[-1].request
    else:
        request = visit(crowded, path, cookie)
    lines = identity_lines(request)
    assert max(lines) <= 4096
    assert sum(lines) <= 8192
    assert request.header("x-auth-request-groups") == ""
    assert request.header("x-auth-request-omitted") == "groups"
    assert request.header("x-auth-request-roles") == "analyst,admin"
    for name in ("authorization", "x-vestibule-assertion"):
        if token := request.header(name):
            assert claims_in(token)["omitted"] == ["groups"]


def test_px_3_an_identity_within_the_limit_is_sent_completely_and_without_an_omission_mark(crowded: House) -> None:
    with many_groups(crowded.provider, GROUPS[:30]):
        cookie = crowded.session_cookie(crowded.sign_in())
    request = visit(crowded, "/api/x", cookie)
    assert (request.header("x-auth-request-groups") or "").split(",") == GROUPS[:30]
    assert request.header("x-auth-request-omitted") == ""
    claims = claims_in(request.header("authorization") or "")
    assert claims["groups"] == GROUPS[:30]
    assert not {"omitted", "identity"} & claims.keys()


def test_px_3_a_client_cannot_set_the_omission_header(crowded: House) -> None:
    cookie = crowded.session_cookie(crowded.sign_in())
    for spelling in ("X-Auth-Request-Omitted", "x_auth_request_omitted", "X.Auth.Request.Omitted"):
        crowded.get_raw("/api/x", "Sec-Fetch-Site: same-origin", f"{spelling}: roles", cookie=cookie)
        assert b"omitted: roles" not in crowded.upstream.last.head.lower()
        assert crowded.upstream.last.header("x-auth-request-omitted") == ""


def test_px_3_an_api_asks_for_the_rest_with_the_assertion_it_received(crowded: House) -> None:
    with many_groups(crowded.provider):
        browser = crowded.sign_in()
    bearer = visit(crowded, "/api/x", crowded.session_cookie(browser)).header("authorization") or ""
    answer = ask_identity(crowded, bearer)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert (answer.json()["sub"], answer.json()["groups"]) == ("alice", GROUPS)
    internal = httpx.get(f"http://127.0.0.1:{crowded.door.port}/auth/identity", headers={"Authorization": bearer})
    assert internal.json()["groups"] == GROUPS
    browser.fetch(crowded.url + "/auth/logout", method="POST", headers={"Sec-Fetch-Site": "same-origin"})
    assert ask_identity(crowded, bearer).status_code == 401


def test_px_3_an_assertion_without_an_omission_needs_no_session(crowded: House) -> None:
    bearer = visit(crowded, "/api/x", crowded.session_cookie(crowded.sign_in())).header("authorization") or ""
    assert ask_identity(crowded, bearer).json()["groups"] == ["science"]


def test_px_3_only_an_assertion_for_an_api_gives_access_to_the_identity(crowded: House) -> None:
    with many_groups(crowded.provider):
        cookie = crowded.session_cookie(crowded.sign_in())
    page = visit(crowded, "/", cookie)
    bearer = visit(crowded, "/api/x", cookie).header("authorization") or ""
    others = {
        "a handshake assertion": f"Bearer {page.header('x-vestibule-assertion')}",
        "a handle": f"Bearer {page.header('x-vestibule-session')}",
        "the cookie": f"Bearer {cookie}",
        "a changed assertion": bearer[:-4] + ("AAAA" if bearer[-4:] != "AAAA" else "BBBB"),
        "another scheme": bearer.replace("Bearer", "Basic"),
        "nothing": "",
    }
    refused = {case: ask_identity(crowded, other).status_code for case, other in others.items()}
    assert refused == dict.fromkeys(others, 401)
    assert crowded.get_raw("/auth/identity", "Sec-Fetch-Site: same-origin", cookie=cookie).status == 401


def test_px_3_a_page_asks_for_the_rest_with_its_handle(crowded: House) -> None:
    with many_groups(crowded.provider):
        handle, browser = fetch_handle(crowded)
    answer = call(crowded, "identity", method="GET", headers=kit_headers(handle=handle))
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert (answer.json()["sub"], answer.json()["groups"]) == ("alice", GROUPS)
    assert call(crowded, "identity", method="GET", headers=kit_headers()).status_code == 401
    assert call(crowded, "identity", method="GET", headers=kit_headers("app-b", handle=handle)).status_code == 401
    with_cookie = {**kit_headers(handle=handle), "Cookie": f"vestibule={crowded.session_cookie(browser)}"}
    assert call(crowded, "identity", method="GET", headers=with_cookie).status_code == 400


def test_px_3_a_token_for_page_code_has_the_size_limit(crowded: House) -> None:
    with many_groups(crowded.provider):
        handle, _ = fetch_handle(crowded)
    token = ask_token(crowded, handle).json()["access_token"]
    assert len(token) <= 4096
    assert claims_in(token)["omitted"] == ["groups"]
    assert [event["reason"] for event in crowded.audit if event["event"] == "identity_omitted"] == ["groups"]
    assert ask_identity(crowded, f"Bearer {token}").json()["groups"] == GROUPS


def test_px_3_groups_forwarded_limits_headers_assertions_and_answers(crowded: House) -> None:
    few = [group for group in GROUPS if group[-3:-1] == "01"]
    with many_groups(crowded.provider):
        cookie = crowded.session_cookie(crowded.sign_in())
    request = visit(crowded, "/few/x", cookie)
    bearer = request.header("authorization") or ""
    assert (request.header("x-auth-request-groups") or "").split(",") == few
    assert request.header("x-auth-request-omitted") == ""
    assert claims_in(bearer)["groups"] == few
    assert ask_identity(crowded, bearer).json()["groups"] == few


def test_px_3_groups_that_a_rule_of_the_route_needs_are_always_sent(
    build_house: Callable[..., House], upstream: RecordingUpstream
) -> None:
    rule = {"groups_any": ["science"]}
    house = build_house(routes=[api_route(upstream, require=rule, groups_forwarded=["none-*"]), page_route(upstream)])
    request = visit(house, "/api/x", house.session_cookie(house.sign_in()))
    assert request.header("x-auth-request-groups") == ""


def test_px_3_the_endpoints_do_not_return_groups_that_groups_forwarded_excludes(
    build_house: Callable[..., House], upstream: RecordingUpstream
) -> None:
    """Roles are left out here, so API and page may ask for the rest. Each is told only its own groups."""
    api = api_route(upstream, token="assertion", audience="a", groups_forwarded=["app-*"])
    page = page_route(upstream, kit="app-a", groups_forwarded=["page-*"])
    clients = {"app-a": {**KIT_CLIENTS["app-a"], "routes": ["api"]}}
    house = build_house(routes=[api, page], kit_clients=clients)
    alice = house.provider.people["alice"]
    roles, alice.roles = alice.roles, [f"role-{number:040}" for number in range(120)]
    try:
        with many_groups(house.provider, ["app-one", "page-one", "hr"]):
            handle, browser = fetch_handle(house)
    finally:
        alice.roles = roles
    bearer = visit(house, "/api/x", house.session_cookie(browser)).header("authorization") or ""
    assert claims_in(bearer)["omitted"] == ["roles"]
    answers = [ask_identity(house, bearer), call(house, "identity", method="GET", headers=kit_headers(handle=handle))]
    assert [answer.json()["groups"] for answer in answers] == [["app-one"], ["page-one"]]
    assert [len(answer.json()["roles"]) for answer in answers] == [120, 120]


def test_px_3_five_thousand_groups_from_userinfo_are_all_known_and_limited_in_headers(crowded: House) -> None:
    many = [f"10000000-0000-4000-8000-{number:012d}" for number in range(5_000)]
    crowded.provider.bend.userinfo.json(lambda claims: {**claims, "groups": many})
    handle, browser = fetch_handle(crowded)
    request = visit(crowded, "/models/x", crowded.session_cookie(browser))
    assert sum(identity_lines(request)) <= 8192
    assert request.header("x-auth-request-omitted") == "groups"
    whole = ask_identity(crowded, request.header("authorization") or "").json()["groups"]
    assert sorted(whole) == sorted([*many, "science"])
    told = call(crowded, "identity", method="GET", headers=kit_headers(handle=handle)).json()["groups"]
    assert told == whole


def test_px_3_an_id_token_over_every_limit_is_refused_with_its_reason(crowded: House) -> None:
    with many_groups(crowded.provider, [f"10000000-0000-4000-8000-{number:012d}" for number in range(5_000)]):
        browser = crowded.browser()
        pages = browser.walk(browser.get(crowded.url + "/auth/login"))
    assert pages[-1].status_code == 400
    assert [event["reason"] for event in crowded.audit if event["event"] == "login_failed"] == ["token_response_token"]


def test_px_3_an_omission_is_one_event_for_each_session(crowded: House) -> None:
    with many_groups(crowded.provider):
        cookie = crowded.session_cookie(crowded.sign_in())
    for path in ("/api/x", "/", "/models/x", "/api/x"):
        visit(crowded, path, cookie)
    events = [event for event in crowded.audit if event["event"] == "identity_omitted"]
    assert [(event["reason"], event["route"], event["log_level"]) for event in events] == [
        ("groups", "dashboards", "info")
    ]
    assert "200 groups" in events[0]["detail"]
    assert not any(group in json.dumps(events[0], default=str) for group in GROUPS)
    visit(crowded, "/api/x", crowded.session_cookie(crowded.sign_in("bob")))
    assert len([event for event in crowded.audit if event["event"] == "identity_omitted"]) == 1
