"""Everything a fake provider knows: switches, registrations, and what it has handed out."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jwt

from .bends import Bends, TokenBend
from .clients import Client, ClientAuthenticator
from .hits import Grant, Hit, HitLog, Reuse
from .keys import KeyRing, SigningKey, half_hash, read_jws, write_jws
from .people import Login, Person, default_people

BACKCHANNEL_EVENT = "http://schemas.openid.net/event/backchannel-logout"
DEFAULT_CLIENT_ID = "vestibule"
DEFAULT_CLIENT_SECRET = "fake secret/with:odd+chars&%=~"
"""Unusual on purpose: a client that forgets the form-url-encoding of basic credentials fails."""


class _Omit:
    def __repr__(self) -> str:
        return "OMIT"


OMIT = _Omit()
"""As a value in claims or headers: leave this member out."""


def without_omitted(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not OMIT}


@dataclass(slots=True)
class Options:
    """The switches of a fake provider; change them while it runs."""

    auto_login: str = ""
    """Username of the "current person", who is signed in at once; "" shows the sign-in page."""
    remember_browser: bool = False
    """Keep a provider session in a cookie, so that a second login shows no page and prompt=none works."""
    access_token_lifetime: float = 300.0
    id_token_lifetime: float = 300.0
    refresh_token_lifetime: float = 86_400.0
    code_lifetime: float = 60.0
    issue_refresh_tokens: bool = True
    refresh_tokens_need_scope: bool = False
    """Issue refresh tokens only for the scope `offline_access` (OpenID Connect Core 11)."""
    rotate_refresh_tokens: bool = True
    id_token_on_refresh: bool = True
    send_iss: bool = True
    require_par: bool = False
    jwks_decoys: bool = False
    cognito_sign_out: bool = False
    """Take sign-outs in the form of Amazon Cognito alone."""
    access_token_alg: str = "RS256"
    id_token_alg: str = "RS256"
    access_token_audience: str = "api"
    acr: str = "1"


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    client_id: str
    redirect_uri: str
    state: str
    nonce: str
    scope: str
    code_challenge: str
    response_mode: str
    prompt: str
    audience: tuple[str, ...]


@dataclass(slots=True)
class Code:
    request: AuthorizationRequest
    sid: str
    expires_at: float
    family: RefreshFamily | None = None
    used: bool = False


@dataclass(slots=True)
class RefreshFamily:
    """All refresh tokens that come from one code. The last of `tokens` is the valid one."""

    client_id: str
    sub: str
    sid: str
    scope: str
    audience: tuple[str, ...]
    expires_at: float
    tokens: list[str] = field(default_factory=list, repr=False)
    revoked: bool = False


@dataclass(slots=True)
class Memory:
    """What the provider handed out."""

    codes: dict[str, Code] = field(default_factory=dict)
    par_requests: dict[str, tuple[dict[str, str], float]] = field(default_factory=dict)
    interactions: dict[str, AuthorizationRequest] = field(default_factory=dict)
    logins: dict[str, Login] = field(default_factory=dict)
    families: dict[str, RefreshFamily] = field(default_factory=dict)
    revoked_jti: set[str] = field(default_factory=set)
    issued: list[str] = field(default_factory=list)


class ProviderState:
    """The provider without its sockets."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self.issuer = ""
        self.options = Options()
        self.bend = Bends()
        self.keys = KeyRing()
        self.people: dict[str, Person] = {person.username: person for person in default_people()}
        self.client = Client(DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET)
        self.clients: dict[str, Client] = {self.client.client_id: self.client}
        self.authenticator = ClientAuthenticator(self.clients)
        self.hit_log = HitLog()
        self.memory = Memory()
        self.all_grants: list[Grant] = []
        self.reuse_detected: list[Reuse] = []

    @property
    def base(self) -> str:
        """The issuer without a trailing slash. Every endpoint is below it."""
        return self.issuer.rstrip("/")

    def person_by_sub(self, sub: str) -> Person | None:
        return next((person for person in self.people.values() if person.sub == sub and person.enabled), None)

    def issue(self, secret: str) -> str:
        """Remember a secret handed out, for tests that search for leaks."""
        self.memory.issued.append(secret)
        return secret

    def open_login(self, person: Person) -> Login:
        login = Login(secrets.token_urlsafe(16), person.sub, int(self.clock()))
        self.memory.logins[login.sid] = login
        return login

    def end_login(self, sid: str) -> None:
        """End a session at the provider and revoke its refresh tokens."""
        login = self.memory.logins.get(sid)
        if login is not None:
            login.ended = True
        self.revoke_refresh_tokens(sid=sid)

    def revoke_refresh_tokens(self, *, sub: str = "", sid: str = "") -> int:
        """Revoke the families of a person or session (of everybody, when neither is given); return how many."""
        chosen = {
            id(family): family
            for family in list(self.memory.families.values())
            if not family.revoked and sub in ("", family.sub) and sid in ("", family.sid)
        }
        for family in chosen.values():
            family.revoked = True
        return len(chosen)

    def mint(
        self,
        claims: Mapping[str, Any] | bytes,
        *,
        header: Mapping[str, Any] | None = None,
        key: SigningKey | str | bytes | None = None,
        alg: str | None = None,
    ) -> str:
        """Make any JWT. By default a well-signed one; every part can be replaced, `OMIT` as a value leaves it out.

        `header` is laid over ``{"alg", "kid", "typ": "JWT"}`` and need not tell the truth. ``alg="none"`` (any
        spelling) has no signature; ``alg="HS256"`` takes `key` as the secret, the client secret without one.
        """
        if alg is None:
            alg = key.alg if isinstance(key, SigningKey) else "HS256" if key else self.options.id_token_alg
        if key is None and alg.startswith("HS"):
            key = self.client.client_secret
        elif key is None and alg.lower() != "none":
            key = self.keys.active(alg)
        named = {"kid": key.kid} if isinstance(key, SigningKey) else {}
        full = without_omitted({"alg": alg, **named, "typ": "JWT", **(header or {})})
        payload = claims if isinstance(claims, bytes) else without_omitted(claims)
        return write_jws(payload, header=full, key=key, alg=alg)

    def sign(self, claims: dict[str, Any], bend: TokenBend, hit: Hit | None, *, alg: str, typ: str) -> Any:
        """Apply the bends, then sign a regular token. A bend may change the result too."""
        active = self.keys.active(alg)
        key: SigningKey | str | bytes | None = active
        chosen = bend.chosen_key(hit)
        if chosen is not None:
            key = chosen[0]
            alg = chosen[1] or (key.alg if isinstance(key, SigningKey) else "HS256" if key else "none")
        header = bend.apply_header({"alg": alg, "kid": active.kid, "typ": typ}, hit)
        payload = without_omitted(bend.apply_claims(claims, hit))
        token = bend.apply_raw(write_jws(payload, header=without_omitted(header), key=key, alg=alg), hit)
        return self.issue(token) if isinstance(token, str) else token

    def read_token(self, token: str) -> dict[str, Any] | None:
        """Return the claims of a token this provider signed with any key it ever had; expiry is not checked."""
        try:
            kid = jwt.get_unverified_header(token).get("kid", "")
        except jwt.PyJWTError:
            return None
        key = self.keys.by_kid(str(kid))
        return read_jws(token, key.public_jwk) if key is not None else None

    def access_token_claims(self, *, sub: str, client_id: str, scope: str, audience: tuple[str, ...]) -> dict[str, Any]:
        """Build the claims of an access token (RFC 9068)."""
        now = int(self.clock())
        person = self.person_by_sub(sub)
        chosen = audience or (self.options.access_token_audience,)
        return {
            "iss": self.issuer,
            "sub": sub,
            "aud": chosen[0] if len(chosen) == 1 else list(chosen),
            "iat": now,
            "exp": now + int(self.options.access_token_lifetime),
            "jti": secrets.token_urlsafe(12),
            "scope": scope,
            "client_id": client_id,
            "realm_access": {"roles": list(person.roles) if person else []},
            "groups": list(person.groups) if person else [],
        }

    def id_token_claims(self, login: Login, *, client_id: str, nonce: str, access_token: str) -> dict[str, Any]:
        """Build the claims of an ID token; one from a refresh has no nonce (Core section 12.2)."""
        now = int(self.clock())
        person = self.person_by_sub(login.sub)
        return {
            **(person.claims() if person else {}),
            "iss": self.issuer,
            "sub": login.sub,
            "aud": client_id,
            "iat": now,
            "exp": now + int(self.options.id_token_lifetime),
            "auth_time": login.auth_time,
            "sid": login.sid,
            "acr": self.options.acr,
            "at_hash": half_hash(self.options.id_token_alg, access_token),
            **({"nonce": nonce} if nonce else {}),
        }

    def logout_token(
        self,
        *,
        sub: str | None = None,
        sid: str | None = None,
        header: Mapping[str, Any] | None = None,
        key: SigningKey | str | bytes | None = None,
        alg: str | None = None,
        **overrides: Any,
    ) -> str:
        """Mint a back-channel logout token; overrides replace claims, `OMIT` leaves one out."""
        now = int(self.clock())
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "aud": self.client.client_id,
            "iat": now,
            "exp": now + 120,
            "jti": secrets.token_urlsafe(12),
            "events": {BACKCHANNEL_EVENT: {}},
            "sub": OMIT if sub is None else sub,
            "sid": OMIT if sid is None else sid,
            **overrides,
        }
        return self.mint(claims, header={"typ": "logout+jwt", **(header or {})}, key=key, alg=alg)
