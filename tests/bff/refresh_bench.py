"""A person who is signed in at the fake provider, with a separate clock, and the renewal of their access token."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from typing import Any

from bff.audit import Audit
from bff.contract import Identity
from bff.errors import StoreUnavailable
from bff.oidc.tokens import TokenResponse, build_code_grant
from bff.provider.client import Provider, http_client_for
from bff.sessions.lifecycle import Sessions
from bff.sessions.record import Session, TokenSet
from bff.sessions.refresh import BearerToken, TokenOutcome, TokenRefresher
from bff.stores.events import SessionEvent
from bff.stores.memory import MemoryStore
from tests.bff.factories import keyring, opening, provider_settings, session_settings, transaction
from tests.fakes import DEFAULT_CLIENT_SECRET, FakeClock, FakeProvider
from tests.fakes.provider_state import AuthorizationRequest, Code

LIFETIME = 100
MARGIN = 20
"""A fifth of the lifetime: shorter than `refresh_before_expiry`."""
SCOPE = "openid models:read"


def token_of(outcome: TokenOutcome) -> str:
    assert isinstance(outcome, BearerToken)
    return outcome.token


class InterruptibleStore(MemoryStore):
    """A memory store that refuses rewrites while `is_out`, as if it had failed just after it gave the lock."""

    is_out = False

    async def replace(self, name: str, sealed: bytes, *, revision: int) -> bool:
        if self.is_out:
            raise StoreUnavailable
        return await super().replace(name, sealed, revision=revision)


class Bench:
    """A person who is signed in at a provider, and the code that renews their token."""

    def __init__(self, fake: FakeProvider, clock: FakeClock) -> None:
        self.fake, self.clock = fake, clock
        self.store = InterruptibleStore(clock=clock)
        self.sessions = Sessions(self.store, keyring(), session_settings(idle_seconds=50_000, absolute_seconds=50_000))
        self.provider = self.new_provider()
        self.tokens = self.new_refresher()
        self.events: list[SessionEvent] = []
        self.store.subscribe(self.events.append)

    def new_provider(self, **over: Any) -> Provider:
        table = {"issuer": self.fake.issuer, "client_secret": DEFAULT_CLIENT_SECRET, "http_timeout_seconds": 5} | over
        settings = provider_settings(**table)
        return Provider("corp", settings, http=http_client_for(settings), clock=self.clock)

    def new_refresher(self, **providers: Provider) -> TokenRefresher:
        """Another process, as far as the store can tell."""
        return TokenRefresher(
            self.sessions,
            providers or {"corp": self.provider},
            audit=Audit(),
            clock=self.clock,
            refresh_before_expiry=60,
        )

    async def sign_in(self, **over: Any) -> Session:
        """A session with tokens of a real code grant. `over` changes the `TokenSet`."""
        login = self.fake.open_login(self.fake.people["alice"])
        grant = transaction()
        challenge = base64.urlsafe_b64encode(hashlib.sha256(grant.code_verifier.encode()).digest()).rstrip(b"=")
        request = AuthorizationRequest(
            client_id=self.fake.client.client_id,
            redirect_uri=grant.redirect_uri,
            state=grant.state,
            nonce=grant.nonce,
            scope=SCOPE,
            code_challenge=challenge.decode(),
            response_mode="query",
            prompt="",
            audience=(),
        )
        self.fake.memory.codes["c-1"] = Code(request, login.sid, self.clock() + 60)
        answer = await self.provider.request_token(build_code_grant("c-1", grant))
        assert isinstance(answer, TokenResponse)
        tokens = TokenSet(
            access_token=answer.access_token,
            refresh_token=answer.refresh_token,
            id_token=answer.id_token,
            obtained_at=self.clock(),
            expires_at=self.clock() + LIFETIME,
            scope=SCOPE,
        )
        alice = Identity(sub="alice", iss=self.fake.issuer, provider="corp", roles=("analyst", "admin"))
        opened = await self.sessions.open(
            opening(self.clock, identity=alice, tokens=replace(tokens, **over), sid=login.sid)
        )
        assert opened is not None
        return opened.session

    async def again(self, session: Session) -> Session | None:
        return await self.sessions.load(session.name)

    @property
    def grants(self) -> int:
        return len(self.fake.grants("refresh_token"))
