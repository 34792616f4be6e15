"""The output of children in one log: complete lines with a name, without control characters or needless lines."""

from __future__ import annotations

import io
import json
import logging
from pathlib import Path
from typing import Literal

import pytest
import structlog

from bff.settings.tables import LogSettings
from gateway.logs import configure_logging
from gateway.processes.child_output import MAX_LINE_BYTES, REMEMBERED_LINES, ChildOutput, Voice
from gateway.processes.children import minimal_environment
from gateway.processes.refused_paths import RefusedPaths


class Heard:
    """A `ChildOutput` and the lines that came out of it."""

    def __init__(self, voice: Voice, *, json_lines: bool = False, prefix: bool = True) -> None:
        self.stream = io.StringIO()
        configure_logging(LogSettings(format="json" if json_lines else "console"), stream=self.stream)
        self.output = ChildOutput("app", voice=voice, json_lines=json_lines, prefix=prefix, stream=self.stream)

    def lines(self, data: bytes) -> list[str]:
        self.output.feed(data)
        self.output.finish()
        return self.stream.getvalue().splitlines()


def test_output_lines_are_complete_wherever_they_were_cut() -> None:
    heard = Heard("shown")
    for piece in (b"one t", b"wo\nthr", b"ee\n\nfour"):
        heard.output.feed(piece)
    assert heard.lines(b"") == ["app | one two", "app | three", "app | four"]


def test_an_endless_line_is_cut_and_uses_little_memory() -> None:
    lines = Heard("shown").lines(b"x" * (MAX_LINE_BYTES + 1))
    assert len(lines) == 1
    assert len(lines[0]) < MAX_LINE_BYTES + 10


@pytest.mark.parametrize("evil", [b"\x1b[31mred", b"a\rb", "a\u2028b".encode(), b"bell\x07", b"\xff\xfe"])
def test_control_characters_that_could_forge_or_colour_a_line_are_removed(evil: bytes) -> None:
    [line] = Heard("shown").lines(evil + b"\n")
    assert line.isprintable()


def test_colour_codes_are_removed_from_a_traceback() -> None:
    lines = Heard("shown").lines(b"\x1b[31mTraceback\x1b[0m \x1b[1;38;5;196m(most recent\x1b[0m call last):\n")
    assert lines == ["app | Traceback (most recent call last):"]


def test_children_are_asked_for_plain_output_on_every_terminal() -> None:
    child = minimal_environment({"TERM": "xterm-256color", "FORCE_COLOR": "1"})
    assert (child["NO_COLOR"], child["TERM"], child["STREAMLIT_LOGGER_ENABLE_RICH"]) == ("1", "dumb", "false")
    assert "FORCE_COLOR" not in child


def test_in_json_logs_a_line_of_a_child_is_wrapped_and_a_line_of_a_worker_is_not() -> None:
    [wrapped] = Heard("shown", json_lines=True).lines(b"hello\n")
    assert json.loads(wrapped)["process"] == "app"
    assert json.loads(wrapped)["line"] == "hello"
    assert Heard("own", json_lines=True).lines(b'{"event": "x"}\n') == ['{"event": "x"}']
    [stray] = Heard("own", json_lines=True).lines(b"printed by a library\n")
    assert json.loads(stray)["line"] == "printed by a library"


def test_a_single_worker_has_no_name_in_the_log() -> None:
    assert Heard("own", prefix=False).lines(b"12:00:00 info     x\n") == ["12:00:00 info     x"]
    assert Heard("own", prefix=True).lines(b"12:00:00 info     x\n") == ["app | 12:00:00 info     x"]


def test_the_errors_of_a_quiet_child_are_logged() -> None:
    trace = b"Traceback (most recent call last):\n  File x\n    y()\nValueError: no\n"
    heard = Heard("quiet").lines(b"INFO uvicorn.error Started\n" + trace + b"INFO going on\nERROR bad\n")
    assert heard == [
        "app | Traceback (most recent call last):",
        "app |   File x",
        "app |     y()",
        "app | ValueError: no",
        "app | ERROR bad",
    ]


def test_only_the_errors_of_a_child_are_logged_during_its_stop() -> None:
    heard = Heard("shown")
    heard.output.expect_the_end()
    assert heard.lines(b"  Stopping...\nERROR could not save\n") == ["app | ERROR could not save"]


def test_the_last_lines_of_a_child_are_kept_even_when_they_are_not_shown() -> None:
    heard = Heard("quiet")
    assert heard.lines(b"".join(b"line %d\n" % number for number in range(100))) == []
    assert list(heard.output.last) == [f"line {number}" for number in range(100 - REMEMBERED_LINES, 100)]


def test_libraries_log_only_warnings_even_at_level_debug() -> None:
    stream = io.StringIO()
    configure_logging(LogSettings(level="debug", format="json"), stream=stream)
    for name in ("httpx", "uvicorn.error", "uvicorn.access", "authlib.integrations", "websockets.server"):
        logging.getLogger(name).info("GET /?code=canary")
    structlog.get_logger("vestibule.test").debug("ours", number=1)
    logging.getLogger("vestibule.other").info("ours too")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["ours", "ours too"]
    assert [line["level"] for line in lines] == ["debug", "info"]


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_an_event_with_any_content_is_one_line(log_format: Literal["json", "console"]) -> None:
    stream = io.StringIO()
    configure_logging(LogSettings(format=log_format), stream=stream)
    structlog.get_logger("vestibule.test").info("one\nline", field="a\r\nb\x1b[2J\u2028c")
    [line] = stream.getvalue().splitlines()
    assert line.isprintable()


def test_an_exception_is_in_the_line_of_its_event() -> None:
    stream = io.StringIO()
    configure_logging(LogSettings(format="json"), stream=stream)
    try:
        raise ValueError("broken")
    except ValueError:
        structlog.get_logger("vestibule.test").exception("failed")
    [line] = stream.getvalue().splitlines()
    assert "ValueError: broken" in json.loads(line)["exception"]


def test_a_log_that_nobody_reads_does_not_block_a_process() -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    output = ChildOutput("app", voice="shown", json_lines=False, prefix=True, stream=Closed())
    output.feed(b"into the void\n")
    assert list(output.last) == ["into the void"]


def refusals(*lines: str, folder: str = "/pages") -> list[str]:
    looking = RefusedPaths(folder, allowed_by="--read PATH or --write PATH")
    return [path for line in lines if (path := looking.look(line))]


def test_the_log_says_how_to_allow_a_file_that_a_page_may_not_read() -> None:
    stream = io.StringIO()
    configure_logging(LogSettings(format="console"), stream=stream)
    refused = RefusedPaths("/pages", allowed_by="--read PATH or --write PATH")
    output = ChildOutput("app", voice="shown", json_lines=False, prefix=True, stream=stream, refused=refused)
    output.feed(b"PermissionError: [Errno 13] Permission denied: '/data/x.csv'\n")
    last = stream.getvalue().splitlines()[-1]
    for part in ("warning", "process=app", "path=/data/x.csv", "--read PATH or --write PATH"):
        assert part in last


def test_each_refused_path_is_named_once_with_its_full_path() -> None:
    line = "PermissionError: [Errno 13] Permission denied: 'data/x.csv'"
    assert refusals(line, line, line.replace("x.csv", "y.csv")) == ["/pages/data/x.csv", "/pages/data/y.csv"]


def test_an_existing_file_that_a_page_did_not_find_counts_as_refused(tmp_path: Path) -> None:
    line = "FileNotFoundError: [Errno 2] No such file or directory: '{}'"
    (tmp_path / "x.csv").write_text("")
    assert refusals(line.format(tmp_path / "x.csv"), line.format(tmp_path / "y.csv")) == [str(tmp_path / "x.csv")]


@pytest.mark.parametrize("path", ["/" + "x" * 300, "x" * 9000, "/dev/null/x", "\\x00", "\ud800"], ids=ascii)
def test_no_path_that_a_page_prints_disturbs_the_reader(path: str) -> None:
    assert refusals(f"FileNotFoundError: [Errno 2] No such file or directory: '{path}'") == []
