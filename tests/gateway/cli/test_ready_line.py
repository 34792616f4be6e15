"""`vestibule run` says its address once to a person, wherever its output goes."""

from __future__ import annotations

import io

import pytest

from gateway.cli.loaded_settings import say_ready

LINE = "\n  Vestibule is ready: http://localhost:8000\n\n"


class Output(io.StringIO):
    """A stream that is a terminal or not."""

    def __init__(self, *, is_terminal: bool) -> None:
        super().__init__()
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal


@pytest.mark.parametrize(
    ("out", "err", "for_people", "said"),
    [
        (True, True, True, ("", LINE)),
        (True, True, False, ("", LINE)),
        (False, True, True, ("", LINE)),
        (True, False, False, (LINE, "")),
        (True, False, True, (LINE, LINE)),
        (False, False, True, ("", LINE)),
        (False, False, False, ("", "")),
    ],
    ids=[
        "a terminal",
        "a terminal, JSON by configuration",
        "standard output in a file",
        "the log in a file",
        "the log for people in a file",
        "a log for people, no terminal",
        "JSON, no terminal",
    ],
)
def test_a_person_gets_the_address_where_they_look(
    out: bool, err: bool, for_people: bool, said: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    streams = Output(is_terminal=out), Output(is_terminal=err)
    monkeypatch.setattr("sys.stdout", streams[0])
    monkeypatch.setattr("sys.stderr", streams[1])
    say_ready("http://localhost:8000", is_log_for_people=for_people)
    assert tuple(stream.getvalue() for stream in streams) == said
