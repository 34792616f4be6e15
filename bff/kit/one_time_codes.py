"""One-time codes that hand a sign-in to a Streamlit that is not behind the front door (auth-code mode).

A code lives 60 s. It works once, for one kit client, in the browser that started the sign-in. A wrong client or binding
destroys it; a second use ends the session that the first use got.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from bff.audit import Audit
from bff.contract import EndReason
from bff.errors import BadRequest, StoreUnavailable, Unavailable
from bff.oidc.authorization import new_secret
from bff.sessions.keyring import Keyring, SealBroken
from bff.sessions.lifecycle import Sessions
from bff.sessions.record import Session
from bff.stores.protocol import Store, TooMany

KIND = "kit-code"
USED = "kit-code-used"
PURPOSE = "kit-code"
CODE_SECONDS = 60
GUESSED = "kit-code-guess"
GUESS_SECONDS = 60
MAX_GUESSES = 1_200
"""Wrong codes a client may send within `GUESS_SECONDS`."""
MAX_CODES = 10_000
BINDING = re.compile(r"[A-Za-z0-9_-]{43}")
CODE = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class _Promise:
    record_name: str
    client: str
    binding: str


class _NotedCode(BadRequest):
    """A code that was used before or came from the wrong client or browser. The audit log already has the event."""

    default_code = "kit_code"
    is_audited = True


class KitCodes:
    """Issues and redeems codes."""

    def __init__(
        self,
        sessions: Sessions,
        keyring: Keyring,
        *,
        audit: Audit,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._sessions = sessions
        self._keyring = keyring
        self._audit = audit
        self._random = random
        self.max_guesses = MAX_GUESSES

    @property
    def _store(self) -> Store:
        return self._sessions.store

    async def issue(self, session: Session, *, client: str, binding: str) -> str:
        """Make a code for `session`.

        Raises:
            Unavailable: `login_limit`.
        """
        code = new_secret(self._random)
        name = _name(code)
        plain = json.dumps([session.name, client, binding]).encode()
        await self._put(KIND, name, self._keyring.seal(plain, purpose=PURPOSE, name=name))
        return code

    async def redeem(self, code: str, *, client: str, binding: str) -> Session:
        """Return the session of `code`; works once.

        Raises:
            BadRequest: `kit_code`, for every fault.
            Unavailable: `login_limit`; `kit_code_limit` (429) instead of `kit_code` after too many wrong ones.
        """
        try:
            return await self._redeem(code, client=client, binding=binding)
        except BadRequest:
            await self._count_guess(client)
            raise

    async def _count_guess(self, client: str) -> None:
        """Count the wrong codes of one client in the store, for all processes together."""
        try:
            await self._store.put_once(
                f"{GUESSED}:{client}", new_secret(self._random), b"", seconds=GUESS_SECONDS, cap=self.max_guesses
            )
        except TooMany:
            message = "There were too many wrong codes. Please try again in a minute."
            raise Unavailable("kit_code_limit", message, status=429, retry_after=GUESS_SECONDS) from None

    async def _redeem(self, code: str, *, client: str, binding: str) -> Session:
        if not CODE.fullmatch(code) or not BINDING.fullmatch(binding):
            raise BadRequest("kit_code")
        name = _name(code)
        sealed = await self._store.peek(KIND, name)
        promise = self._open(sealed, name) if sealed else None
        if sealed is None or promise is None:
            raise await self._replayed(name, detail="unknown, expired or used")
        if promise.client != client or not hmac.compare_digest(promise.binding, binding):
            await self._store.take_once(KIND, name)
            self._audit.event("kit_refused", reason="kit_code_foreign", detail=client)
            raise _NotedCode(detail="another client or browser")
        # Read the session before setting the mark: a call that finds the mark ends the session, and the first of many
        # parallel calls must still get its answer.
        session = await self._sessions.load(promise.record_name)
        if not await self._put(USED, name, sealed):
            raise await self._replayed(name, detail="used")
        with suppress(StoreUnavailable):  # it is worthless now, and expires by itself
            await self._store.take_once(KIND, name)
        if session is None:
            raise BadRequest("kit_code", detail="its session is over")
        return session

    async def _put(self, kind: str, name: str, sealed: bytes) -> bool:
        try:
            return await self._store.put_once(kind, name, sealed, seconds=CODE_SECONDS, cap=MAX_CODES)
        except TooMany:
            raise Unavailable("login_limit", "Too many sign-ins are under way. Please try again.") from None

    async def _replayed(self, name: str, *, detail: str) -> BadRequest:
        """Make the refusal of a code that is gone. If the code was used before, end its session."""
        # The mark stays, because it limits a code to one use, and the next replay must find it too.
        used = await self._store.peek(USED, name)
        promise = self._open(used, name) if used else None
        if promise is None:
            return BadRequest("kit_code", detail=detail)
        self._audit.event("kit_refused", reason="kit_code_replayed", detail=promise.client)
        await self._sessions.end(promise.record_name, EndReason.REVOKED)
        return _NotedCode(detail=detail)

    def _open(self, sealed: bytes, name: str) -> _Promise | None:
        try:
            record_name, client, binding = json.loads(self._keyring.unseal(sealed, purpose=PURPOSE, name=name))
        except (SealBroken, ValueError, TypeError):
            return None
        return _Promise(str(record_name), str(client), str(binding))


def _name(code: str) -> str:
    return hashlib.sha256(b"kit-code" + code.encode("ascii")).hexdigest()
