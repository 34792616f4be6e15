"""The endpoints that only inform: the person's session, the public keys, the guard script."""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from bff import contract
from bff.browser.csrf import check_same_origin
from bff.errors import LoginRequired
from bff.web.answers import answer_json
from bff.web.handlers import Handling
from bff.web.problems import login_url

GUARD_SCRIPT = (Path(__file__).parent / "pages" / "guard.js").read_bytes()


class SessionRoutes(Handling):
    """Handlers that change nothing."""

    async def session(self, request: Request) -> Response:
        """Return who is signed in, as JSON. This request does not count as activity."""
        facts = self._facts(request)
        check_same_origin("GET", facts.fetch, origin=facts.urls.origin, strict_reads=False)
        session = await self._current(request)
        if session is None:
            raise LoginRequired()
        identity, urls = session.identity, facts.urls
        answer = {
            "sub": identity.sub,
            "iss": identity.iss,
            "provider": identity.provider,
            "name": identity.name,
            "email": identity.email,
            "email_verified": identity.email_verified,
            "roles": list(identity.roles),
            "groups": list(identity.groups),
            "expires_at": int(session.absolute_expires_at),
            "idle_expires_at": int(session.idle_expires_at),
            "login_url": login_url(urls, "/"),
            "logout_url": urls.base_path + urls.auth_path + contract.PATH_LOGOUT,
        }
        return answer_json(answer, [("cache-control", "no-store"), ("vary", "Cookie")])

    async def jwks(self, request: Request) -> Response:
        return answer_json(self._bff.assertions.jwks(), [("cache-control", "public, max-age=300")])

    async def guard_script(self, request: Request) -> Response:
        caching = {"cache-control": "public, max-age=300", "vary": "Service-Worker"}
        headers = {**caching, "x-content-type-options": "nosniff"}
        return Response(GUARD_SCRIPT, media_type="text/javascript; charset=utf-8", headers=headers)
