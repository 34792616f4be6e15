"""What is dropped from an upstream's answer leaves a log line, but cannot fill the log."""

from __future__ import annotations

from structlog.testing import capture_logs

from gateway.headers.cookies import RefusedCookie
from gateway.headers.dropped import COOKIE_SECONDS, MOST_LINES, DroppedHeaders
from tests.fakes import FakeClock


def refused(name: bytes) -> RefusedCookie:
    return RefusedCookie(name, "domain", b"example.com")


def test_a_dropped_cookie_leaves_one_log_line_a_minute() -> None:
    clock = FakeClock()
    dropped = DroppedHeaders("api", monotonic=clock)
    with capture_logs() as lines:
        for _ in range(3):
            dropped.note_cookie(refused(b"a"))
            dropped.note_cookie(refused(b"b"))
        assert [line["cookie"] for line in lines] == ["a", "b"]
        clock.advance(COOKIE_SECONDS)
        dropped.note_cookie(refused(b"a"))
    assert [line["cookie"] for line in lines] == ["a", "b", "a"]
    assert lines[0] == {
        "event": "response_cookie_dropped",
        "log_level": "warning",
        "route": "api",
        "cookie": "a",
        "reason": "domain",
        "domain": "example.com",
    }


def test_an_upstream_that_invents_header_names_causes_a_limited_number_of_log_lines() -> None:
    clock = FakeClock()
    dropped = DroppedHeaders("api", monotonic=clock)
    with capture_logs() as lines:
        for number in range(1000):
            dropped.note_cookie(refused(b"%d" % number + b"x" * 10_000))
            dropped.note(b"x-accel-%d" % number)
        assert len(lines) == 2 * MOST_LINES
        assert max(len(str(line)) for line in lines) < 400
        clock.advance(COOKIE_SECONDS)
        dropped.note_cookie(refused(b"new"))
    assert lines[-1]["cookie"] == "new"


def test_a_dropped_header_name_of_any_bytes_is_logged_as_text() -> None:
    with capture_logs() as lines:
        DroppedHeaders("api", monotonic=FakeClock()).note_cookie(RefusedCookie(b"\xff\xe9", "own_name"))
    assert lines[0]["cookie"] == "\\xff\\xe9"
