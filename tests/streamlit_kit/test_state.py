from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from streamlit_kit import ApiError, ApiUnavailable, LoginRequired, PageState, page_state
from streamlit_kit.runtime import Kit, use_kit
from streamlit_kit.testing import signed_in_as, signed_out
from tests.streamlit_kit.front_door import HANDLE, LOGIN_URL, KitFrontDoor

PATH = "/auth/kit/state/form"


@pytest.fixture
def state(door: KitFrontDoor, kit: Kit) -> Iterator[PageState]:
    made = PageState(kit, door.session(kit), url=f"{door.url}{PATH}", login_url=LOGIN_URL)
    with use_kit(kit):
        yield made


def test_a_value_is_saved_loaded_and_deleted(door: KitFrontDoor, state: PageState) -> None:
    door.server.respond(PATH, status=204, times=1)
    state.save({"depth": 12})
    request = door.server.last
    assert (request.method, request.json()) == ("PUT", {"depth": 12})
    assert request.header("X-Vestibule-Session") == HANDLE
    door.server.respond(PATH, json={"depth": 12}, times=1)
    assert state.load() == {"depth": 12}
    door.server.respond(PATH, status=204, times=1)
    state.delete()
    assert door.server.last.method == "DELETE"


@pytest.mark.parametrize("status", [204, 404])
def test_a_missing_value_gives_the_default(door: KitFrontDoor, state: PageState, status: int) -> None:
    door.server.respond(PATH, status=status)
    assert state.load(default="none") == "none"
    state.delete()


def test_refusals_of_page_state_raise_errors(door: KitFrontDoor, state: PageState) -> None:
    door.problem(PATH, 413, "state_too_large")
    with pytest.raises(ApiError) as refused:
        state.save("x" * 100)
    assert (refused.value.status, refused.value.code) == (413, "state_too_large")
    door.problem(PATH, 401, "session_ended")
    with pytest.raises(LoginRequired):
        state.load()
    door.server.respond(PATH, body="no json")
    with pytest.raises(ApiUnavailable):
        state.load()


@pytest.mark.parametrize("value", [float("nan"), object()], ids=["nan", "object"])
def test_a_value_that_json_cannot_hold_is_not_sent(door: KitFrontDoor, state: PageState, value: Any) -> None:
    door.server.clear()
    with pytest.raises((ValueError, TypeError)):
        state.save(value)
    assert not door.server.requests


@pytest.mark.parametrize("name", ["", "a/b", "..", "a b", "x" * 65, "ä"])
def test_an_invalid_name_of_page_state_is_refused(name: str) -> None:
    with signed_in_as("alice"), pytest.raises(ValueError, match="named"):
        page_state(name)


def test_page_state_needs_a_signed_in_person() -> None:
    with signed_out(), pytest.raises(LoginRequired):
        page_state("form")
