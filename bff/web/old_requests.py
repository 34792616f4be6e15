"""Read requests below `/oauth2` as oauth2-proxy reads them: the target of a sign-in, and who may pass. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import unquote_plus

from bff.access.requirements import unmet
from bff.contract import Identity
from bff.errors import BadRequest, Forbidden
from bff.settings.tables import Requirements
from bff.web.login_requests import query_pairs

TARGET: Final = "rd"
_KEY_OF: Final[Mapping[str, str]] = {
    "allowed_groups": "groups_any",
    "allowed_emails": "emails",
    "allowed_email_domains": "email_domains",
}
USERS: Final = "allowed_users"
ALL_MUST_HOLD: Final = "require_all_matches"
SOME_MUST_BE_THERE: Final = "constraints_required"
_TRUE: Final = frozenset({"1", "t", "true"})
_FALSE: Final = frozenset({"0", "f", "false"})


def read_target(query: bytes) -> str:
    """Return the parameter `rd`, "" if there is none. The first one counts.

    nginx cannot encode a value. So its usual line writes the whole address as it is, with its own query behind it:
    `rd=https://name/path?a=1&b=2`. Such a value is recognised by `://` or `?`, which no encoder leaves in a value. It
    goes on to the end of the query, and its escapes belong to the address.
    """
    text = query.decode("latin-1")
    _before, found, rest = ("&" + text).partition(f"&{TARGET}=")
    if not found:
        return ""
    value = rest.partition("&")[0]
    if "?" in value:
        return rest
    return value if "://" in value else unquote_plus(value, errors="replace")


@dataclass(frozen=True, slots=True)
class WhoMayPass:
    """The rules in the query of `/oauth2/auth`. Each one must hold."""

    require: Requirements = field(default_factory=Requirements)
    users: tuple[str, ...] = ()

    def unmet(self, identity: Identity, *, roles_are_groups: bool) -> str:
        """Return the first rule that `identity` does not meet, "" if all hold.

        `roles_are_groups`: a role counts as the group `role:NAME` too. oauth2-proxy does so with Keycloak.
        """
        if self.users and identity.sub not in self.users:
            return USERS
        if roles_are_groups:
            groups = (*identity.groups, *(f"role:{role}" for role in identity.roles))
            identity = replace(identity, groups=groups)
        key = unmet(self.require, identity)
        return next((name for name, wanted in _KEY_OF.items() if wanted == key), key)


def read_rules(query: bytes) -> WhoMayPass:
    """Return the rules of a question to `/oauth2/auth`.

    A parameter that nobody here knows may be a rule, and one that came twice has two meanings. Both refuse everybody:
    the proxy's configuration must be corrected.

    Raises:
        Forbidden: `forward_auth_rules`, with the parameter in the detail.
    """
    try:
        pairs = query_pairs(query, code="bad_request")
    except BadRequest:
        raise _wrong("the query is not form encoded") from None
    values = dict(pairs)
    if len(values) < len(pairs):
        raise _wrong("a parameter came twice")
    lists: dict[str, tuple[str, ...]] = {}
    for name, value in pairs:
        if name in (ALL_MUST_HOLD, SOME_MUST_BE_THERE):
            continue
        if name not in (*_KEY_OF, USERS):
            raise _wrong(f"no such rule: {name[:40]!a}")
        lists[name] = tuple(item for item in (part.strip() for part in value.split(",")) if item)
        if not lists[name]:
            raise _wrong(f"{name} names nobody")
    if not _is_true(values.get(ALL_MUST_HOLD, "true"), ALL_MUST_HOLD):
        raise _wrong(f"{ALL_MUST_HOLD}=false: here each rule must hold")
    if _is_true(values.get(SOME_MUST_BE_THERE, "false"), SOME_MUST_BE_THERE) and not lists:
        raise _wrong(f"{SOME_MUST_BE_THERE}=true, and there is no rule")
    users = lists.pop(USERS, ())
    return WhoMayPass(Requirements(**{_KEY_OF[name]: items for name, items in lists.items()}), users)


def _is_true(text: str, name: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise _wrong(f"{name} is neither true nor false")


def _wrong(detail: str) -> Forbidden:
    return Forbidden(
        "forward_auth_rules",
        "The proxy in front of this application is not set up as it must be. Please tell whoever runs it.",
        detail=detail,
    )
