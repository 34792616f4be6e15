"""Ids of parametrised cases say what the case is, and a case that cannot have such an id is refused."""

from __future__ import annotations

import enum
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.case_ids import MAX_LENGTH, NeedsAnId, id_of
from tests.fakes import OMIT
from tests.repository import ROOT

SIGNED = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0."


@dataclass(frozen=True, slots=True)
class Account:
    name: str
    roles: tuple[str, ...] = ()
    secret: str = field(default="x", repr=False)


class Colour(enum.Enum):
    RED = 1


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("plain text", "plain text", id="text"),
        pytest.param("", "empty value", id="empty text"),
        pytest.param("  ", "blank value", id="blank text"),
        pytest.param("*", "value *", id="text without words"),
        pytest.param("5", "value '5'", id="text of a number"),
        pytest.param(5, "value 5", id="number"),
        pytest.param(True, "value True", id="boolean"),
        pytest.param(None, "no value", id="None"),
        pytest.param("a\r\nb\0", "a<CR><LF>b<NUL>", id="control characters"),
        pytest.param("a@c\u043erp.com", "a@c<U+043E>rp.com", id="look-alike letter"),
        pytest.param("\u202f", "value <U+202F>", id="white space outside ASCII"),
        pytest.param(b"a\xff", "a<byte FF>", id="bytes"),
        pytest.param("k" * 300, "k*300", id="repetition"),
        pytest.param({"aud": ["a", ""], "exp": None}, 'aud=[a, ""], exp=None', id="nested containers"),
        pytest.param({}, "value {}", id="empty mapping"),
        pytest.param([], "value []", id="empty list"),
        pytest.param({"b", "a", "c"}, "[a, b, c]", id="set in sorted order"),
        pytest.param({"iss": OMIT}, "iss=OMIT", id="object with a repr of its own"),
        pytest.param(Path("a/b.toml"), "a/b.toml", id="path"),
        pytest.param(Account("ann", roles=("x",)), "Account name=ann, roles=[x]", id="dataclass without its secret"),
        pytest.param(ValueError("too long"), "ValueError too long", id="exception"),
        pytest.param(Colour.RED, "RED", id="member of an enumeration"),
        pytest.param(signal.SIGTERM, "SIGTERM", id="signal"),
    ],
)
def test_an_id_says_what_the_value_is(value: object, expected: str) -> None:
    assert id_of("value", value) == expected


@pytest.mark.parametrize("text", ["x y " * 200, SIGNED + "rest " * 200], ids=["words", "begins like a token"])
def test_a_long_value_gives_an_id_of_limited_length(text: str) -> None:
    assert len(id_of("value", text) or "") <= MAX_LENGTH


def test_names_of_functions_and_classes_are_left_to_pytest() -> None:
    assert (id_of("value", str.upper), id_of("value", Account)) == (None, None)


@pytest.mark.parametrize(
    "value",
    [lambda: 1, object(), [object()], {"a": lambda: 1}, SIGNED],
    ids=["lambda", "object", "object in a list", "lambda in a mapping", "signed token"],
)
def test_a_value_that_cannot_be_described_needs_an_id(value: object) -> None:
    with pytest.raises(NeedsAnId, match="give its case an id"):
        id_of("value", value)


@pytest.mark.parametrize(
    ("values", "message"),
    [("[object()]", "give its case an id"), ("['a', 'a']", "Duplicate parametrization IDs")],
    ids=["an object", "the same id twice"],
)
def test_a_case_without_a_clear_id_fails_the_collection(tmp_path: Path, values: str, message: str) -> None:
    """The rule as in every run: this project's configuration and hooks, with a small test file."""
    (tmp_path / "test_it.py").write_text(
        f"import pytest\n@pytest.mark.parametrize('value', {values})\ndef test_it(value): pass\n"
    )
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "-c", "pyproject.toml"]
    done = subprocess.run(
        [*command, "-p", "tests.conftest", f"--rootdir={ROOT}", str(tmp_path / "test_it.py")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stdout + done.stderr
    assert message in done.stdout
