"""Decide whether an answer's own security headers let the session-end script run (CSP Level 3). Pure.

The front door never loosens a policy: it does not insert a forbidden script. A policy in a `<meta>` element comes after
the script and so does not apply to it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urlsplit

from gateway.headers.request import RawHeaders

Policy = Mapping[str, tuple[str, ...]]
"""The directives of one policy: lower-case name → values."""

_NONCE: Final = re.compile(r"(?i:'nonce-)([A-Za-z0-9+/_-]+={0,2})'")
_HOST_SOURCE: Final = re.compile(
    r"(?:(?P<scheme>[a-z][a-z0-9+.-]*)://)?(?P<host>\*|(?:\*\.)?[a-z0-9-]+(?:\.[a-z0-9-]+)*)"
    r"(?::(?P<port>\d+|\*))?(?P<path>/[^?#]*)?",
    re.IGNORECASE,
)
_SCHEME_SOURCE: Final = re.compile(r"([a-z][a-z0-9+.-]*):", re.IGNORECASE)
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}
_LONGEST_NONCE: Final = 256
_LONGEST_DETAIL: Final = 200
_SCRIPTS: Final = ("script-src-elem", "script-src", "default-src")
_OPEN: Final = ("allow-scripts", "allow-same-origin")
_QUESTIONS: Final = ("connect-src", "default-src")


@dataclass(frozen=True, slots=True)
class Allows:
    """The script may run. If there is a `nonce`, the script must carry it."""

    nonce: str = ""


@dataclass(frozen=True, slots=True)
class Forbids:
    """The script may not run. `by` names what forbids it, without nonces, and can be logged."""

    by: str


def judge_script(headers: RawHeaders, *, script: str, asks: str) -> Allows | Forbids:
    """Judge a script at the address `script` that sends requests to the address `asks`. Both are of the page's
    origin."""
    if any(name == b"integrity-policy" and b"script" in value for name, value in headers):
        return Forbids("integrity-policy")
    nonces: list[str] | None = None
    for policy in read_policies(headers):
        if not {"allow-scripts", "allow-same-origin"} <= {word.lower() for word in policy.get("sandbox", _OPEN)}:
            return _forbidden("sandbox", policy)
        directive = _governing(policy, _QUESTIONS)
        if directive and not _matches(policy[directive], asks):
            return _forbidden(directive, policy)
        directive = _governing(policy, _SCRIPTS)
        if not directive or _allows_address(policy[directive], script):
            continue
        given = _nonces(policy[directive])
        nonces = given if nonces is None else [nonce for nonce in nonces if nonce in given]
        if not nonces:
            return _forbidden(directive, policy)
    return Allows(nonces[0] if nonces else "")


def read_policies(headers: RawHeaders) -> list[Policy]:
    """Read all enforced policies: all headers count, and all policies in one header (CSP 3, section 2.2)."""
    values = [value.decode("latin-1") for name, value in headers if name == b"content-security-policy"]
    return [policy for value in values for text in value.split(",") if (policy := _read_policy(text))]


def _read_policy(text: str) -> Policy:
    directives: dict[str, tuple[str, ...]] = {}
    for directive in text.split(";"):
        words = directive.split()
        if words and directive.isascii():
            directives.setdefault(words[0].lower(), tuple(words[1:]))
    return directives


def _governing(policy: Policy, names: Sequence[str]) -> str:
    return next((name for name in names if name in policy), "")


def _nonces(sources: Sequence[str]) -> list[str]:
    found = [match[1] for source in sources if (match := _NONCE.fullmatch(source))]
    return [nonce for nonce in found if len(nonce) <= _LONGEST_NONCE]


def _allows_address(sources: Sequence[str], address: str) -> bool:
    return "'strict-dynamic'" not in {source.lower() for source in sources} and _matches(sources, address)


def _matches(sources: Sequence[str], address: str) -> bool:
    """True if one of `sources` certainly covers `address`, which is of the page's own origin (CSP 3, section 6.7.2)."""
    return any(_covers(source, address) for source in sources)


def _covers(source: str, address: str) -> bool:
    url = urlsplit(address)
    if source.lower() in ("'self'", "*"):
        return True
    if scheme := _SCHEME_SOURCE.fullmatch(source):
        return _covers_scheme(scheme[1], url.scheme)
    match = _HOST_SOURCE.fullmatch(source)
    if match is None or not _covers_scheme(match["scheme"] or url.scheme, url.scheme):
        return False
    port = match["port"] or _DEFAULT_PORTS[url.scheme]
    is_port = port in ("*", str(url.port or _DEFAULT_PORTS[url.scheme]))
    return is_port and _covers_host(match["host"].lower(), url.hostname or "") and _covers_path(match["path"], url.path)


def _covers_scheme(wanted: str, scheme: str) -> bool:
    return wanted.lower() == scheme or (wanted.lower() == "http" and scheme == "https")


def _covers_host(pattern: str, host: str) -> bool:
    if pattern.startswith("*"):
        return pattern == "*" or host.endswith(pattern[1:])
    is_address = pattern.replace(".", "").isdigit()
    return pattern == host and (not is_address or pattern == "127.0.0.1")


def _covers_path(pattern: str | None, path: str) -> bool:
    if not pattern or pattern == "/":
        return True
    wanted, asked = unquote(pattern), unquote(path)
    return asked.startswith(wanted) if wanted.endswith("/") else asked == wanted


def _forbidden(directive: str, policy: Policy) -> Forbids:
    words = ["'nonce-…'" if source.lower().startswith("'nonce-") else source for source in policy[directive]]
    return Forbids(" ".join((directive, *words))[:_LONGEST_DETAIL])
