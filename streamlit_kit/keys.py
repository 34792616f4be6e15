"""The public keys of the front door, fetched once per process and again when they must have changed (RFC 7517)."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

import jwt

from streamlit_kit.errors import ApiUnavailable

log = logging.getLogger(__name__)

ALGORITHM: Final = "ES256"
_MAX_AGE_SECONDS: Final = 3600.0
_COOLDOWN_SECONDS: Final = 5.0
_PAUSE_AFTER_FAILURE_SECONDS: Final = 1.0
_MAX_KEYS: Final = 64


class KeySet:
    """The keys of the front door by their `kid`.

    An unknown `kid` causes one fetch, and no other one for 5 seconds, so that invented ids cannot cause many requests.
    After an hour the set is fetched again, so that a key that the front door withdrew is no longer trusted. While the
    front door is out of reach, the old set stays.
    """

    def __init__(self, fetch: Callable[[], Mapping[str, Any]], *, clock: Callable[[], float]) -> None:
        self._fetch = fetch
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched_at: float | None = None
        self._not_before = float("-inf")
        self._is_failing = False

    def find(self, kid: str) -> jwt.PyJWK | None:
        """Raises: ApiUnavailable when the key is not known and the front door cannot be asked."""
        with self._lock:
            is_new = self._is_old() and self._reload(pause=0)
            if kid not in self._keys and not is_new:
                self._reload(pause=_COOLDOWN_SECONDS)
            if kid not in self._keys and self._is_failing:
                raise ApiUnavailable(code="key_set_unavailable")
            return self._keys.get(kid)

    def _is_old(self) -> bool:
        return self._fetched_at is None or self._clock() - self._fetched_at > _MAX_AGE_SECONDS

    def _reload(self, *, pause: float) -> bool:
        """Fetch, unless it is too early to ask again. True if there is a new set."""
        if self._clock() < self._not_before:
            return False
        try:
            keys = parse_key_set(self._fetch())
        except ApiUnavailable as exc:
            log.warning("the keys of the front door cannot be fetched: %s", exc.code)
            self._is_failing, self._not_before = True, self._clock() + _PAUSE_AFTER_FAILURE_SECONDS
            return False
        self._keys, self._fetched_at = keys, self._clock()
        self._is_failing, self._not_before = False, self._clock() + pause
        return True


def parse_key_set(document: Mapping[str, Any]) -> dict[str, jwt.PyJWK]:
    """Return the ES256 signing keys of a JWKS. Other keys are ignored.

    Raises: ApiUnavailable if the document is not a key set.
    """
    entries = document.get("keys")
    if not isinstance(entries, list) or len(entries) > _MAX_KEYS:
        raise ApiUnavailable(code="key_set_malformed")
    keys: dict[str, jwt.PyJWK] = {}
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("kid"), str):
            continue
        is_ours = entry.get("kty") == "EC" and entry.get("crv") == "P-256"
        if is_ours and entry.get("use", "sig") == "sig" and entry.get("alg", ALGORITHM) == ALGORITHM:
            try:
                keys[entry["kid"]] = jwt.PyJWK(entry, algorithm=ALGORITHM)
            except jwt.PyJWTError:
                log.warning("a key of the front door cannot be read and is ignored")
    return keys
