"""DS-7: all requests of a page go to the same upstream, and move together to another one while it is down."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from gateway.upstream.choice import NetworkUpstream
from gateway.upstream.dial import DialFailed
from tests.fakes import RecordingUpstream
from tests.security.house import House
from tests.security.page_places import STREAM, Pair, Tab, routes
from tests.security.raw import handshake, open_websocket, read_close

Build = Callable[..., House]


@pytest.fixture
def pair(upstream: RecordingUpstream, stack: ExitStack) -> Pair:
    return upstream, stack.enter_context(RecordingUpstream())


def test_ds_7_all_requests_of_a_page_meet_at_one_upstream(build_house: Build, pair: Pair) -> None:
    house = build_house(routes=routes(*(each.url for each in pair)))
    tabs = [Tab(house, pair, house.session_cookie(house.sign_in())) for _ in range(16)]
    places = [tab.everything() for tab in tabs]
    assert all(len(found) == 1 for found in places)
    assert {min(found) for found in places} == {0, 1}  # sessions are spread


def test_ds_7_a_page_moves_while_its_upstream_is_down_and_stays_together(build_house: Build, pair: Pair) -> None:
    house = build_house(routes=routes(*(each.url for each in pair)))
    tabs = [Tab(house, pair, house.session_cookie(house.sign_in())) for _ in range(16)]
    homes = [min(tab.everything()) for tab in tabs]
    pair[0].stop()
    try:
        for tab in tabs:
            assert tab.everything() == {1}
    finally:
        pair[0].start()
    time.sleep(1.1)  # the longest first rest
    fresh = [Tab(house, pair, house.session_cookie(house.sign_in())) for _ in range(16)]
    assert {min(tab.everything()) for tab in fresh} == {0, 1}  # new sessions use both again
    for tab in tabs:
        assert tab.everything() == {1}  # a page stays where its Streamlit session is
    pair[1].stop()
    try:
        for tab in tabs:
            assert tab.everything() == {0}
    finally:
        pair[1].start()
    assert set(homes) == {0, 1}


def test_ds_7_a_page_keeps_its_upstream_when_another_worker_believes_it_to_be_down(
    build_house: Build, pair: Pair
) -> None:
    one = build_house(routes=routes(*(each.url for each in pair)))
    tab = Tab(one, pair, one.session_cookie(one.sign_in()))
    home = tab.socket()
    mark = next(value for name, value in tab.cookies.items() if name.startswith("vestibule-at-"))
    chosen = one.door.app.upstreams["dashboards"]
    at_home = chosen.upstreams[home]
    assert isinstance(at_home, NetworkUpstream)
    assert at_home.health is not None
    at_home.health.note_failure(DialFailed("upstream_connect", detail="as another process saw it"))
    assert tab.everything() == {home}
    assert mark in tab.cookies.values()


def test_ds_7_a_page_that_was_loaded_elsewhere_stays_there_before_its_socket_opens(
    build_house: Build, pair: Pair
) -> None:
    """A navigation decides. What is fetched without one does not, or one failed dial would move an open page."""
    house = build_house(routes=routes(*(each.url for each in pair)))
    cookie = house.session_cookie(house.sign_in())
    loaded, other = Tab(house, pair, cookie), Tab(house, pair, cookie)
    home = loaded.navigate()
    assert list(loaded.cookies) == ["vestibule"]
    pair[home].stop()
    try:
        assert loaded.navigate() == other.get("/x") == 1 - home
    finally:
        pair[home].start()
    time.sleep(1.1)  # the longest first rest
    assert other.get("/x") == home
    assert loaded.get("/x") == loaded.socket() == 1 - home


def test_ds_7_an_answer_on_an_open_connection_brings_an_upstream_back(build_house: Build, pair: Pair) -> None:
    """No dial would ever bring it back as long as its open connections are enough."""
    house = build_house(routes=routes(*(each.url for each in pair)))
    tab = Tab(house, pair, house.session_cookie(house.sign_in()))
    home = tab.socket()
    assert tab.get("/x") == home
    at_home = house.door.app.upstreams["dashboards"].upstreams[home]
    assert isinstance(at_home, NetworkUpstream)
    assert at_home.health is not None
    at_home.health.note_failure(DialFailed("upstream_connect", detail="too many connections at once"))
    dials = pair[home].connections
    assert tab.get("/x") == home
    assert pair[home].connections == dials
    assert not at_home.health.is_down


XSRF = "_streamlit_xsrf=2|00000000|{:032x}|1700000000"


def test_ds_7_visitors_of_a_public_page_stay_together_by_their_browser(build_house: Build, pair: Pair) -> None:
    house = build_house(routes=routes(*(each.url for each in pair), auth="public"))
    places: Counter[int] = Counter()
    for number in range(1, 25):
        tab = Tab(house, pair, "")
        name, _, value = XSRF.format(number).partition("=")
        tab.cookies[name] = value
        (place,) = tab.everything()
        places[place] += 1
    assert set(places) == {0, 1}


def test_ds_7_visitors_without_any_cookie_stay_together_by_their_address(build_house: Build, pair: Pair) -> None:
    house = build_house(routes=routes(*(each.url for each in pair), auth="public"))
    assert len({place for _ in range(5) for place in Tab(house, pair, "").everything()}) == 1


@pytest.mark.parametrize(
    "mark", ["0" * 16, "", "x" * 5000, "a; vestibule-at-x=b", "ä"], ids=["unknown", "empty", "long", "two", "not ASCII"]
)
def test_ds_7_a_mark_that_means_nothing_changes_nothing(build_house: Build, pair: Pair, mark: str) -> None:
    house = build_house(routes=routes(*(each.url for each in pair)))
    tab = Tab(house, pair, house.session_cookie(house.sign_in()))
    home = tab.get("/x")
    tab.socket()
    name = next(name for name in tab.cookies if name.startswith("vestibule-at-"))
    tab.cookies[name] = mark
    assert tab.get("/x") == home


def test_ds_7_the_mark_of_another_person_changes_nothing(build_house: Build, pair: Pair) -> None:
    house = build_house(routes=routes(*(each.url for each in pair)))
    tabs = [Tab(house, pair, house.session_cookie(house.sign_in())) for _ in range(16)]
    homes = [tab.socket() for tab in tabs]
    assert set(homes) == {0, 1}
    there = [tabs[homes.index(place)] for place in (0, 1)]
    for one, other in (there, there[::-1]):
        at = tabs.index(one)
        (name,) = [name for name in one.cookies if name.startswith("vestibule-at-")]
        one.cookies[name] = other.cookies[name]
        assert one.get("/x") == homes[at]


def test_ds_7_a_mark_never_reaches_an_upstream(build_house: Build, pair: Pair) -> None:
    house = build_house(routes=routes(*(each.url for each in pair)))
    tab = Tab(house, pair, house.session_cookie(house.sign_in()))
    home = tab.socket()
    tab.get("/x")
    assert "vestibule" not in " ".join(pair[home].last.values("cookie"))


def test_ds_7_a_page_with_one_upstream_gets_no_mark(build_house: Build, upstream: RecordingUpstream) -> None:
    house = build_house(routes=routes(upstream.url))
    cookie = house.session_cookie(house.sign_in())
    answer, client = open_websocket(house.door.port, handshake(STREAM, house.host, cookie=cookie))
    client.close()
    assert answer.all("set-cookie") == []


def test_ds_7_a_socket_whose_upstream_dies_is_closed_with_1013(build_house: Build, pair: Pair) -> None:
    house = build_house(routes=routes(*(each.url for each in pair)))
    cookie = house.session_cookie(house.sign_in())
    answer, client = open_websocket(house.door.port, handshake(STREAM, house.host, cookie=cookie))
    assert answer.status == 101
    home = next(each for each in pair if each.websockets_open)
    home.stop()
    try:
        assert read_close(client)[0] == 1013
    finally:
        home.start()
    client.close()


def test_ds_7_a_page_that_moved_is_told_once_so_that_it_starts_again(build_house: Build, pair: Pair) -> None:
    """Another server does not know the page's Streamlit session, and Streamlit's script would not notice."""
    house = build_house(routes=routes(*(each.url for each in pair)))
    tab = Tab(house, pair, house.session_cookie(house.sign_in()))
    home = tab.socket()
    assert tab.resume() == (0, "")
    pair[home].stop()
    try:
        assert tab.resume() == (1012, "moved")
        assert tab.resume() == (0, "")
        assert tab.everything() == {1 - home}
    finally:
        pair[home].start()


def test_ds_7_a_page_that_nobody_has_seen_here_before_is_not_told_that_it_moved(build_house: Build, pair: Pair) -> None:
    """It may resume a session from before the route had several upstreams, and its browser may keep no cookies."""
    house = build_house(routes=routes(*(each.url for each in pair)))
    assert Tab(house, pair, house.session_cookie(house.sign_in())).resume() == (0, "")
