"""The whole identity, for an API whose assertion left something out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from bff.access.forwarded_identity import forwarded
from bff.errors import AuthError, BadRequest, InvalidToken, LoginRequired
from bff.oidc.claims import claim_at
from bff.oidc.verified_email import claims_to_go_by
from bff.sessions.assertion import KIT_PLACE, PresentedAssertion, person_claims
from bff.sessions.record import Session
from bff.web.answers import answer_json
from bff.web.handlers import Handling

PERSON = ("sub", "provider", "name", "email", "email_verified", "preferred_username", "roles", "groups", "scope")
"""Claims of an assertion that say who somebody is."""


class IdentityRoutes(Handling):
    """Handlers for APIs. An API shows the assertion that it received, within its minute."""

    async def for_api(self, request: Request) -> Response:
        """Who an assertion speaks of, with the groups that its route may see, and with what did not fit into it."""
        try:
            presented = self._bff.assertions.read(_bearer(request))
        except InvalidToken as refused:
            raise AuthError(refused.code, "This token is not accepted.", status=401, detail=refused.detail) from None
        if not presented.record_name:
            return answer_json({name: presented.claims[name] for name in PERSON if name in presented.claims})
        session = await self._bff.sessions.load(presented.record_name)
        session = session or await self._bff.machines.load(presented.record_name)
        if session is None:
            raise LoginRequired()
        return answer_json(self._describe(presented, self._bff.with_roles(session)))

    def _describe(self, presented: PresentedAssertion, session: Session) -> dict[str, Any]:
        """Describe the person as far as the place of the assertion may know them.

        Raises:
            LoginRequired: there is no such place any more, so nobody can say what it may know.
        """
        place = presented.route
        if place.startswith(KIT_PLACE) and (client := place.removeprefix(KIT_PLACE)) in self._bff.settings.kit_clients:
            audience = str(presented.claims["aud"])
            return describe_person(self._bff.kit_views.told(session, client, audience=audience))
        route = self._bff.settings.route(place)
        if route is None:
            raise LoginRequired("assertion_identity")
        seen = forwarded(session.identity, route.groups_forwarded)
        return describe_person(replace(session, identity=seen), claims=route.claim_headers.values())


def describe_person(session: Session, *, claims: Iterable[str] = ()) -> dict[str, Any]:
    """Describe the person of `session` as JSON: everything that headers and assertions may hold, and `claims`."""
    identity = session.identity
    known = claims_to_go_by(identity)
    found = {claim: known[claim] if claim in known else claim_at(known, claim) for claim in claims}
    return {
        **person_claims(identity),
        "iss": identity.iss,
        "scope": session.tokens.scope,
        "acr": identity.acr,
        "auth_time": identity.auth_time,
        "expires_at": int(session.absolute_expires_at),
        "claims": _present(found),
    }


def _present(claims: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in claims.items() if value is not None}


def _bearer(request: Request) -> str:
    values = request.headers.getlist("authorization")
    if len(values) > 1:
        raise BadRequest("bearer_twice", detail="two Authorization headers")
    scheme, _, token = values[0].partition(" ") if values else ("", "", "")
    if scheme.lower() != "bearer" or not token:
        raise LoginRequired()
    return token
