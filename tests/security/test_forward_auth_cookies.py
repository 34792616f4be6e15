"""FA-4: proxies that cannot change one cookie get the whole Cookie header for the application, without ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.security.asking import ASKING, NAVIGATION, Asker
from tests.security.house import House

ROUTES: list[dict[str, Any]] = [
    {"id": "pages", "path": "/", "kind": "page"},
    {"id": "open", "path": "/open", "kind": "page", "auth": "public"},
    {"id": "few", "path": "/few", "kind": "page", "forward_cookies": ["theme"]},
]
OTHERS = "theme=dark; lang=de"


@pytest.fixture
def house(build_house: Callable[..., House]) -> House:
    return build_house(routes=ROUTES, **ASKING)


def told(house: House, mode: str, target: str, *cookies: str) -> list[str]:
    lines = [*NAVIGATION, *(("Cookie", line) for line in cookies)]
    answer = Asker(house.door.verify_port, house.host, mode).ask(target, headers=lines)
    assert answer.status == 200
    return answer.all("cookie")


@pytest.mark.parametrize("mode", ["traefik", "envoy"])
@pytest.mark.parametrize("target", ["/", "/open"])
def test_fa_4_the_answer_has_the_cookies_without_the_session(house: House, mode: str, target: str) -> None:
    session = f"vestibule={house.session_cookie(house.sign_in())}"
    assert told(house, mode, target, f"theme=dark; {session}; vestibule-tx-1=x; lang=de") == [OTHERS]
    assert told(house, mode, target, f"{session}; theme=dark", "lang=de") == [OTHERS]


@pytest.mark.parametrize("mode", ["traefik", "envoy"])
def test_fa_4_only_cookies_that_the_route_forwards_are_told(house: House, mode: str) -> None:
    session = f"vestibule={house.session_cookie(house.sign_in())}"
    assert told(house, mode, "/few", f"{session}; {OTHERS}") == ["theme=dark"]


def test_fa_4_envoy_is_told_an_empty_line_because_it_keeps_what_the_answer_does_not_name(house: House) -> None:
    session = f"vestibule={house.session_cookie(house.sign_in())}"
    assert told(house, "envoy", "/", session) == [""]


def test_fa_4_traefik_is_told_no_line_because_it_removes_what_the_answer_does_not_name(house: House) -> None:
    session = f"vestibule={house.session_cookie(house.sign_in())}"
    assert told(house, "traefik", "/", session) == []


@pytest.mark.parametrize("mode", ["nginx", "caddy", "haproxy"])
def test_fa_4_proxies_that_remove_the_cookie_themselves_are_told_nothing(house: House, mode: str) -> None:
    session = f"vestibule={house.session_cookie(house.sign_in())}"
    assert told(house, mode, "/", f"{session}; {OTHERS}") == []
