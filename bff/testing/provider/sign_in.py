"""The authorization endpoint and its page: find out who is there, and send them to the client with a code."""

from __future__ import annotations

from collections.abc import Callable

from bff.testing.provider.authorization_request import (
    AuthorizationRequest,
    RefusedAtClient,
    parse_authorization_request,
)
from bff.testing.provider.grants import CODE_SECONDS, Grant
from bff.testing.provider.messages import Refused, Reply, Request, parse_parameters, redirect
from bff.testing.provider.pages import Desk
from bff.testing.provider.people import FieldFault, Typed, read_person
from bff.testing.provider.sessions import Session
from bff.testing.provider.sign_out import SignOut
from bff.testing.provider.state import ProviderState

Answer = Callable[[Request, AuthorizationRequest, str], Reply]
ASKING_PROMPTS = frozenset({"login", "consent", "select_account"})


class SignIn:
    """The endpoint. The request stays in the page's address: a reload, or a restart of the provider, loses nothing."""

    def __init__(self, state: ProviderState, sign_out: SignOut) -> None:
        self._state = state
        self._sign_out = sign_out

    def authorize(self, request: Request) -> Reply:
        """OpenID Connect Core, section 3.1.2: by GET or POST."""
        raw_query = request.raw_form if request.method == "POST" else request.raw_query
        return self._or_back(request, raw_query, self._answer)

    def chosen(self, request: Request) -> Reply:
        """The form of the page: one of the people, somebody else, or Cancel."""
        if request.is_from_elsewhere:
            raise Refused(403, "access_denied", "This form belongs to the sign-in page of this provider.")
        return self._or_back(request, request.raw_query, self._signed_in)

    def _or_back(self, request: Request, raw_query: str, answer: Answer) -> Reply:
        """Return the reply of `answer`; if it refuses, send the person to the client with the reason."""
        try:
            asked = parse_authorization_request(parse_parameters(raw_query), self._state.client)
            return answer(request, asked, raw_query)
        except RefusedAtClient as refused:
            asked = refused.asked
            return self._back(asked, error=refused.error, error_description=str(refused))

    def _answer(self, request: Request, asked: AuthorizationRequest, raw_query: str) -> Reply:
        state = self._state
        now = state.clock()
        if not state.interactive:
            return self._with_code(asked, state.sessions.open(state.next_person, now=now, acr=asked.acr))
        session = self._session_of(request)
        if session and not asked.prompts & ASKING_PROMPTS and asked.is_met_by(session, now=now):
            return self._with_code(asked, session)
        if "none" in asked.prompts:
            raise RefusedAtClient(asked, "login_required", "nobody is signed in here, or not well enough")
        return self._desk(asked, raw_query, session).page()

    def _signed_in(self, request: Request, asked: AuthorizationRequest, raw_query: str) -> Reply:
        form, people = request.form, self._state.people
        before = self._session_of(request)
        if form.get("action") == "deny":
            raise RefusedAtClient(asked, "access_denied", "the person cancelled")
        if "name" in form:
            typed = Typed(**{name: form.get(name, "") for name in ("name", "roles", "groups", "claims")})
            try:
                person = read_person(typed, known=people)
            except FieldFault as fault:
                return self._desk(asked, raw_query, before).page(typed=typed, fault=fault)
            people[person.sub] = person
        elif (sub := form.get("sub", "")) in people:
            person = people[sub]
        else:
            raise Refused(400, "invalid_request", "Nobody here has that name.")
        session = self._session_for(person.sub, asked, before)
        cookie = f"{self._state.cookie_name}={session.cookie}; Path=/; HttpOnly; SameSite=Lax"
        return self._with_code(asked, session, headers=(("Set-Cookie", cookie),))

    def _session_for(self, sub: str, asked: AuthorizationRequest, before: Session | None) -> Session:
        """Keep the session if it is the same person. Another person ends it, everywhere it was used."""
        sessions, now = self._state.sessions, self._state.clock()
        if before and before.sub == sub:
            return sessions.renew(before, now=now, acr=asked.acr)
        if before:
            self._sign_out.end(before)
        return sessions.open(sub, now=now, acr=asked.acr)

    def _desk(self, asked: AuthorizationRequest, raw_query: str, session: Session | None) -> Desk:
        return Desk(
            client=self._state.client.name,
            people=list(self._state.people.values()),
            here=session.sub if session else "",
            hint=asked.login_hint,
            action=f"/sign-in?{raw_query}",
        )

    def _session_of(self, request: Request) -> Session | None:
        return self._state.sessions.of_cookie(request.cookies.get(self._state.cookie_name, ""))

    def _with_code(
        self, asked: AuthorizationRequest, session: Session, *, headers: tuple[tuple[str, str], ...] = ()
    ) -> Reply:
        grant = Grant(
            sub=session.sub,
            sid=session.sid,
            scope=asked.scope,
            nonce=asked.nonce,
            auth_time=session.auth_time,
            acr=session.acr,
            redirect_uri=asked.redirect_uri,
            code_challenge=asked.code_challenge,
            expires_at=self._state.clock() + CODE_SECONDS,
        )
        return self._back(asked, headers=headers, code=self._state.grants.issue_code(grant))

    def _back(
        self, asked: AuthorizationRequest, *, headers: tuple[tuple[str, str], ...] = (), **parameters: str
    ) -> Reply:
        """Send the person to the client, with `state` and the issuer (RFC 9207)."""
        return redirect(asked.redirect_uri, headers=headers, **parameters, state=asked.state, iss=self._state.issuer)
