"""A page of a person with more groups than a handshake holds: the kit asks the front door for the rest, once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from bff.contract import PATH_KIT_IDENTITY
from streamlit_kit import ApiUnavailable, KitMisconfigured
from streamlit_kit.assertion import PageSession
from streamlit_kit.runtime import Kit
from streamlit_kit.whole_identity import WholeAnswer, WholeAnswers, fetch_whole, with_answer
from tests.security.many_groups import GROUPS
from tests.streamlit_kit.front_door import CLIENT, HANDLE, KIT_SECRET, KitFrontDoor
from tests.streamlit_kit.kit_page import handshake, kit_page_running
from tests.streamlit_kit.visitor import Visitor, visiting

PATH = f"/auth{PATH_KIT_IDENTITY}"
WHOLE = {"sub": "alice", "iss": "https://idp.example.com", "name": "Somebody Renamed", "groups": GROUPS, "claims": {}}
OMITTED: dict[str, Any] = {"groups": [], "omitted": ["groups"]}
PAGE = """
import json
import streamlit as st
import streamlit_kit as kit

try:
    person = kit.current_user()
    seen = {"sub": person.sub if person else None, "groups": person.groups if person else []}
except kit.KitError as error:
    seen = {"error": error.code}
st.text(json.dumps(seen))
"""


def ask(kit: Kit, session: PageSession) -> Any:
    return fetch_whole(session, auth_url=kit.settings.auth_url, credential=kit.settings.credential, http=kit.http)


def test_omitted_claims_are_added_and_the_other_claims_of_the_handshake_are_kept(door: KitFrontDoor, kit: Kit) -> None:
    door.server.respond(PATH, json=WHOLE)
    session = door.session(kit, **OMITTED)
    whole = with_answer(session, ask(kit, session))
    assert (whole.identity.groups, whole.omitted) == (tuple(GROUPS), ())
    assert (whole.identity.name, whole.identity.roles, whole.routes) == ("Alice Example", ("analyst",), session.routes)
    request = door.server.last
    assert request.header("X-Vestibule-Kit") == f"{CLIENT}:{KIT_SECRET}"
    assert request.header("X-Vestibule-Session") == HANDLE


def test_routes_that_did_not_fit_are_requested(door: KitFrontDoor, kit: Kit) -> None:
    door.server.respond(PATH, json={**WHOLE, "routes": {"api": "/long/api/"}})
    session = door.session(kit, omitted=["routes"], routes={})
    assert with_answer(session, ask(kit, session)).routes == {"api": "/long/api/"}


def test_an_ended_session_has_no_signed_in_person(door: KitFrontDoor, kit: Kit) -> None:
    door.problem(PATH, 401, "login_required")
    session = door.session(kit, **OMITTED)
    assert ask(kit, session) is None
    assert session.ended.is_set()


def test_a_wrong_kit_credential_is_a_configuration_error_of_this_process(door: KitFrontDoor, kit: Kit) -> None:
    door.problem(PATH, 401, "kit_credential")
    with pytest.raises(KitMisconfigured):
        ask(kit, door.session(kit, **OMITTED))


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 503},
        {"status": 404},
        {"body": "no JSON"},
        {"json": {**WHOLE, "sub": "bob"}},
        {"json": {**WHOLE, "groups": "all"}},
        {"json": {"sub": "alice", "iss": "https://idp.example.com", "roles": ["admin"]}},
    ],
    ids=["an outage", "an older front door", "no JSON", "another person", "groups of another type", "no groups"],
)
def test_no_person_is_shown_with_only_some_of_their_groups(
    door: KitFrontDoor, kit: Kit, answer: dict[str, Any]
) -> None:
    door.server.respond(PATH, **answer)
    with pytest.raises(ApiUnavailable):
        ask(kit, door.session(kit, **OMITTED))


def test_answers_are_kept_for_each_handshake_and_the_oldest_are_dropped_first() -> None:
    answers, asked = WholeAnswers(), list[str]()

    def find(name: str, note: str = "") -> str:
        def fetch() -> WholeAnswer:
            asked.append(note or name)
            return WholeAnswer(sub=name)

        found = answers.find(name, fetch)
        return found.sub if found else ""

    assert [find(name) for name in ("a", "b", "a")] == ["a", "b", "a"]
    assert asked == ["a", "b"]
    for number in range(1_000):
        find(str(number))
    find("a", "a again")
    assert asked[-1] == "a again"


Visit = Callable[..., Visitor]


@pytest.fixture(scope="module")
def page_port(running_door: KitFrontDoor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with kit_page_running(PAGE, tmp_path_factory.mktemp("whole"), running_door) as port:
        yield port


@pytest.fixture
def visit(door: KitFrontDoor, page_port: int) -> Iterator[Visit]:
    with ExitStack() as tabs:

        def open_page(**changes: Any) -> Visitor:
            return tabs.enter_context(visiting(page_port, handshake(door, page_port, **changes)))

        yield open_page


def test_a_page_sees_all_groups_and_asks_once_for_all_its_runs(door: KitFrontDoor, visit: Visit) -> None:
    door.server.respond(PATH, json=WHOLE)
    visitor = visit(**OMITTED)
    for _ in range(3):
        assert json.loads(visitor.run().texts[0]) == {"sub": "alice", "groups": GROUPS}
    assert len(door.server.requests_to(PATH)) == 1


def test_another_person_never_gets_the_identity_of_the_first(door: KitFrontDoor, visit: Visit) -> None:
    door.server.respond(PATH, json=WHOLE, times=1)
    door.server.respond(PATH, json={**WHOLE, "sub": "bob", "groups": ["bobs"]})
    assert json.loads(visit(**OMITTED).run().texts[0])["groups"] == GROUPS
    assert json.loads(visit(sub="bob", **OMITTED).run().texts[0]) == {"sub": "bob", "groups": ["bobs"]}


def test_a_page_shows_an_outage_while_the_front_door_is_unreachable(door: KitFrontDoor, visit: Visit) -> None:
    door.problem(PATH, 503, "store_unavailable")
    visitor = visit(**OMITTED)
    assert "error" in json.loads(visitor.run().texts[0])
    door.server.reset()
    door.reset()
    door.server.respond(PATH, json=WHOLE)
    assert json.loads(visitor.run().texts[0])["groups"] == GROUPS
