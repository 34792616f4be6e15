"""RS-5: if groups did not fit into the token, a rule about them uses the complete list, or denies and says why."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI, Security

from bff.bearer import JWTBearer, RequireGroups, RequireRoles, StandardClaims, TrustedProxyUser
from tests.bff.serving import serving
from tests.fakes import RecordingUpstream
from tests.front_door import api_route, page_route
from tests.ports import free_port
from tests.security.house import House
from tests.security.many_groups import GROUPS, claims_in, many_groups

AUDIENCE = "reports"
LAST = GROUPS[-1]


def api_behind(bearer: JWTBearer) -> FastAPI:
    app, proxied = FastAPI(), TrustedProxyUser(["127.0.0.0/8"])

    @app.get("/seen")
    async def seen(caller: Annotated[StandardClaims, Depends(bearer)]) -> dict[str, Any]:
        return {"groups": caller.groups, "omitted": caller.omitted, "whole": (await bearer.whole(caller)).groups}

    @app.get("/member")
    async def member(caller: Annotated[StandardClaims, Depends(RequireGroups(bearer, LAST))]) -> dict[str, Any]:
        return {"groups": caller.groups}

    rules: dict[str, Any] = {
        "/stranger": RequireGroups(bearer, "nobody"),
        "/role": RequireRoles(bearer, "analyst"),
        "/claim": RequireRoles(bearer, LAST, claim="groups"),
        "/below": RequireRoles(bearer, LAST, claim="groups.names"),
        "/proxied": RequireGroups(proxied, LAST),
    }
    for path, rule in rules.items():
        app.get(path, dependencies=[Depends(rule)])(lambda: "ok")

    @app.get("/scope")
    async def scope(caller: Annotated[StandardClaims, Security(bearer, scopes=["openid"])]) -> str:
        return caller.sub

    return app


@pytest.fixture
def reports(build_house: Callable[..., House], upstream: RecordingUpstream) -> Callable[..., Any]:
    @contextmanager
    def running(**settings: Any) -> Iterator[House]:
        port = free_port()
        door = f"http://localhost:{port}"
        given: dict[str, Any] = {"jwks_url": "{inside}/auth/jwks.json", **settings}
        given = {name: value.replace("{inside}", f"http://127.0.0.1:{port}") for name, value in given.items()}
        with serving(api_behind(JWTBearer(door, AUDIENCE, **given)), proxy_headers=False) as url:
            routes = [
                api_route(url, token="assertion", audience=AUDIENCE),
                api_route(upstream, id="seen", path="/seen/", token="assertion", audience=AUDIENCE),
                page_route(upstream),
            ]
            yield build_house(port=port, routes=routes)

    return running


def ask(house: House, path: str, cookie: str) -> tuple[int, str]:
    answer = house.get_raw(path, "Sec-Fetch-Site: same-origin", cookie=cookie)
    return answer.status, answer.body.decode()


def crowded_cookie(house: House) -> str:
    with many_groups(house.provider):
        return house.session_cookie(house.sign_in())


def test_rs_5_rules_use_all_groups_of_a_person_even_when_the_token_cannot_hold_them(
    reports: Callable[..., Any],
) -> None:
    with reports() as house:
        cookie = crowded_cookie(house)
        seen = httpx.Response(200, text=ask(house, "/api/seen", cookie)[1]).json()
        assert (seen["groups"], seen["omitted"], seen["whole"]) == ([], ["groups"], GROUPS)
        assert httpx.Response(200, text=ask(house, "/api/member", cookie)[1]).json()["groups"] == GROUPS
        statuses = {path: ask(house, f"/api/{path}", cookie)[0] for path in ("stranger", "role", "claim", "scope")}
        assert statuses == {"stranger": 403, "role": 200, "claim": 200, "scope": 200}


def test_rs_5_a_person_whose_groups_fit_causes_no_request_to_the_front_door(reports: Callable[..., Any]) -> None:
    with reports(identity_url="http://127.0.0.1:9/nobody-answers") as house:
        with many_groups(house.provider, [LAST]):
            cookie = house.session_cookie(house.sign_in())
        assert ask(house, "/api/member", cookie)[0] == 200


@pytest.mark.parametrize(
    "settings",
    [{"identity_url": "http://127.0.0.1:9/auth/identity"}, {"identity_url": "{inside}/auth/jwks.json"}],
    ids=["nobody answers", "another answer"],
)
def test_rs_5_a_rule_that_cannot_be_decided_denies_access_with_the_reason(
    reports: Callable[..., Any], settings: dict[str, str]
) -> None:
    with reports(**settings) as house:
        cookie = crowded_cookie(house)
        for path in ("/api/member", "/api/stranger", "/api/claim", "/api/below"):
            status, body = ask(house, path, cookie)
            assert (status, "groups_omitted" in body) == (403, True)
        assert ask(house, "/api/role", cookie)[0] == 200


@pytest.mark.parametrize(
    "answer",
    [
        {"body": '{"sub": "alice"}'},
        {"body": '{"sub": "alice", "roles": ["admin"]}'},
        {"body": '{"sub": "alice", "groups": null}'},
        {"body": '{"sub": "alice", "groups": 5}'},
        {"body": '{"sub": "bob", "groups": []}'},
        {"body": '{"groups": []}'},
        {"body": '["sub"]'},
        {"status": 302, "headers": {"Location": "/elsewhere"}},
        {"status": 403, "body": '{"sub": "alice", "groups": []}'},
        {"status": 202, "body": '{"sub": "alice", "groups": []}'},
    ],
    ids=[
        "without the groups",
        "another list",
        "null",
        "a number",
        "about another person",
        "about nobody",
        "no object",
        "a redirect",
        "a refusal",
        "a promise",
    ],
)
def test_rs_5_an_answer_that_does_not_tell_what_was_left_out_is_none(
    reports: Callable[..., Any], upstream: RecordingUpstream, answer: dict[str, Any]
) -> None:
    """A rule such as "not in this group" must not treat a missing list as an empty one."""
    upstream.respond("/told", **answer)
    with reports(identity_url=upstream.url + "/told") as house:
        status, body = ask(house, "/api/seen", crowded_cookie(house))
    assert (status, "groups_omitted" in body) == (403, True)
    assert b"/elsewhere" not in [request.target for request in upstream.requests]


def test_rs_5_an_api_that_reads_headers_denies_access_when_groups_were_left_out(reports: Callable[..., Any]) -> None:
    with reports() as house:
        status, body = ask(house, "/api/proxied", crowded_cookie(house))
        assert (status, "groups_omitted" in body) == (403, True)


def test_rs_5_an_api_never_sends_an_unverified_token_to_the_front_door(reports: Callable[..., Any]) -> None:
    """A token for another API counts for nothing here, so nothing is fetched for it."""
    with reports() as house:
        cookie = crowded_cookie(house)
        house.get_raw("/seen/x", "Sec-Fetch-Site: same-origin", cookie=cookie)
        claims = claims_in(house.upstream.last.header("authorization") or "")
        stranger = JWTBearer(house.url, AUDIENCE, jwks_url=f"http://127.0.0.1:{house.door.port}/auth/jwks.json")
        caller = StandardClaims(
            sub=claims["sub"],
            iss=house.url,
            aud=(AUDIENCE,),
            exp=claims["exp"],
            iat=1,
            claims=claims,
            omitted=("groups",),
        )
        with pytest.raises(Exception, match="groups_omitted"):
            house.door.do(stranger.whole(caller))
