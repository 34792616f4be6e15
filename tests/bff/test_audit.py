"""Audit lines: one each, bounded, on one line, without secrets."""

from __future__ import annotations

import asyncio
import re
from typing import Any, get_args

import pytest
from structlog.testing import capture_logs

from bff.audit import ERROR, EVENTS, MAX_FIELD, WARN, Audit, Event, attribute_events, clean, masked
from bff.errors import AuthError, BadRequest, Forbidden, LoginRequired, NotFound, StoreUnavailable, Unavailable
from tests.bff.factories import ALICE, ISSUER, session


def lines(event: Event, **fields: Any) -> list[Any]:
    with capture_logs() as logs:
        Audit().event(event, **fields)
    return logs


@pytest.mark.parametrize("event", sorted(EVENTS))
def test_every_event_is_one_line_of_its_level(event: Event) -> None:
    level = "error" if event in ERROR else "warning" if event in WARN else "info"
    assert lines(event) == [{"event": event, "audit": True, "log_level": level}]


def test_the_table_of_levels_names_only_existing_events() -> None:
    assert set(get_args(Event)) >= WARN | ERROR
    assert not WARN & ERROR


def test_an_event_shows_a_session_as_hashes_without_its_secrets() -> None:
    known = session()
    (line,) = lines("login_ok", session=known, client="192.0.2.1")
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


async def test_events_of_a_task_and_of_those_it_starts_are_about_the_request_it_serves() -> None:
    async def started() -> list[Any]:
        return lines("refresh_ok")

    async def serve(address: str, request_id: str) -> list[tuple[str, str]]:
        attribute_events(client=address, request_id=request_id)
        await asyncio.sleep(0)
        here = lines("logout")
        later = await asyncio.create_task(started())
        return [(line["client"], line["request_id"]) for line in [*here, *later]]

    pairs = [("192.0.2.1", "r-1"), ("192.0.2.2", "r-2")]
    found = await asyncio.gather(*(serve(*pair) for pair in pairs))
    assert found == [[pair] * 2 for pair in pairs]
    (line,) = lines("logout")
    assert not {"client", "request_id"} & line.keys()


def test_empty_fields_are_left_out() -> None:
    (line,) = lines("logout", reason="", route="", detail="x")
    assert line.keys() == {"event", "audit", "log_level", "detail"}


@pytest.mark.parametrize("text", ["a\r\nfake line", "\x1b[31mred", "a\u2028b", "a\x00b", "\ud800"])
def test_unprintable_text_is_escaped_onto_one_line(text: str) -> None:
    assert clean(text).isascii()
    assert clean(text).isprintable()


def test_long_text_is_shortened_and_other_text_is_unchanged() -> None:
    assert clean("Zoë ✓") == "Zoë ✓"
    assert len(clean("x" * 10_000)) == MAX_FIELD


def test_a_masked_id_is_short_stable_and_different_for_each_id() -> None:
    assert re.fullmatch(r"[0-9a-f]{12}", masked("a"))
    assert masked("a") == masked("a") != masked("b")


def refused(error: AuthError, *, event: Event | None = None) -> list[tuple[str, str]]:
    with capture_logs() as logged:
        Audit().refusal(error, event=event)
    return [(line["event"], line["reason"]) for line in logged]


def audited(error: AuthError) -> AuthError:
    error.is_audited = True
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        pytest.param(Forbidden("csrf_origin"), [("request_refused", "csrf_origin")], id="a rule of the door"),
        pytest.param(Forbidden(), [("access_denied", "forbidden")], id="a person without the right"),
        pytest.param(BadRequest("body_too_large", status=413), [("request_refused", "body_too_large")], id="too large"),
        pytest.param(StoreUnavailable(), [("store_failed", "store_unavailable")], id="the store"),
        pytest.param(Unavailable("login_limit"), [("limit_reached", "login_limit")], id="a limit"),
        pytest.param(LoginRequired("kit_credential"), [("kit_refused", "kit_credential")], id="a kit's credential"),
        pytest.param(LoginRequired(), [], id="nobody signed in"),
        pytest.param(NotFound(), [], id="a wrong address"),
        pytest.param(AuthError("method_not_allowed", status=405), [], id="a wrong method"),
        pytest.param(BadRequest("body_timeout", status=408), [], id="a slow line"),
        pytest.param(audited(Forbidden("csrf_origin")), [], id="a refusal that has its line"),
    ],
)
def test_each_refusal_that_operators_look_for_has_one_log_line(
    error: AuthError, expected: list[tuple[str, str]]
) -> None:
    assert refused(error) == expected


def test_the_place_of_a_refusal_can_say_what_it_is_about() -> None:
    assert refused(BadRequest("callback_state"), event="login_failed") == [("login_failed", "callback_state")]
