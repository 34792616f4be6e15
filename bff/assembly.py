"""The parts of the backend-for-frontend, wired from one `Settings`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import httpx

from bff.access.roles import with_local_roles
from bff.audit import Audit
from bff.browser.cookies import CookieNames, cookie_headers
from bff.kit.credentials import KitCredentials
from bff.kit.one_time_codes import KitCodes
from bff.kit.page_state import KitStates
from bff.kit.views import KitViews
from bff.login.observer import LoginObserver
from bff.login.return_targets import ReturnTargets
from bff.login.sign_in import SignIn
from bff.login.transactions import Transactions
from bff.login.trials import Trials
from bff.provider.client import Provider, http_client_for
from bff.sessions.assertion import Assertions
from bff.sessions.cookie import presented_record
from bff.sessions.keyring import Keyring
from bff.sessions.lifecycle import Sessions
from bff.sessions.machines import Machines
from bff.sessions.omissions import Omissions
from bff.sessions.record import Session
from bff.sessions.refresh import TokenRefresher
from bff.sessions.upstream_tokens import UpstreamTokens
from bff.settings.public_urls import PublicUrls, callback_path_of, origins_by_host, urls_of_origin
from bff.settings.tables import Settings
from bff.stores import open_store
from bff.stores.protocol import Store


@dataclass(frozen=True, slots=True)
class Bff:
    """Everything `/auth` and the gateway need, once per process."""

    settings: Settings
    urls: PublicUrls
    origins: dict[str, PublicUrls]
    keyring: Keyring
    store: Store
    sessions: Sessions
    transactions: Transactions
    trials: Trials
    return_targets: ReturnTargets
    sign_in: SignIn
    tokens: TokenRefresher
    assertions: Assertions
    machines: Machines
    upstream_tokens: UpstreamTokens
    kit: KitCredentials
    kit_views: KitViews
    kit_codes: KitCodes
    kit_states: KitStates
    omissions: Omissions
    audit: Audit
    clock: Callable[[], float]

    @property
    def cookie_names(self) -> CookieNames:
        return CookieNames.for_origin(secure=self.urls.is_secure)

    def presented_record(self, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """The record name in the session cookie of a request, "" when nobody is signed in. No I/O."""
        return presented_record(cookie_headers(headers), self.sessions, names=self.cookie_names, audit=self.audit)

    def with_roles(self, session: Session) -> Session:
        """Add the local roles of `[roles.*]` to `session`, as routes, headers, assertions and the kit need it."""
        rules, scopes = self.settings.roles, session.tokens.scopes
        return replace(session, identity=with_local_roles(session.identity, rules, scopes=scopes))

    def belongs_to(self, session: Session, urls: PublicUrls) -> bool:
        """True if `session` belongs to the origin of `urls`. A cookie shown at another origin is refused and logged."""
        if session.origin == urls.origin:
            return True
        self.audit.event("request_refused", session=session, reason="session_origin", detail=session.origin)
        return False

    def urls_of(self, session: Session) -> PublicUrls | None:
        """Return the URLs of the session's origin, None if that origin is no longer served."""
        return urls_of_origin(self.origins, session.origin)

    async def aclose(self) -> None:
        """Finish the grants and revocations that are running, then close every connection."""
        await self.tokens.drain()
        await self.sign_in.drain()
        for provider in self.sign_in.providers.values():
            await provider.aclose()
        await self.store.aclose()


def assemble(
    settings: Settings,
    *,
    store: Store | None = None,
    http: httpx.AsyncClient | None = None,
    clock: Callable[[], float] = time.time,
    observer: LoginObserver | None = None,
    audit: Audit | None = None,
) -> Bff:
    """Build the parts. `store` and `http` replace those of the settings; `clock` gives Unix seconds.

    `observer` is told how sign-ins end."""
    keyring = Keyring([key.get_secret_value().encode() for key in settings.secrets.keys])
    store = store or open_store(settings, clock=clock)
    audit = audit or Audit()
    providers = _providers(settings, http=http, clock=clock)
    origins = origins_by_host(settings.server, callback_path=callback_path_of(settings))
    urls = next(iter(origins.values()))
    sessions = Sessions(store, keyring, settings.session)
    transactions = Transactions(store, keyring, settings.limits)
    trials = Trials(store, keyring, seconds=settings.limits.login_seconds)
    margin = settings.session.refresh_before_expiry_seconds
    tokens = TokenRefresher(sessions, providers, audit=audit, clock=clock, refresh_before_expiry=margin)
    assertions = Assertions(keyring, issuer=urls.base, clock=clock)
    machines = Machines(sessions, clock=clock)
    return Bff(
        settings=settings,
        urls=urls,
        origins=origins,
        keyring=keyring,
        store=store,
        sessions=sessions,
        transactions=transactions,
        trials=trials,
        return_targets=ReturnTargets(store, keyring, settings.limits),
        sign_in=SignIn(providers, sessions, transactions, trials=trials, audit=audit, clock=clock, observer=observer),
        tokens=tokens,
        assertions=assertions,
        machines=machines,
        upstream_tokens=UpstreamTokens(sessions, tokens, assertions, providers, machines=machines, clock=clock),
        kit=KitCredentials(settings.kit_clients, keyring),
        kit_views=KitViews(settings.kit_clients, settings.routes, origins),
        kit_codes=KitCodes(sessions, keyring, audit=audit),
        kit_states=KitStates(store, keyring, seconds=settings.session.absolute_seconds),
        omissions=Omissions(store, audit, clock=clock),
        audit=audit,
        clock=clock,
    )


def _providers(
    settings: Settings, *, http: httpx.AsyncClient | None, clock: Callable[[], float]
) -> dict[str, Provider]:
    return {
        name: Provider(name, provider, http=http or http_client_for(provider, settings.outgoing), clock=clock)
        for name, provider in settings.providers.items()
    }
