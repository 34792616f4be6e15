"""A person's e-mail address, and whether anybody has verified that it is theirs. Pure.

At many providers people write into their account whatever address they like. `email_verified` is the provider's word
that it is theirs (OpenID Connect Core section 5.1), and it is about the address that stands beside it, no other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bff.contract import Identity
from bff.oidc.claims import text_at

Claims = Mapping[str, Any]
UNSAID: Final = (None, "")
"""A member that is null or empty is absent."""


@dataclass(frozen=True, slots=True)
class Email:
    """`said` is what the provider said of `address`, None when it said nothing."""

    address: str = ""
    said: bool | None = None
    is_verified: bool = False


def says_verified(value: object) -> bool:
    """True for true, and for the text "true" that some providers (Amazon Cognito) send in its place."""
    return value is True or (isinstance(value, str) and value == "true")


def read_email(fresh: Sequence[Claims], before: Claims, *, assumed: bool) -> Email:
    """The address of a sign-in or a refresh. `fresh` are its sources, the first one wins; `before` is what was kept.

    Every fresh word about the address must be a yes; without one, what was said of the same address before counts;
    without that, `assumed` (`providers.*.email_verified = "assume"`). A word without an address beside it is about the
    address of the same sign-in. About an older one it counts only as a no.
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
    """The claims that headers and rules may use: an address that nobody has verified is not among them."""
    if identity.email_verified:
        return identity.claims
    return without_email(identity.claims)


def without_email(claims: Claims) -> Claims:
    return {name: value for name, value in claims.items() if name != "email"} if "email" in claims else claims


def _words(sources: Sequence[Claims], addresses: tuple[str, ...]) -> list[bool]:
    """What `sources` say of `addresses`; "" stands for a source that names none."""
    return [
        says_verified(claims["email_verified"])
        for claims in sources
        if claims.get("email_verified") not in UNSAID and _address(claims) in addresses
    ]


def _address(claims: Claims) -> str | None:
    """The address, "" when there is none, None for something that is no address."""
    return text_at(claims, "email") or ("" if claims.get("email") in UNSAID else None)
