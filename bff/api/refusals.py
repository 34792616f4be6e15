"""What an API's log says of a refused token: the rule, and what was expected and found. Never the token itself."""

from __future__ import annotations

import json
import logging
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from bff.api.tokens import BearerRules
from bff.errors import AuthError
from bff.oidc.urls import is_loopback

MOST_SHOWN = 200
MOST_TOKEN = 65_536
NAMES = {"bearer_iss": ("issuer", "iss"), "bearer_aud": ("audience", "aud")}
_log = logging.getLogger("vestibule.api")


def log_refusal(token: str, error: AuthError, rules: BearerRules) -> None:
    """Write one warning. What was found is what the token says of itself; nobody has checked it."""
    claims = _unchecked_claims(token)
    _log.warning(
        "token refused: %s%s; issuer: expected %s, found %s; audience: expected %s, found %s",
        error.code,
        f" ({error.detail})" if error.detail else "",
        _shown(rules.issuer),
        _shown(claims.get("iss")),
        _shown(rules.audience),
        _shown(claims.get("aud")),
    )


def describe_refusal(token: str, error: AuthError, rules: BearerRules) -> str:
    """Return what the caller is told: the code; while developing on one machine also what was expected and found."""
    if error.code not in NAMES or not _is_of_this_machine(rules.issuer):
        return error.code
    noun, claim = NAMES[error.code]
    expected, found = _shown(getattr(rules, noun)), _shown(_unchecked_claims(token).get(claim))
    return f"{error.code}: the {noun} is {found}, expected is {expected}"


def _unchecked_claims(token: str) -> Mapping[str, Any]:
    parts = token.split(".")
    if len(parts) != 3 or len(token) > MOST_TOKEN:
        return {}
    try:
        claims = json.loads(urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}


def _shown(value: object) -> str:
    """Put `value` on one short line of plain characters: it comes from the sender of the token (CWE-117)."""
    if value is None:
        return "none"
    text = value if isinstance(value, str) else json.dumps(value)
    return text.encode("unicode_escape").decode("ascii")[:MOST_SHOWN]


def _is_of_this_machine(issuer: str) -> bool:
    try:
        return issuer.startswith("http://") and is_loopback(urlsplit(issuer))
    except ValueError:
        return False
