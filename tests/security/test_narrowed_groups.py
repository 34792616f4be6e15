"""PX-3: no token of the kit, and no restart, tells anybody a group that no route lets out to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.fakes import RecordingUpstream
from tests.front_door import api_route, page_route
from tests.security.house import House
from tests.security.kit_calls import KIT_CLIENTS, ask_token, fetch_handle
from tests.security.many_groups import claims_in, many_groups
from tests.security.test_identity_bounds import ask_identity

LONG_ROLES = [f"role-{number:040}" for number in range(120)]
GROUPS = ["app-one", "page-one", "both-one", "hr"]


@contextmanager
def long_roles(house: House) -> Iterator[None]:
    """Let alice have more roles than an assertion can hold, so that an API with one may ask for the rest."""
    alice = house.provider.people["alice"]
    before, alice.roles = alice.roles, LONG_ROLES
    try:
        with many_groups(house.provider, GROUPS):
            yield
    finally:
        alice.roles = before


@pytest.mark.parametrize(
    ("of_page", "of_api", "heard"),
    [
        (["page-*", "both-*"], None, ["page-one", "both-one"]),
        (["page-*", "both-*"], ["app-*", "both-*"], ["both-one"]),
        (["*"], ["app-*", "both-*"], ["app-one", "both-one"]),
        (["*"], None, GROUPS),
    ],
    ids=["an audience without a route", "a route of another client", "a page that hears all", "nothing is narrowed"],
)
def test_px_3_a_token_beside_the_clients_routes_holds_what_page_and_audience_may_hear(
    build_house: Callable[..., House],
    upstream: RecordingUpstream,
    of_page: list[str],
    of_api: list[str] | None,
    heard: list[str],
) -> None:
    routes = [page_route(upstream, kit="app-a", groups_forwarded=of_page)]
    if of_api is not None:
        of_route: dict[str, Any] = {"token": "assertion", "audience": "models-api", "groups_forwarded": of_api}
        routes.append(api_route(upstream, **of_route))
    house = build_house(routes=routes, kit_clients={"app-a": {**KIT_CLIENTS["app-a"], "routes": []}})
    with long_roles(house):
        handle, _ = fetch_handle(house)
    token = ask_token(house, handle).json()["access_token"]
    assert claims_in(token)["groups"] == heard
    told = ask_identity(house, f"Bearer {token}").json()
    assert (told["groups"], told["roles"]) == (heard, LONG_ROLES)


def test_px_3_an_assertion_of_a_route_that_is_gone_opens_nothing(
    build_house: Callable[..., House], upstream: RecordingUpstream
) -> None:
    """A restart may rename a route while an assertion is valid. Then nobody can say which groups it may get."""
    house = build_house(routes=[page_route(upstream)])
    with long_roles(house):
        session = house.session_of(house.sign_in())
    for place in ("gone", "kit:gone"):
        made = house.door.app.bff.assertions.for_upstream(session, audience="models-api", route=place)
        answer = ask_identity(house, f"Bearer {made.token}")
        assert (answer.status_code, "groups" in answer.text) == (401, False)
