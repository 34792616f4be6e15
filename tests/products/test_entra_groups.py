"""Entra ID leaves out the groups of a token if there are more than 200.

They are then unknown, and Microsoft Graph has them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import structlog

from tests.fakes import FakeClock, RecordingUpstream
from tests.fakes.products import PRODUCTS
from tests.fakes.provider_state import OMIT
from tests.front_door import api_route, page_route
from tests.security.house import House, open_house

ENTRA = next(product for product in PRODUCTS if product.profile == "entra")
MARKS: dict[str, dict[str, Any]] = {
    "claim names": {"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": "https://x.example"}}},
    "hasgroups": {"hasgroups": True},
    "hasgroups as text": {"hasgroups": "true"},
}
GROUPS = [f"{number:08d}-0000-0000-0000-000000000000" for number in range(250)]
MEMBER_OBJECTS = "/v1.0/me/getMemberObjects"


@contextmanager
def house_of(mark: dict[str, Any], **table: Any) -> Iterator[tuple[House, RecordingUpstream, FakeClock]]:
    """A house whose provider names no groups; `graph` is Microsoft Graph."""
    clock = FakeClock()
    with RecordingUpstream() as upstream, RecordingUpstream() as graph, ENTRA.running(clock=clock) as provider:
        provider.bend.id_token.claims(lambda before: {**before, "groups": OMIT, **mark})
        provider.bend.discovery.json(lambda before: {**before, "userinfo_endpoint": f"{graph.url}/oidc/userinfo"})
        hosts = [graph.url.removeprefix("http://")]
        providers = {"corp": ENTRA.settings(provider) | {"allowed_hosts": hosts} | table}
        routes = [
            api_route(upstream, token="access_token"),
            page_route(upstream, id="lab", path="/lab", require={"groups_any": [GROUPS[7]]}),
            page_route(upstream, id="by_claim", path="/by-claim", require={"claims": {"groups": [GROUPS[7]]}}),
            page_route(upstream, id="not_lab", path="/other", require={"groups_all": ["a-group-of-others"]}),
            page_route(upstream),
        ]
        with open_house(provider, upstream, routes=routes, clock=clock, providers=providers) as house:
            yield house, graph, clock


@pytest.mark.parametrize("mark", MARKS.values(), ids=MARKS)
def test_unknown_groups_deny_access_with_a_reason_of_their_own(mark: dict[str, Any]) -> None:
    with structlog.testing.capture_logs() as events, house_of(mark) as (house, graph, _):
        browser = house.sign_in()
        answer = browser.get(f"{house.url}/lab")
        assert browser.get(f"{house.url}/").status_code == 200
        assert graph.requests == []
    assert (answer.status_code, "so many groups" in answer.text) == (403, True)
    reasons = [(event["event"], event.get("reason")) for event in events if event.get("audit")]
    assert ("groups_unknown", "groups_too_many") in reasons
    assert ("access_denied", "groups_unknown") in reasons


def test_a_person_without_groups_is_not_reported_as_having_too_many() -> None:
    with house_of({}) as (house, _, _clock):
        answer = house.sign_in().get(f"{house.url}/lab")
    assert (answer.status_code, "so many groups" in answer.text) == (403, False)


@pytest.mark.parametrize("mark", MARKS.values(), ids=MARKS)
def test_groups_are_fetched_from_graph_at_the_sign_in_and_at_each_refresh(mark: dict[str, Any]) -> None:
    with house_of(mark, groups_from="graph") as (house, graph, clock):
        graph.respond(MEMBER_OBJECTS, body=json.dumps({"value": GROUPS}))
        browser = house.sign_in()
        assert browser.get(f"{house.url}/lab").status_code == 200
        assert browser.get(f"{house.url}/other").status_code == 403
        asked = graph.last
        assert (asked.method, asked.json()) == ("POST", {"securityEnabledOnly": False})
        assert str(asked.header("authorization")).startswith("Bearer ")
        assert browser.fetch(f"{house.url}/auth/session").json()["groups"] == GROUPS

        graph.respond(MEMBER_OBJECTS, body=json.dumps({"value": GROUPS[:5]}))
        clock.advance(301)
        assert browser.fetch(f"{house.url}/api/x").status_code == 200
        assert browser.get(f"{house.url}/lab").status_code == 403


def test_a_refresh_keeps_the_groups_while_graph_does_not_answer() -> None:
    with house_of(MARKS["claim names"], groups_from="graph") as (house, graph, clock):
        graph.respond(MEMBER_OBJECTS, body=json.dumps({"value": GROUPS}))
        browser = house.sign_in()
        graph.respond(MEMBER_OBJECTS, status=503)
        clock.advance(301)
        assert browser.fetch(f"{house.url}/api/x").status_code == 200
        assert browser.get(f"{house.url}/lab").status_code == 200


@pytest.mark.parametrize("answer", [{"status": 403}, {"status": 401}, {"body": "{"}], ids=str)
def test_rs_5_a_renewal_that_graph_refuses_leaves_the_groups_unknown(answer: dict[str, Any]) -> None:
    """Graph has answered, so nobody may keep old groups when the permission to read them is gone."""
    marked = house_of(MARKS["claim names"], groups_from="graph")
    with structlog.testing.capture_logs() as events, marked as (house, graph, clock):
        graph.respond(MEMBER_OBJECTS, body=json.dumps({"value": GROUPS}))
        browser = house.sign_in()
        graph.respond(MEMBER_OBJECTS, **answer)
        clock.advance(301)
        assert browser.fetch(f"{house.url}/api/x").status_code == 200
        assert browser.get(f"{house.url}/lab").status_code == 403
    assert [event["event"] for event in events].count("groups_unknown") == 1


@pytest.mark.parametrize("mark", MARKS.values(), ids=MARKS)
def test_rs_5_groups_that_were_named_once_are_not_believed_once_there_are_too_many(mark: dict[str, Any]) -> None:
    """Rules on claims and headers made of claims see the claims of the record: the old list must be gone there too."""
    with house_of({"groups": [GROUPS[7]]}) as (house, _, clock):
        browser = house.sign_in()
        assert browser.get(f"{house.url}/lab").status_code == 200
        assert browser.get(f"{house.url}/by-claim").status_code == 200
        house.provider.bend.id_token.claims(lambda before: {**before, "groups": OMIT, **mark})
        clock.advance(301)
        assert browser.fetch(f"{house.url}/api/x").status_code == 200
        answer = browser.get(f"{house.url}/lab")
        assert (answer.status_code, "so many groups" in answer.text) == (403, True)
        assert browser.get(f"{house.url}/by-claim").status_code == 403


ANSWERS: dict[str, tuple[dict[str, Any], str]] = {
    "refused": ({"status": 403}, "groups_refused"),
    "broken": ({"body": "{"}, "groups_malformed"),
    "no list": ({"body": '{"value": "x"}'}, "groups_malformed"),
    "not ids": ({"body": '{"value": [1]}'}, "groups_malformed"),
    "down": ({"status": 503}, "groups_unreachable"),
    "moved": ({"status": 302}, "groups_unreachable"),
}


@pytest.mark.parametrize(("answer", "reason"), ANSWERS.values(), ids=ANSWERS)
def test_groups_are_unknown_when_graph_gives_none(answer: dict[str, Any], reason: str) -> None:
    marked = house_of(MARKS["hasgroups"], groups_from="graph")
    with structlog.testing.capture_logs() as events, marked as (house, graph, _):
        graph.respond(MEMBER_OBJECTS, **answer)
        assert house.sign_in().get(f"{house.url}/lab").status_code == 403
    assert [event["reason"] for event in events if event["event"] == "groups_unknown"] == [reason]


def test_groups_are_unreachable_while_graph_is_silent_and_the_provider_still_counts_as_running() -> None:
    """The person is told to sign in again. Others are sent to the provider, which answers as before."""
    quick = {"groups_from": "graph", "http_timeout_seconds": 0.5}
    with structlog.testing.capture_logs() as events, house_of(MARKS["hasgroups"], **quick) as (house, graph, clock):
        graph.respond(MEMBER_OBJECTS, delay=3)
        browser = house.sign_in()
        answer = browser.get(f"{house.url}/lab")
        assert (answer.status_code, "so many groups" in answer.text) == (403, False)
        assert "your groups" in answer.text
        assert browser.fetch(f"{house.url}/lab").json()["code"] == "groups_unreachable"
        assert not house.door.app.bff.sign_in.providers["corp"].is_silent
        assert house.browser().get(f"{house.url}/auth/login").status_code == 302

        graph.respond(MEMBER_OBJECTS, status=403)  # it answers again, but refuses
        clock.advance(301)
        assert browser.fetch(f"{house.url}/api/x").status_code == 200
        assert "so many groups" in browser.get(f"{house.url}/lab").text
    unknown = [(event["reason"], event["detail"]) for event in events if event["event"] == "groups_unknown"]
    assert [reason for reason, _ in unknown] == ["groups_unreachable", "groups_refused"]
    assert unknown[0][1].startswith("provider_timeout")
    assert next(event["reason"] for event in events if event["event"] == "access_denied") == "groups_unreachable"


def test_an_answer_of_graph_does_not_make_a_silent_provider_count_as_running() -> None:
    with house_of(MARKS["hasgroups"], groups_from="graph") as (house, graph, clock):
        graph.respond(MEMBER_OBJECTS, body=json.dumps({"value": GROUPS}))
        house.sign_in()
        provider = house.door.app.bff.sign_in.providers["corp"]
        heard = provider._heard_at
        clock.advance(5)
        house.door.do(provider.post_json(f"{graph.url}{MEMBER_OBJECTS}", {}, access_token="x"))
        assert provider._heard_at == heard


def test_a_renewal_that_keeps_old_groups_leaves_a_line() -> None:
    marked = house_of(MARKS["claim names"], groups_from="graph")
    with structlog.testing.capture_logs() as events, marked as (house, graph, clock):
        graph.respond(MEMBER_OBJECTS, body=json.dumps({"value": GROUPS}))
        browser = house.sign_in()
        graph.respond(MEMBER_OBJECTS, status=503)
        clock.advance(301)
        assert browser.fetch(f"{house.url}/api/x").status_code == 200
    (kept,) = [event for event in events if event["event"] == "groups_unknown"]
    assert (kept["reason"], "stay" in kept["detail"]) == ("groups_unreachable", True)
