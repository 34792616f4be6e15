"""Identity headers for upstreams and forward-auth answers: always all headers of a preset, empty if unknown.

No header is left out, because a client could send a header that we leave out. Values are printable ASCII. Everything
else is percent-encoded UTF-8, and so are `%` and, inside lists, `,`. The headers of one request have a bounded size: a
value that does not fit is empty, and `X-Auth-Request-Omitted` names it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bff import contract
from bff.access.forwarded_identity import choose_omitted
from bff.contract import IDENTITY_BYTES, IDENTITY_LINE_BYTES, Identity
from bff.oidc.verified_email import claims_to_go_by
from bff.settings.tables import HeaderPreset
from gateway.headers.request import RawHeaders

_PRESETS: Final[Mapping[HeaderPreset, Mapping[str, str]]] = {
    "x-auth-request": {
        "x-auth-request-user": "user",
        "x-auth-request-email": "email",
        "x-auth-request-groups": "groups",
        "x-auth-request-roles": "roles",
        "x-auth-request-preferred-username": "preferred_username",
        "x-auth-request-name": "name",
        "x-auth-request-provider": "provider",
    },
    "x-forwarded": {
        "x-forwarded-user": "user",
        "x-forwarded-email": "email",
        "x-forwarded-groups": "groups",
        "x-forwarded-preferred-username": "preferred_username",
    },
    "remote": {
        "remote-user": "user",
        "remote-groups": "groups",
        "remote-email": "email",
        "remote-name": "name",
    },
    "none": {},
}
_UNSAFE: Final = re.compile(r"[^ -$&-~]|^ | $")
_UNSAFE_IN_LIST: Final = re.compile(r"[^ -$&-+\--~]|^ | $")
_ALWAYS_SENT: Final = frozenset({"user", "provider"})
"""Their length is bounded where they come from."""
_OMITTED: Final = contract.HEADER_OMITTED.lower().encode()
_LINE_OVERHEAD: Final = len(": \r\n")
_STANDARD: Final = frozenset(
    {"sub", "iss", "provider", "name", "email", "email_verified", "preferred_username", "roles", "groups", "acr"}
)


@dataclass(frozen=True, slots=True)
class IdentityHeaders:
    """The headers that name a person, and the names of the values that did not fit."""

    headers: RawHeaders
    omitted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Line:
    """One header. `field` is what `X-Auth-Request-Omitted` calls it, "" for one that is always sent."""

    name: bytes
    value: bytes
    field: str = ""

    @property
    def size(self) -> int:
        return len(self.name) + len(self.value) + _LINE_OVERHEAD


def build_identity_headers(
    preset: HeaderPreset,
    identity: Identity | None,
    *,
    subject_key: str = "",
    several_providers: bool = False,
    claim_headers: Mapping[str, str] | None = None,
    most_bytes: int = IDENTITY_BYTES,
) -> IdentityHeaders:
    """Build the headers of `preset` and `claim_headers` (header name → claim) for `identity`. Without one all are
    empty.

    `subject_key` is the stable key of a person (`X-Auth-Request-Id`), sent with every preset but `none`.
    With `several_providers` the user is `<provider>:<sub>`. All lines together have at most `most_bytes`.
    """
    values = _values(identity, several_providers=several_providers)
    lines = [
        _Line(name.encode(), values[field], "" if field in _ALWAYS_SENT else field)
        for name, field in _PRESETS[preset].items()
    ]
    if preset != "none":
        key = encode_value(subject_key) if identity is not None else b""
        lines.append(_Line(contract.HEADER_SUBJECT_KEY.lower().encode(), key))
    for name, claim in (claim_headers or {}).items():
        value = b"" if identity is None else _claim_value(_claim(identity, claim))
        lines.append(_Line(name.lower().encode("ascii"), value, claim))
    built = _bounded(lines, most_bytes)
    return IdentityHeaders(built.headers[:-1]) if preset == "none" and not built.omitted else built


def _bounded(lines: Sequence[_Line], most_bytes: int) -> IdentityHeaders:
    """Empty what does not fit, and add the header that names it as the last one. It is empty if everything fits."""
    sizes: dict[str, int] = {}
    for line in lines:
        if line.field and line.value:
            sizes[line.field] = sizes.get(line.field, 0) + len(line.value)
    marker = len(_OMITTED) + _LINE_OVERHEAD
    surplus = sum(line.size for line in lines) + marker - most_bytes
    too_long = frozenset(line.field for line in lines if line.field and line.size > IDENTITY_LINE_BYTES)
    omitted: tuple[str, ...] = ()
    if surplus > 0 or too_long:
        omitted = choose_omitted(sizes, surplus=surplus + len(encode_list(list(sizes))), too_long=too_long)
    headers = [(line.name, b"" if line.field in omitted else line.value) for line in lines]
    return IdentityHeaders([*headers, (_OMITTED, encode_list(omitted))], omitted)


def encode_value(value: str) -> bytes:
    """Percent-encode what a header must not hold: non-ASCII, controls, `%`, a space at the start or end."""
    return _UNSAFE.sub(_percent, value).encode("ascii")


def encode_list(values: Sequence[str]) -> bytes:
    """Join values with commas. A comma inside a value is encoded, so that one group is never read as two."""
    return b",".join(_UNSAFE_IN_LIST.sub(_percent, value).encode("ascii") for value in values)


def _values(identity: Identity | None, *, several_providers: bool) -> dict[str, bytes]:
    if identity is None:
        return dict.fromkeys(("user", "email", "groups", "roles", "preferred_username", "name", "provider"), b"")
    user = f"{identity.provider}:{identity.sub}" if several_providers else identity.sub
    return {
        "user": encode_value(user),
        "email": encode_value(_verified(identity)),
        "groups": encode_list(identity.groups),
        "roles": encode_list(identity.roles),
        "preferred_username": encode_value(identity.preferred_username),
        "name": encode_value(identity.name),
        "provider": encode_value(identity.provider),
    }


def _claim(identity: Identity, claim: str) -> Any:
    """Find a claim by its full name, then as a dotted path, then among the standard claims."""
    if claim == "email":
        return _verified(identity)
    claims = claims_to_go_by(identity)
    if claim in claims:
        return claims[claim]
    value: Any = claims
    for part in claim.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    if value is None and claim in _STANDARD:
        return getattr(identity, claim)
    return value


def _verified(identity: Identity) -> str:
    """Return the address, or "" if it is not verified: an application would believe that it is the person's."""
    return identity.email if identity.email_verified else ""


def _claim_value(value: Any) -> bytes:
    match value:
        case bool():
            return b"true" if value else b"false"
        case str():
            return encode_value(value)
        case int() | float():
            return str(value).encode("ascii")
        case list() | tuple():
            return encode_list([str(item) for item in value if isinstance(item, str | int)])
        case _:
            return b""


def _percent(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match.group().encode("utf-8", "replace"))
