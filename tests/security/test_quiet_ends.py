"""LG: a client that leaves, and a stream that breaks off, are not errors of the front door."""

from __future__ import annotations

import logging
import time

import pytest

from tests.security.house import House
from tests.security.raw import connect, handshake


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


def test_lg_1_closing_a_tab_during_the_handshake_logs_no_error(
    house: House, cookie: str, caplog: pytest.LogCaptureFixture
) -> None:
    house.upstream.websocket("/slow", delay=0.5)
    with caplog.at_level(logging.INFO):
        with connect(house.door.port) as client:
            client.sendall(handshake("/slow", house.host, origin=house.url, cookie=cookie))
            time.sleep(0.15)
        time.sleep(0.8)
    assert errors(caplog) == []
    line = next(event for event in house.audit if event["event"] == "request" and event["path"] == "/slow")
    assert line["route"] == "dashboards"


def test_lg_1_a_stream_cut_by_its_upstream_leaves_one_log_line_and_no_error(
    house: House, cookie: str, caplog: pytest.LogCaptureFixture
) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1000\r\n\r\n"
    house.upstream.respond("/cut", raw=head + b"only the beginning", close=True)
    with caplog.at_level(logging.INFO):
        answer = house.get_raw("/cut", cookie=cookie)
        time.sleep(0.2)
    assert answer.body == b"only the beginning"
    assert errors(caplog) == []
    assert [event["event"] for event in house.refusals()] == ["upstream_failed"]
