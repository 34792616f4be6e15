"""Groups that a provider leaves out of a token because there are too many: Entra ID does so above 200.

Such a token has no groups claim, but a mark that there are some. So the groups are unknown, which is not the same as
none. With `groups_from = "graph"` they are fetched from Microsoft Graph.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from bff.errors import InvalidToken, ProviderUnavailable
from bff.oidc.claims import MARKS_OF_GROUPS_LEFT_OUT, MAX_VALUES, are_groups_left_out
from bff.oidc.strict_json import parse_object
from bff.provider.client import Provider

MEMBER_OBJECTS = "/v1.0/me/getMemberObjects"


async def complete_groups(
    provider: Provider, claims: Mapping[str, Any], *, access_token: str, before: Sequence[str] = ()
) -> tuple[dict[str, Any], str]:
    """Return `claims` of an ID token with the groups, if it only said that there are too many.

    The text is "" if they are known, else why not: a reason code for the audit log. If Microsoft Graph does not answer
    when a session is renewed, its groups stay as they were (`before`). If it refuses, they are unknown.
    """
    if not are_groups_left_out(claims):
        return dict(claims), ""
    if provider.settings.groups_from != "graph":
        return dict(claims), "groups_too_many"
    try:
        groups = await _fetch_groups(provider, access_token)
    except InvalidToken as exc:
        return dict(claims), exc.code
    except ProviderUnavailable as exc:
        if not before:
            return dict(claims), exc.code
        groups = list(before)
    rest = {name: value for name, value in claims.items() if name not in MARKS_OF_GROUPS_LEFT_OUT}
    return {**rest, provider.settings.groups_claim: groups}, ""


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
