"""Audit lines: one each, bounded, on one line, without secrets."""

from __future__ import annotations

import re
from typing import Any, get_args

import pytest
from structlog.testing import capture_logs

from bff.audit import ERROR, EVENTS, MAX_FIELD, WARN, Audit, Event, clean, masked
from tests.bff.factories import ALICE, ISSUER, session


def lines(event: Event, **fields: Any) -> list[Any]:
    with capture_logs() as logs:
        Audit().event(event, **fields)
    return logs


@pytest.mark.parametrize("event", sorted(EVENTS))
def test_every_event_is_one_line_of_its_level(event: Event) -> None:
    level = "error" if event in ERROR else "warning" if event in WARN else "info"
    assert lines(event) == [{"event": event, "audit": True, "log_level": level}]


def test_levels_name_only_events_there_are() -> None:
    assert set(get_args(Event)) >= WARN | ERROR
    assert not WARN & ERROR


def test_a_session_appears_as_hashes_and_never_with_its_secrets() -> None:
    known = session()
    (line,) = lines("login_ok", session=known, client="192.0.2.1", request_id="r-1")
    assert line["session"] == masked(known.name)
    assert line["subject"] == masked(ALICE.sub)
    assert (line["iss"], line["provider"], line["client"]) == (ISSUER, "corp", "192.0.2.1")
    for secret in (
        known.name,
        known.tokens.access_token,
        known.tokens.refresh_token,
        known.tokens.id_token,
        ALICE.name,
    ):
        assert secret not in str(line)


def test_empty_fields_are_left_out() -> None:
    (line,) = lines("logout", reason="", route="", detail="x")
    assert line.keys() == {"event", "audit", "log_level", "detail"}


@pytest.mark.parametrize("text", ["a\r\nfake line", "\x1b[31mred", "a\u2028b", "a\x00b", "\ud800"])
def test_unprintable_text_is_escaped_onto_one_line(text: str) -> None:
    assert clean(text).isascii()
    assert clean(text).isprintable()


def test_text_is_bounded_and_otherwise_unchanged() -> None:
    assert clean("Zoë ✓") == "Zoë ✓"
    assert len(clean("x" * 10_000)) == MAX_FIELD


def test_a_mask_is_short_stable_and_differs() -> None:
    assert re.fullmatch(r"[0-9a-f]{12}", masked("a"))
    assert masked("a") == masked("a") != masked("b")
