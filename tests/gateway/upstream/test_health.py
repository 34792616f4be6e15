"""An upstream that could not be dialled rests longer each time. After a rest, one request tries it again."""

from __future__ import annotations

from structlog.testing import capture_logs

from bff.audit import Audit
from gateway.upstream.dial import DialFailed
from gateway.upstream.health import FIRST_SECONDS, LONGEST_SECONDS, Health
from tests.fakes import FakeClock

REFUSED = DialFailed("upstream_connect", detail="Connection refused")
PROBE = 5.0


def make(clock: FakeClock, chance: float = 1.0) -> Health:
    return Health(
        "http://10.0.0.1:80",
        route="api",
        audit=Audit(),
        probe_seconds=PROBE,
        monotonic=clock,
        chance=lambda: chance,
    )


def rest_of(health: Health, clock: FakeClock) -> float:
    """How long nobody may try, in steps of a quarter of a second."""
    waited = 0.0
    while not health.may_be_tried():
        clock.advance(0.25)
        waited += 0.25
    return waited


def test_an_upstream_that_answers_may_always_be_tried() -> None:
    health = make(FakeClock())
    health.note_success()
    assert [health.may_be_tried() for _ in range(3)] == [True] * 3
    assert not health.is_down


def test_it_rests_twice_as_long_each_time_up_to_a_bound() -> None:
    clock = FakeClock()
    health = make(clock)
    rests = []
    for _ in range(8):
        health.note_failure(REFUSED)
        rests.append(rest_of(health, clock))
    assert rests == [1, 2, 4, 8, 16, LONGEST_SECONDS, LONGEST_SECONDS, LONGEST_SECONDS]


def test_the_rest_is_up_to_half_as_long_by_chance() -> None:
    clock = FakeClock()
    health = make(clock, chance=0.0)
    health.note_failure(REFUSED)
    assert rest_of(health, clock) == FIRST_SECONDS / 2


def test_many_requests_that_fail_at_once_count_once() -> None:
    clock = FakeClock()
    health = make(clock)
    for _ in range(50):
        health.note_failure(REFUSED)
    assert rest_of(health, clock) == FIRST_SECONDS


def test_one_request_looks_again_and_the_others_stay_away() -> None:
    clock = FakeClock()
    health = make(clock)
    health.note_failure(REFUSED)
    clock.advance(FIRST_SECONDS)
    assert [health.may_be_tried() for _ in range(3)] == [True, False, False]
    clock.advance(PROBE)  # its client left, so nobody knows whether the dial succeeded
    assert [health.may_be_tried() for _ in range(3)] == [True, False, False]
    health.note_success()
    assert [health.may_be_tried() for _ in range(3)] == [True] * 3


def test_it_begins_with_a_short_rest_again_after_it_was_back() -> None:
    clock = FakeClock()
    health = make(clock)
    for _ in range(4):
        health.note_failure(REFUSED)
        rest_of(health, clock)
    health.note_success()
    health.note_failure(REFUSED)
    assert rest_of(health, clock) == FIRST_SECONDS


def test_one_line_says_that_it_is_down_and_one_that_it_is_back() -> None:
    clock = FakeClock()
    health = make(clock)
    with capture_logs() as lines:
        for _ in range(3):
            health.note_failure(REFUSED)
            clock.advance(LONGEST_SECONDS)
            assert health.may_be_tried()
        health.note_success()
        health.note_success()
    assert [(line["event"], line["log_level"]) for line in lines] == [
        ("upstream_down", "error"),
        ("upstream_back", "info"),
    ]
    assert lines[0]["reason"] == "upstream_connect"
    assert lines[0]["detail"] == "http://10.0.0.1:80: Connection refused"
    assert lines[1]["detail"] == "http://10.0.0.1:80: after 90.0 s"
    assert {line["route"] for line in lines} == {"api"}
