"""What did not fit into an assertion, fetched from the front door that signed it.

The front door leaves out a list that is too long for a header line, and says so in the claim `omitted`. It tells the
API the rest for the assertion that the API received (`GET /auth/identity`).
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from bff.api.tokens import StandardClaims, with_claims
from bff.errors import AuthError, Forbidden, InvalidToken
from bff.fetch.http import Answer
from bff.oidc.strict_json import parse_object

MAX_REMEMBERED: Final = 1_000
LISTS: Final = frozenset({"groups", "roles"})
Ask = Callable[[str, Mapping[str, str]], Awaitable[Answer]]
_log: Final = logging.getLogger(__name__)


class IdentityOmitted(Forbidden):
    """A rule needs what is not in the token and could not be fetched; the code is `groups_omitted` and so on."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name}_omitted", detail=f"the token leaves out {name}, and the front door did not tell them")


@dataclass(slots=True)
class _Presented:
    token: str = field(repr=False)
    ends: int
    whole: Mapping[str, Any] | None = None


class WholeIdentities:
    """Remembers tokens that leave something out, for as long as they live, and asks `url` with them.

    `ask` makes a GET with an Authorization header. With an empty `url` nothing can be asked.
    """

    def __init__(
        self, url: str, ask: Callable[[str, Mapping[str, str]], Awaitable[Answer]], *, roles_claim: str
    ) -> None:
        self._url = url
        self._ask = ask
        self._roles_claim = roles_claim
        self._presented: OrderedDict[tuple[str, str], _Presented] = OrderedDict()

    def remember(self, token: str, caller: StandardClaims) -> None:
        """Keep a token that was just verified, if it leaves something out."""
        if not caller.omitted:
            return
        self._presented.setdefault(_key(caller), _Presented(token, caller.exp))
        while len(self._presented) > MAX_REMEMBERED:
            self._presented.popitem(last=False)

    async def complete(self, caller: StandardClaims) -> StandardClaims:
        """Return `caller` with everything that the token leaves out.

        Raises:
            IdentityOmitted: the front door cannot be asked, or does not tell.
        """
        if not caller.omitted:
            return caller
        presented = self._presented.get(_key(caller))
        if presented is None or not self._url:
            raise self._failed(caller, "no identity_url" if presented else "the token is not known here")
        if presented.whole is None:
            presented.whole = await self._fetch(presented.token, caller)
        told = {name: presented.whole[name] for name in caller.omitted}
        return with_claims(caller, {**caller.claims, **told}, roles_claim=self._roles_claim)

    async def _fetch(self, token: str, caller: StandardClaims) -> Mapping[str, Any]:
        try:
            answer = await self._ask(self._url, {"Authorization": f"Bearer {token}"})
            whole = parse_object(answer.body, code="bearer_malformed") if answer.status == 200 else {}
        except (AuthError, InvalidToken, httpx.HTTPError, OSError) as failure:
            raise self._failed(caller, str(failure)) from failure
        if answer.status != 200 or whole.get("sub") != caller.sub:
            raise self._failed(caller, f"status {answer.status}")
        if not all(_is_told(whole, name) for name in caller.omitted):
            raise self._failed(caller, "the answer does not tell it")
        return whole

    def _failed(self, caller: StandardClaims, why: str) -> IdentityOmitted:
        omitted = ", ".join(caller.omitted)
        _log.warning("a token leaves out %s, which could not be asked of %s: %s", omitted, self._url or "anybody", why)
        return IdentityOmitted(caller.omitted[0])


def _is_told(whole: Mapping[str, Any], name: str) -> bool:
    """True if `whole` has `name` as the front door writes it. What is missing or null would count as an empty list."""
    return isinstance(whole.get(name), list if name in LISTS else str)


def _key(caller: StandardClaims) -> tuple[str, str]:
    return (caller.sub, str(caller.claims.get("jti", "")))
