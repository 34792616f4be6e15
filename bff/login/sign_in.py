"""The use cases of signing in and out: start_login, finish_login, start_logout."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from bff.access.policy import Demands
from bff.audit import Audit
from bff.browser.cookies import CookieNames, DuplicateCookie, build_clear_cookie, mentions_cookie
from bff.contract import EndReason, Identity
from bff.errors import AuthError, CallbackRejected, InvalidToken, ProviderUnavailable, StoreUnavailable
from bff.login.observer import LoginObserver, TellingRefusals, Unobserved
from bff.login.opening import build_opening
from bff.login.transactions import Transactions, cookie_name
from bff.login.trials import Trials
from bff.oidc.authorization import (
    AuthorizationCode,
    AuthorizationDenied,
    AuthorizationResponse,
    LoginTransaction,
    build_authorization_parameters,
    build_authorization_url,
    new_secret,
    parse_authorization_response,
    validate_authorization_response,
)
from bff.oidc.end_session import ByForm, ByRedirect, EndSession, build_end_session, cognito_endpoint
from bff.oidc.id_token import TOO_LONG_AGO
from bff.oidc.metadata import ProviderMetadata
from bff.oidc.tokens import GrantRefused, UnusableTokenResponse, build_code_grant
from bff.provider.claims import fetch_claims
from bff.provider.client import Provider
from bff.provider.groups import complete_groups
from bff.provider.identity import build_identity, find_names, find_unread, find_unread_scope
from bff.sessions.cookie import presented_record
from bff.sessions.lifecycle import Ended, Opened, Sessions
from bff.sessions.record import Session
from bff.settings.public_urls import PublicUrls

LOGOUT_METADATA_SECONDS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Browser:
    """Facts about the browser that sent a request: raw Cookie headers, its address, the public origin it talks to."""

    cookies: Sequence[bytes] = field(repr=False)
    address: str
    urls: PublicUrls
    device: str = ""

    @property
    def cookie_names(self) -> CookieNames:
        return CookieNames.for_origin(secure=self.urls.is_secure)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginRequest:
    """A validated `/auth/login` request; "" means absent.

    `return_to` is a local path, or a URL on an origin of `kit_client` in auth-code mode.
    """

    provider: str
    return_to: str
    prompt: str = ""
    login_hint: str = ""
    ui_locales: str = ""
    max_age: float | None = None
    kit_client: str = ""
    kit_binding: str = ""
    trial: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class LoginStarted:
    """The sign-in has started: send the browser to `url` with these Set-Cookie values."""

    url: str = field(repr=False)
    set_cookies: list[str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class LoginFinished:
    """The person is signed in: send the browser to `return_to`, with a one-time code if there is a `kit_client`."""

    opened: Opened
    return_to: str
    kit_client: str = ""
    kit_binding: str = ""


@dataclass(frozen=True, slots=True)
class LoginDenied:
    """The provider or the person refused. `error` is the provider's code, "" if there is no usable code."""

    error: str
    return_to: str
    provider: str


@dataclass(frozen=True, slots=True)
class LogoutStarted:
    """The local session has ended. `request` tells the provider, None if it takes none.

    `is_provider_silent`: the provider does not answer, so its own session may still be open.
    """

    request: ByRedirect | ByForm | None
    is_provider_silent: bool = False


class SignIn:
    """Sign-in and sign-out at the configured providers."""

    def __init__(
        self,
        providers: Mapping[str, Provider],
        sessions: Sessions,
        transactions: Transactions,
        *,
        trials: Trials,
        audit: Audit,
        clock: Callable[[], float],
        random: Callable[[int], bytes] = os.urandom,
        observer: LoginObserver | None = None,
    ) -> None:
        self.providers = providers
        self._sessions = sessions
        self._transactions = transactions
        self._trials = trials
        self._audit = audit
        self._clock = clock
        self._random = random
        self._observer = observer or Unobserved()
        self._background: set[asyncio.Task[bool]] = set()

    async def start_login(
        self, request: LoginRequest, browser: Browser, *, demands: Demands, replaces: str
    ) -> LoginStarted:
        """Store a transaction and build the URL at the provider.

        Raises:
            ProviderUnavailable: it does not answer, its metadata is not acceptable, or PAR failed.
            Unavailable: `login_limit`, or the store does not answer.
        """
        with TellingRefusals(self._observer):
            provider = self.providers[request.provider]
            metadata = await provider.answering_metadata()
            transaction = await self._new_transaction(request, browser, provider, demands=demands, replaces=replaces)
            parameters = build_authorization_parameters(
                transaction,
                client_id=provider.settings.client_id,
                scopes=provider.settings.scopes,
                response_mode=provider.settings.response_mode,
                prompt=request.prompt,
                login_hint=request.login_hint,
                ui_locales=request.ui_locales,
                further=provider.settings.authorization_parameters,
            )
            await self._transactions.keep(transaction, address=browser.address)
            try:
                parameters = await self._pushed(provider, metadata, parameters)
            except ProviderUnavailable:
                with suppress(
                    CallbackRejected, StoreUnavailable
                ):  # a sign-in that did not start must not count towards the limit
                    await self._transactions.take(transaction.state, address=browser.address)
                raise
            cookies = self._transactions.cookies_to_set(
                transaction.state,
                names=browser.cookie_names,
                sent=browser.cookies,
                now=self._clock(),
                cross_site=provider.settings.response_mode == "form_post",
            )
            self._audit.event("login_started", provider=provider.name)
            return LoginStarted(build_authorization_url(metadata.authorization_endpoint, parameters), cookies)

    async def _pushed(
        self, provider: Provider, metadata: ProviderMetadata, parameters: dict[str, str]
    ) -> dict[str, str]:
        """Return the parameters for the browser. With PAR (RFC 9126), push `parameters` and return a reference."""
        par = provider.settings.par
        if par == "required" or (par == "auto" and metadata.pushed_authorization_request_endpoint):
            request_uri = await provider.push_authorization(parameters)
            return {"client_id": provider.settings.client_id, "request_uri": request_uri}
        if metadata.requires_par:
            raise ProviderUnavailable("par_required", detail="the provider requires PAR but par is off")
        return parameters

    async def finish_login(
        self, provider_name: str, parameters: Sequence[tuple[str, str]], browser: Browser
    ) -> LoginFinished | LoginDenied:
        """Open a session from an authorization response. The response is checked before the provider is called.

        Raises:
            CallbackRejected, InvalidToken: the code names the rule broken.
            ProviderUnavailable, StoreUnavailable: no session was opened.
        """
        with TellingRefusals(self._observer):
            provider = self.providers[provider_name]
            response = parse_authorization_response(parameters)
            self._check_browser(response.state, browser)
            transaction = await self._transactions.take(response.state, address=browser.address)
            async with self._trials.watching(transaction.trial):
                return await self._finish(provider, response, transaction, browser)

    async def _finish(
        self, provider: Provider, response: AuthorizationResponse, transaction: LoginTransaction, browser: Browser
    ) -> LoginFinished | LoginDenied:
        if transaction.origin != browser.urls.origin:
            raise CallbackRejected("callback_origin", detail=f"this sign-in started at {transaction.origin}")
        iss_required = (await provider.metadata()).sends_iss
        validate_authorization_response(response, transaction, provider=provider.name, iss_required=iss_required)
        match response:
            case AuthorizationDenied(error):
                self._audit.event("login_failed", provider=provider.name, reason=error or "denied")
                self._observer.denied(error)
                await self._trials.tell(transaction.trial, denied=error)
                return LoginDenied(error, transaction.return_to, provider.name)
            case AuthorizationCode(code):
                opened = await self._complete(provider, code, transaction, browser)
        self._audit.event("login_ok", session=opened.session)
        await self._trials.tell(transaction.trial, session=opened.session.name)
        for each in opened.ended:
            self._settle(each, opened.session)
        return LoginFinished(opened, transaction.return_to, transaction.kit_client, transaction.kit_binding)

    def _settle(self, ended: Ended, new: Session) -> None:
        """Log a session that `new` replaced, and revoke its refresh token.

        Do not revoke if both belong to one session at the provider: that may revoke the new token too.
        """
        old = ended.session
        self._audit.event("session_ended", session=old, reason=ended.reason)
        is_same = (old.identity.iss, old.identity.sub, old.sid) == (new.identity.iss, new.identity.sub, new.sid)
        if ended.reason != "superseded" and not is_same and (owner := self.providers.get(old.provider)):
            self.revoke_later(owner, old.tokens.refresh_token)

    async def start_logout(self, session: Session, *, everywhere: bool, urls: PublicUrls) -> LogoutStarted:
        """End the local session, then return the provider's end-session request.

        Raises:
            StoreUnavailable: nothing was ended.
        """
        ended = {session.name: session}
        if everywhere:
            every = await self._sessions.end_person(session.identity.iss, session.identity.sub, EndReason.LOGOUT)
            ended |= {each.name: each for each in every}
        await self._sessions.end(session.name, EndReason.LOGOUT)
        self._audit.event("logout", session=session, reason="everywhere" if everywhere else "by_its_person")
        for each in ended.values():
            if owner := self.providers.get(each.provider):
                self.revoke_later(owner, each.tokens.refresh_token)
        provider = self.providers.get(session.provider)
        return await self._end_session(provider, session, urls) if provider else LogoutStarted(None)

    def revoke_later(self, provider: Provider, refresh_token: str) -> None:
        """Revoke a refresh token in the background."""
        if refresh_token:
            task = asyncio.create_task(provider.revoke(refresh_token))
            self._background.add(task)
            task.add_done_callback(self._background.discard)

    async def drain(self) -> None:
        """Wait for the running revocations; each takes at most 2 s."""
        if self._background:
            await asyncio.gather(*self._background, return_exceptions=True)

    async def wanted_page(self, parameters: Sequence[tuple[str, str]], browser: Browser) -> str:
        """Return where the sign-in of this callback was to lead, "" if nobody knows. The sign-in stays as it is."""
        state = dict(parameters).get("state", "")
        if not state or not state.isascii():
            return ""
        try:
            transaction = await self._transactions.look_at(state)
        except StoreUnavailable:
            return ""
        if transaction is None or transaction.kit_client or transaction.origin != browser.urls.origin:
            return ""
        return transaction.return_to

    def clear_transaction_cookie(self, parameters: Sequence[tuple[str, str]], browser: Browser) -> list[str]:
        """Return Set-Cookie values that delete the transaction's cookie after a callback, if the browser has it."""
        state = dict(parameters).get("state", "")
        if not state or not state.isascii():
            return []
        name = cookie_name(state, browser.cookie_names)
        if not mentions_cookie(browser.cookies, name):
            return []
        return [build_clear_cookie(name, secure=browser.cookie_names.secure)]

    async def _new_transaction(
        self, request: LoginRequest, browser: Browser, provider: Provider, *, demands: Demands, replaces: str
    ) -> LoginTransaction:
        ages = [age for age in (request.max_age, demands.max_age) if age is not None]
        return LoginTransaction(
            state=new_secret(self._random),
            nonce=new_secret(self._random),
            code_verifier=new_secret(self._random),
            provider=provider.name,
            issuer=provider.issuer,
            redirect_uri=browser.urls.callback(provider.name),
            origin=browser.urls.origin,
            return_to=request.return_to,
            started_at=await self._sessions.store.now(),
            replaces=replaces,
            max_age=min(ages) if ages else None,
            page_max_age=demands.max_age,
            acr_values=demands.acr_values,
            kit_client=request.kit_client,
            kit_binding=request.kit_binding,
            trial=request.trial,
            asks_for_proof=request.prompt == "login" or bool(ages),
        )

    def _check_browser(self, state: str, browser: Browser) -> None:
        try:
            bound = self._transactions.is_bound(
                state, names=browser.cookie_names, sent=browser.cookies, now=self._clock()
            )
        except DuplicateCookie:
            bound = False
        if not bound:
            raise CallbackRejected("callback_foreign_browser", detail="this sign-in's cookie is missing")

    async def _complete(self, provider: Provider, code: str, transaction: LoginTransaction, browser: Browser) -> Opened:
        try:
            answer = await provider.request_token(build_code_grant(code, transaction))
        except UnusableTokenResponse as exc:
            self.revoke_later(provider, exc.refresh_token)
            raise
        if isinstance(answer, GrantRefused):
            raise CallbackRejected("token_refused", detail=answer.error or f"status {answer.status}")
        try:
            sources = await fetch_claims(provider, answer, transaction, code=code, now=self._clock())
            groups = await complete_groups(provider, sources["id_token"], access_token=answer.access_token)
            sources = {**sources, "id_token": groups.claims}
            identity = build_identity(sources, provider=provider.name, settings=provider.settings)
            _check_recent(identity, transaction, now=self._clock())
            found_in = find_names(sources, settings=provider.settings)
            opening = build_opening(identity, answer, transaction, settings=provider.settings, found_in=found_in)
            opened = await self._sessions.open(replace(opening, device=browser.device))
            if opened is None:
                raise CallbackRejected("login_ended", detail="a logout ended it before it was finished")
            presented = self._presented_record(browser)
            if presented not in ("", transaction.replaces):  # another tab has signed in since this sign-in started
                more = await self._sessions.end_replaced(presented, by=opened.session)
                opened = replace(opened, ended=(*opened.ended, *more))
        except AuthError:
            self.revoke_later(provider, answer.refresh_token)
            raise
        for unread in (*find_unread(sources, settings=provider.settings), *find_unread_scope(answer)):
            self._audit.event("claim_unread", session=opened.session, reason=unread.claim, detail=unread.says)
        if groups.reason:
            self._audit.event("groups_unknown", session=opened.session, reason=groups.reason, detail=groups.detail)
        self._observer.signed_in(opened.session, answer=answer, sources=sources)
        return opened

    def _presented_record(self, browser: Browser) -> str:
        """Return the record name of the session that the new cookie replaces, "" if there is none."""
        return presented_record(browser.cookies, self._sessions, names=browser.cookie_names, audit=self._audit)

    async def _end_session(self, provider: Provider, session: Session, urls: PublicUrls) -> LogoutStarted:
        try:
            metadata = await provider.answering_metadata(seconds=LOGOUT_METADATA_SECONDS)
        except ProviderUnavailable:
            return LogoutStarted(None, is_provider_silent=True)
        endpoint, landing = metadata.end_session_endpoint, urls.post_logout
        if provider.settings.logout_method == "cognito":
            endpoint = endpoint or cognito_endpoint(metadata.authorization_endpoint)
            landing = replace(urls, has_old_names=False).post_logout  # Cognito does nothing without one
        if not endpoint:
            return LogoutStarted(None)
        request = EndSession(
            endpoint=endpoint,
            id_token_hint=session.tokens.id_token if provider.settings.id_token_hint else "",
            client_id=provider.settings.client_id,
            post_logout_redirect_uri=landing,
            state=new_secret(self._random) if landing else "",
        )
        return LogoutStarted(
            build_end_session(request, method=provider.settings.logout_method, identity=session.identity)
        )


def _check_recent(identity: Identity, transaction: LoginTransaction, *, now: float) -> None:
    """Refuse an authentication that is too old for the page: the page would send the person here again and again.

    Raises:
        InvalidToken: `id_token_auth_time`.
    """
    if transaction.page_max_age is not None and now - identity.auth_time > transaction.page_max_age:
        raise InvalidToken("id_token_auth_time", TOO_LONG_AGO, detail="older than the page accepts")
