"""RS-5: an API learns all groups of a machine caller too, as long as its token is good and its owner not signed out."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from bff.bearer import JWTBearer
from bff.contract import EndReason
from bff.sessions.record import Session, TokenSet
from tests.bff.serving import serving
from tests.fakes import RecordingUpstream
from tests.front_door import api_route, page_route
from tests.ports import free_port
from tests.security.house import House
from tests.security.many_groups import GROUPS, claims_in
from tests.security.test_groups_omitted import AUDIENCE, api_behind

MACHINES = {"accept_bearer": {"providers": ["corp"], "audience": "machines"}}
NARROW = {"groups_forwarded": ["*7"]}


@pytest.fixture
def house(build_house: Callable[..., House], upstream: RecordingUpstream) -> Iterator[House]:
    port = free_port()
    bearer = JWTBearer(f"http://localhost:{port}", AUDIENCE, jwks_url=f"http://127.0.0.1:{port}/auth/jwks.json")
    with serving(api_behind(bearer), proxy_headers=False) as url:
        common = {"token": "assertion", "audience": AUDIENCE, **MACHINES}
        routes = [
            api_route(url, **common),
            api_route(upstream, id="seen", path="/seen/", **common),
            api_route(upstream, id="narrow", path="/narrow/", **common, **NARROW),
            page_route(upstream),
        ]
        yield build_house(port=port, routes=routes)


def bearer_of(house: House, **claims: Any) -> dict[str, str]:
    now = int(time.time())
    table = {"iss": house.provider.issuer, "aud": "machines", "sub": "robot", "iat": now - 1, "exp": now + 300}
    header = {"typ": "at+jwt", "kid": house.provider.signing_key.kid}
    token = house.provider.mint({**table, "groups": GROUPS, "scope": "openid", **claims}, header=header)
    return {"Authorization": f"Bearer {token}"}


def received_by_upstream(house: House, path: str, bearer: dict[str, str]) -> dict[str, str]:
    """Call as a machine; return the assertion that the upstream received."""
    assert httpx.get(house.url + path, headers=bearer).status_code == 200
    return {"Authorization": house.upstream.last.header("authorization") or ""}


def test_rs_5_rules_use_all_groups_of_a_machine_even_when_the_assertion_cannot_hold_them(house: House) -> None:
    bearer = bearer_of(house)
    seen = httpx.get(house.url + "/api/seen", headers=bearer).json()
    assert (seen["groups"], seen["omitted"], seen["whole"]) == ([], ["groups"], GROUPS)
    statuses = {path: httpx.get(f"{house.url}/api/{path}", headers=bearer).status_code for path in ("member", "scope")}
    assert statuses == {"member": 200, "scope": 200}
    assert httpx.get(house.url + "/api/stranger", headers=bearer).status_code == 403


def test_rs_5_the_answer_about_a_machine_is_narrowed_like_its_route(house: House) -> None:
    many = [*GROUPS, *(f"{number}-{'x' * 40}-7" for number in range(200))]
    shown = received_by_upstream(house, "/narrow/x", bearer_of(house, groups=many))
    assert claims_in(shown["Authorization"])["omitted"] == ["groups"]
    whole = httpx.get(house.url + "/auth/identity", headers=shown).json()
    assert (whole["sub"], whole["provider"]) == ("robot", "corp")
    assert whole["groups"] == [name for name in many if name.endswith("7")]


def test_rs_5_nothing_is_told_of_a_machine_after_its_owner_is_signed_out(house: House) -> None:
    shown = received_by_upstream(house, "/seen/x", bearer_of(house))
    assert httpx.get(house.url + "/auth/identity", headers=shown).status_code == 200
    house.door.do(house.door.app.bff.sessions.end_person(house.provider.issuer, "robot", EndReason.REVOKED))
    assert httpx.get(house.url + "/auth/identity", headers=shown).status_code == 401


def kept_of(house: House, bearer: dict[str, str]) -> Session | None:
    """What the store holds about a machine caller."""
    token = bearer["Authorization"].removeprefix("Bearer ")
    return house.door.do(house.door.app.bff.machines.load(hashlib.sha256(b"machine" + token.encode()).hexdigest()))


def test_rs_5_the_store_holds_no_machine_whose_groups_fit_and_never_a_token(house: House) -> None:
    modest, crowded = bearer_of(house, groups=["one"]), bearer_of(house)
    received_by_upstream(house, "/seen/x", modest)
    assert kept_of(house, modest) is None
    received_by_upstream(house, "/seen/x", crowded)
    kept = kept_of(house, crowded)
    assert kept is not None
    assert (kept.identity.sub, kept.tokens) == ("robot", TokenSet(scope="openid"))
