"""Probe tokens: who can make one, how long it holds, and what else it opens: nothing."""

from __future__ import annotations

import pytest

from bff.sessions.keyring import Keyring
from gateway.probe.token import KINDS, MOST_QUIET_SECONDS, SECONDS, Probe, read_probe, sign_probe

NEW, OLD, FOREIGN = b"n" * 43, b"o" * 43, b"f" * 43
NONCE = "0123456789abcdef" * 2
NOW = 1_800_000_000.0


def token(probe: Probe | None = None, *, keys: tuple[bytes, ...] = (NEW, OLD), now: float = NOW) -> str:
    return sign_probe(probe or Probe("look", NONCE), Keyring(keys), now=now)


def read(text: str, *, kind: str = "look", now: float = NOW) -> Probe | None:
    return read_probe(text, Keyring((NEW, OLD)), kind=kind, now=now)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_token_says_what_was_signed(kind: str) -> None:
    probe = Probe(kind, NONCE, 7)  # type: ignore[arg-type]  # one of KINDS
    assert read(token(probe), kind=kind) == probe


def test_a_token_of_an_older_key_holds() -> None:
    assert read(token(keys=(OLD,))) is not None


def test_a_token_of_another_key_does_not_hold() -> None:
    assert read(token(keys=(FOREIGN,))) is None


def test_a_token_holds_for_a_minute_and_no_longer() -> None:
    assert read(token(), now=NOW + SECONDS - 1) is not None
    assert read(token(), now=NOW + SECONDS) is None


def test_a_token_that_would_hold_longer_than_a_minute_does_not_hold_at_all() -> None:
    assert read(token(now=NOW + 30)) is None


def test_a_token_is_for_one_kind_of_probe() -> None:
    assert read(token(), kind="stream") is None


def test_a_pause_has_a_limit() -> None:
    assert read(token(Probe("quiet", NONCE, MOST_QUIET_SECONDS)), kind="quiet") is not None
    assert read(token(Probe("quiet", NONCE, MOST_QUIET_SECONDS + 1)), kind="quiet") is None


def test_a_value_signed_for_another_purpose_is_no_token() -> None:
    value = token().rpartition(".")[0]
    assert read(Keyring((NEW,)).sign(value, purpose="session")) is None
    assert Keyring((NEW,)).unsign(token(), purpose="session") is None


@pytest.mark.parametrize("text", ["", ".", "x", "look-0-1-2.x", "é" * 10, "x" * 100_000], ids=lambda text: text[:12])
def test_other_text_is_no_token(text: str) -> None:
    assert read(text) is None


def test_a_signed_value_of_another_form_is_no_token() -> None:
    keyring = Keyring((NEW,))
    for value in ("look", f"look-0-{int(NOW) + 9}-zz", f"shell-0-{int(NOW) + 9}-{NONCE}", f"look-0--5-{NONCE}"):
        kind = value.partition("-")[0]
        assert read_probe(keyring.sign(value, purpose="probe"), keyring, kind=kind, now=NOW) is None, value
