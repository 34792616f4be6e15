"""Groups that a provider leaves out of a token because there are too many: Entra ID does so above 200.

Such a token has no groups claim, but a mark that there are some. So the groups are unknown, which is not the same as
none. With `groups_from = "graph"` they are fetched from Microsoft Graph.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from bff.errors import InvalidToken, ProviderUnavailable
from bff.oidc.claims import GROUPS_UNREACHABLE, MARKS_OF_GROUPS_LEFT_OUT, MAX_VALUES, are_groups_left_out
from bff.oidc.strict_json import parse_object
from bff.provider.client import Provider

MEMBER_OBJECTS: Final = "/v1.0/me/getMemberObjects"
UNREACHABLE: Final = "groups_unreachable"


@dataclass(frozen=True, slots=True)
class Completed:
    """The claims of an ID token with the groups. `reason` is "" if they are known now, else a code for the audit log.

    `detail` says more, also when old groups were kept.
    """

    claims: dict[str, Any]
    reason: str = ""
    detail: str = ""


async def complete_groups(
    provider: Provider, claims: Mapping[str, Any], *, access_token: str, before: Sequence[str] = ()
) -> Completed:
    """Complete `claims` of an ID token with the groups, if it only said that there are too many.

    If Microsoft Graph does not answer when a session is renewed, its groups stay as they were (`before`). If it
    refuses, they are unknown.
    """
    if not are_groups_left_out(claims):
        return Completed(dict(claims))
    if provider.settings.groups_from != "graph":
        return Completed(dict(claims), "groups_too_many")
    reason, detail = "", ""
    try:
        groups = await _fetch_groups(provider, access_token)
    except InvalidToken as exc:
        return Completed(dict(claims), exc.code, exc.detail)
    except ProviderUnavailable as exc:
        reason, detail = UNREACHABLE, f"{exc.code} at Microsoft Graph ({exc.detail})"
        if not before:
            return Completed({**claims, GROUPS_UNREACHABLE: True}, reason, detail)
        groups, detail = list(before), f"{detail}; the groups known before stay"
    rest = {name: value for name, value in claims.items() if name not in MARKS_OF_GROUPS_LEFT_OUT}
    return Completed({**rest, provider.settings.groups_claim: groups}, reason, detail)


async def _fetch_groups(provider: Provider, access_token: str) -> list[str]:
    """Ask Microsoft Graph for the ids of all groups of the person, also of indirect ones. It is on userinfo's host.

    Raises:
        ProviderUnavailable: it does not answer.
        InvalidToken: `groups_refused`, `groups_malformed`.
    """
    userinfo = (await provider.metadata()).userinfo_endpoint
    if not userinfo:
        raise InvalidToken("groups_refused", detail="there is no userinfo endpoint, whose host is that of Graph")
    place = urlunsplit(urlsplit(userinfo)._replace(path=MEMBER_OBJECTS, query=""))
    answer = await provider.post_json(place, {"securityEnabledOnly": False}, access_token=access_token)
    if answer.status != 200:
        raise InvalidToken("groups_refused", detail=f"status {answer.status}: is GroupMember.Read.All granted?")
    groups = parse_object(answer.body, code="groups_malformed").get("value")
    if not isinstance(groups, list) or len(groups) > MAX_VALUES or not all(isinstance(name, str) for name in groups):
        raise InvalidToken("groups_malformed", detail="value is not a list of ids")
    return groups
