"""A person's e-mail address, and whether anybody has verified that it is theirs. Pure.

At many providers people can enter any address into their account. With `email_verified` the provider says that the
address is theirs (OpenID Connect Core section 5.1). It is about the address in the same set of claims and no other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bff.contract import Identity
from bff.oidc.claims import text_at

Claims = Mapping[str, Any]
UNSAID: Final = (None, "")
"""A member that is null or empty counts as missing."""


@dataclass(frozen=True, slots=True)
class Email:
    """An address. `said` is what the provider said about it, None if it said nothing."""

    address: str = ""
    said: bool | None = None
    is_verified: bool = False


def says_verified(value: object) -> bool:
    """True for true, and for the text "true", which some providers (Amazon Cognito) send instead."""
    return value is True or (isinstance(value, str) and value == "true")


def read_email(fresh: Sequence[Claims], before: Claims, *, assumed: bool) -> Email:
    """Find the address of a sign-in or a refresh. The first of the sources `fresh` wins. `before` is the kept address.

    Every fresh statement about the address must be a yes. If there is none, the earlier statement about the same
    address counts; without that, `assumed` (`providers.*.email_verified = "assume"`). A statement without an address is
    about the address of the same sign-in. About an older address only a no counts.
    """
    address = next((text for claims in fresh if (text := text_at(claims, "email"))), "")
    if address:
        said = _words(fresh, ("", address)) or _words([before], (address,))
    else:
        address = text_at(before, "email")
        said = [word for word in _words(fresh, ("",)) if not word] or _words([before], (address,))
    if not address:
        return Email()
    word = all(said) if said else None
    return Email(address, word, assumed if word is None else word)


def claims_to_go_by(identity: Identity) -> Claims:
    """Return the claims that headers and rules may use: without an address that nobody has verified."""
    if identity.email_verified:
        return identity.claims
    return without_email(identity.claims)


def without_email(claims: Claims) -> Claims:
    return {name: value for name, value in claims.items() if name != "email"} if "email" in claims else claims


def _words(sources: Sequence[Claims], addresses: tuple[str, ...]) -> list[bool]:
    """Return what `sources` say about `addresses`; "" stands for a source without an address."""
    return [
        says_verified(claims["email_verified"])
        for claims in sources
        if claims.get("email_verified") not in UNSAID and _address(claims) in addresses
    ]


def _address(claims: Claims) -> str | None:
    """Return the address, "" if there is none, and None if the value is not an address."""
    return text_at(claims, "email") or ("" if claims.get("email") in UNSAID else None)
