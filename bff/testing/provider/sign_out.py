"""Sign-out at the provider: a client asks for it, or the person, or somebody on the provider's own page."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from urllib.parse import urlencode

import httpx

from bff.testing.provider.messages import Refused, Reply, Request, redirect
from bff.testing.provider.pages import sessions_page, sign_out_question, signed_out_page
from bff.testing.provider.sessions import Session
from bff.testing.provider.state import ProviderState

LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
LOGOUT_TOKEN_SECONDS = 120
PATIENCE_SECONDS = 5.0


class SignOut:
    """Ends sessions of `state`, and tells the client of each."""

    def __init__(self, state: ProviderState) -> None:
        self._state = state

    def end_session(self, request: Request) -> Reply:
        """RP-Initiated Logout 1.0: sign out at once if the client shows its ID token, else after a question."""
        sent = request.form if request.method == "POST" else request.query
        hinted = self._hinted(sent.get("id_token_hint", ""))
        kept = self._kept(sent, is_known=hinted is not None)
        here = self._session_of(request)
        is_certain = hinted is not None and (here is None or here.sub == hinted["sub"])
        if here and self._state.interactive and not is_certain:
            return sign_out_question(self._name(here.sub), action=f"/logout/confirmed?{urlencode(kept)}")
        named = self._state.sessions.of_sid(str(hinted.get("sid", ""))) if hinted else None
        return self._leave(kept, *(one for one in (here, named) if one))

    def confirmed(self, request: Request) -> Reply:
        """The person pressed Sign out."""
        self._check_origin(request)
        kept = self._kept(request.query, is_known=False)
        here = self._session_of(request)
        return self._leave(kept, *([here] if here else []))

    def home(self, request: Request) -> Reply:
        """Who is signed in."""
        return self._sessions(request)

    def end_one(self, request: Request) -> Reply:
        """End one session, by its button on the page of all sessions."""
        self._check_origin(request)
        session = self._state.sessions.of_sid(request.form.get("sid", ""))
        return self._sessions(request, notice=self.end(session) if session else "That session has ended already.")

    def end(self, session: Session) -> str:
        """End a session and all it granted, tell the client, and say in a sentence what happened."""
        if self._state.sessions.end(session.sid) is None:
            return "That session has ended already."
        self._state.grants.revoke_session(session.sid)
        return f"The session of {self._name(session.sub)} has ended. {self._tell_client(session)}"

    def _tell_client(self, session: Session) -> str:
        """Call the client (Back-Channel Logout 1.0, section 2.5) and return what it answered, as a sentence."""
        client = self._state.client
        if not client.backchannel_logout_uri:
            return f"{client.name} has no address for back-channel logout, so it was not told."
        token = self._logout_token(session)
        try:
            with httpx.Client(trust_env=False, timeout=PATIENCE_SECONDS) as http:
                status = http.post(client.backchannel_logout_uri, data={"logout_token": token}).status_code
        except (httpx.HTTPError, httpx.InvalidURL) as exc:
            return f"{client.name} could not be told: {type(exc).__name__}."
        outcome = "was told" if status in (200, 204) else "was told, but did not accept it"
        return f"{client.name} {outcome} (back-channel logout, status {status})."

    def _logout_token(self, session: Session) -> str:
        claims = {
            "aud": self._state.client.client_id,
            "sub": session.sub,
            "sid": session.sid,
            "jti": secrets.token_hex(16),
            "exp": int(self._state.clock()) + LOGOUT_TOKEN_SECONDS,
            "events": {LOGOUT_EVENT: {}},
        }
        return self._state.sign(claims, typ="logout+jwt")

    def _hinted(self, id_token: str) -> Mapping[str, object] | None:
        """Return the claims of our ID token for the client, of any age. For any other token the person is asked."""
        claims = self._state.keys.read(id_token, typ="JWT") if id_token else None
        return claims if claims and claims.get("aud") == self._state.client.client_id else None

    def _kept(self, sent: Mapping[str, str], *, is_known: bool) -> dict[str, str]:
        """Where the person goes after the sign-out. Only a known client may name an address."""
        client, back = self._state.client, sent.get("post_logout_redirect_uri", "")
        if "client_id" in sent and sent["client_id"] != client.client_id:
            raise Refused(400, "invalid_client", "No such client is registered here.")
        if not back or not (is_known or "client_id" in sent):
            return {}
        if not client.may_end_at(back):
            raise Refused(400, "invalid_request", "This post_logout_redirect_uri is not one of the client's.")
        return {"client_id": client.client_id, "post_logout_redirect_uri": back, "state": sent.get("state", "")}

    def _leave(self, kept: Mapping[str, str], *sessions: Session) -> Reply:
        for session in dict.fromkeys(sessions):
            self.end(session)
        gone = (("Set-Cookie", f"{self._state.cookie_name}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"),)
        if not kept:
            return signed_out_page(headers=gone)
        return redirect(kept["post_logout_redirect_uri"], headers=gone, state=kept["state"])

    def _sessions(self, request: Request, *, notice: str = "") -> Reply:
        here = self._session_of(request)
        return sessions_page(
            self._state.sessions.all(),
            people=self._state.people,
            here=here.sid if here else "",
            issuer=self._state.issuer,
            client=self._state.client,
            notice=notice,
        )

    def _session_of(self, request: Request) -> Session | None:
        return self._state.sessions.of_cookie(request.cookies.get(self._state.cookie_name, ""))

    def _name(self, sub: str) -> str:
        return self._state.people[sub].name if sub in self._state.people else sub

    def _check_origin(self, request: Request) -> None:
        if request.is_from_elsewhere:
            raise Refused(403, "access_denied", "This form belongs to a page of this provider.")
