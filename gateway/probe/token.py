"""Probe tokens: whoever has the server's keys may ask the door, once and within a minute, what arrives there. Pure.

`vestibule doctor --through` signs a token for each probe. Its purpose is its own, so it opens nothing else, and no
other signed value is one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, get_args

from bff.sessions.keyring import Keyring

HEADER: Final = "X-Vestibule-Probe"
PATH: Final = "/probe/"
"""Below `server.auth_path`, with the kind behind it."""
SECONDS: Final = 60
MOST_QUIET_SECONDS: Final = 120
PURPOSE: Final = "probe"
Kind = Literal["look", "head", "stream", "upload", "quiet", "socket"]
KINDS: Final[frozenset[str]] = frozenset(get_args(Kind))
_FORM: Final = re.compile(r"([a-z]{4,6})-([0-9]{1,3})-([0-9]{1,12})-([0-9a-f]{32})")
_MOST_CHARACTERS: Final = 256
_SKEW_SECONDS: Final = 5


@dataclass(frozen=True, slots=True)
class Probe:
    """One question to the door. `nonce` is 32 hex digits; `seconds` is how long a `quiet` answer pauses."""

    kind: Kind
    nonce: str
    seconds: int = 0


def sign_probe(probe: Probe, keyring: Keyring, *, now: float) -> str:
    """Return the token for `probe`, good for a minute. `now` is Unix seconds."""
    value = f"{probe.kind}-{probe.seconds}-{int(now) + SECONDS}-{probe.nonce}"
    return keyring.sign(value, purpose=PURPOSE)


def read_probe(token: str, keyring: Keyring, *, kind: str, now: float) -> Probe | None:
    """Return what a token for `kind` asks; None for any other text, and for a token that is too old or too lasting."""
    if len(token) > _MOST_CHARACTERS or not token.isascii():
        return None
    value = keyring.unsign(token, purpose=PURPOSE)
    match = _FORM.fullmatch(value) if value is not None else None
    if match is None or match[1] != kind or kind not in KINDS:
        return None
    ends, seconds = int(match[3]), int(match[2])
    if not now < ends <= now + SECONDS + _SKEW_SECONDS or seconds > MOST_QUIET_SECONDS:
        return None
    return Probe(kind, match[4], seconds)  # type: ignore[arg-type]  # checked against KINDS
