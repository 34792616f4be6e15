"""People with an account at the provider, and how to make one from what somebody typed into the sign-in page."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from bff.errors import InvalidToken
from bff.oidc.strict_json import parse_object

PLAIN_SUB = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
RESERVED_CLAIMS = frozenset(
    (
        *("iss", "sub", "aud", "azp", "exp", "iat", "nbf", "jti"),
        *("sid", "nonce", "auth_time", "at_hash", "c_hash", "client_id", "scope"),
    )
)
"""Claims that the provider sets itself: a form must not change them."""
MAX_NAME, MAX_WORDS, MAX_WORD, MAX_CLAIMS_BYTES = 100, 50, 100, 16_384


@dataclass(slots=True)
class Person:
    """A person with an account. A changed field shows in the next token. `further` replaces or adds claims."""

    sub: str
    email: str
    name: str
    roles: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    further: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of_claims(cls, claims: Mapping[str, Any]) -> Self:
        """Return the person with these `claims`. `sub` is required."""
        known = ("sub", "email", "name", "roles", "groups")
        return cls(
            sub=str(claims["sub"]),
            email=str(claims.get("email", "")),
            name=str(claims.get("name", claims["sub"])),
            roles=list(claims.get("roles", ())),
            groups=list(claims.get("groups", ())),
            further={name: value for name, value in claims.items() if name not in known},
        )

    def claims(self) -> dict[str, Any]:
        """Return the claims about this person in every token and in userinfo."""
        own = {
            "sub": self.sub,
            "email": self.email,
            "email_verified": True,
            "name": self.name,
            "preferred_username": self.sub,
            "roles": list(self.roles),
            "groups": list(self.groups),
        }
        return own | {name: value for name, value in self.further.items() if name not in RESERVED_CLAIMS}

    def is_called(self, hint: str) -> bool:
        """True if a `login_hint` means this person."""
        return bool(hint) and hint in (self.sub, self.email, self.claims()["preferred_username"])


@dataclass(frozen=True, slots=True)
class Typed:
    """The typed fields of the form for somebody else."""

    name: str = ""
    roles: str = ""
    groups: str = ""
    claims: str = ""


class FieldFault(ValueError):
    """A field of the sign-in page cannot be used. The text says why, and what to write instead."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(text)
        self.field = field


def read_person(typed: Typed, *, known: Mapping[str, Person]) -> Person:
    """Return the person that was typed. A name of `known`, if nothing else was typed, is that person.

    Raises:
        FieldFault: a field cannot be used.
    """
    name = " ".join(typed.name.split())
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise FieldFault("name", f"Enter a name of at most {MAX_NAME} characters.")
    sub = plain_sub(name)
    roles, groups = _words(typed.roles, field="roles"), _words(typed.groups, field="groups")
    further = _read_claims(typed.claims)
    if sub in known and not (roles or groups or further):
        return known[sub]
    shown = name if name != sub else name.partition("@")[0].replace(".", " ").replace("_", " ").title()
    return Person(sub, sub if "@" in sub else f"{sub}@example.com", shown, roles, groups, further)


def plain_sub(name: str) -> str:
    """Return a plain ASCII subject for a name in any script. A plain name stays as it is.

    For letters without a plain form it adds a short hash of the whole name, so that two names stay two people.
    """
    if PLAIN_SUB.fullmatch(name):
        return name
    decomposed = unicodedata.normalize("NFKD", name.casefold())
    letters = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    plain = re.sub(r"[^a-z0-9._@]+", "-", letters).strip("-._@")[:48]
    if plain and not any(letter.isalnum() and not letter.isascii() for letter in letters):
        return plain
    digest = hashlib.sha256(unicodedata.normalize("NFC", name).encode()).hexdigest()[:8]
    return f"{plain}-{digest}".removeprefix("-")


def _words(text: str, *, field: str) -> list[str]:
    words = list(dict.fromkeys(word for part in re.split("[,;]", text) if (word := " ".join(part.split()))))
    if len(words) > MAX_WORDS or any(len(word) > MAX_WORD or not word.isprintable() for word in words):
        raise FieldFault(field, f"Enter at most {MAX_WORDS} {field} of at most {MAX_WORD} characters.")
    return words


def _read_claims(text: str) -> dict[str, Any]:
    if not text.strip():
        return {}
    try:
        claims = parse_object(text.encode(), code="login_parameters", max_bytes=MAX_CLAIMS_BYTES)
    except InvalidToken:
        example = '{"department": "physics"}'
        raise FieldFault("claims", f"This is not a JSON object. Write one like {example}.") from None
    if reserved := sorted(RESERVED_CLAIMS & claims.keys()):
        raise FieldFault("claims", f"The provider sets these claims itself: {', '.join(reserved)}. Leave them out.")
    return claims
