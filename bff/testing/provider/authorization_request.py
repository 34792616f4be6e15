"""The authorization request: what a client's redirect asks for. It is checked before a page is shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from bff.testing.provider.client import Client
from bff.testing.provider.messages import Refused
from bff.testing.provider.sessions import Session

PROMPTS = frozenset({"none", "login", "consent", "select_account"})
CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
"""The form of every S256 challenge."""


class RefusedAtClient(Exception):
    """The request is refused, and the person goes back to the client with `error` (RFC 6749, section 4.1.2.1)."""

    def __init__(self, asked: AuthorizationRequest, error: str, text: str) -> None:
        super().__init__(text)
        self.asked = asked
        self.error = error


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationRequest:
    """A request of the registered client, with an address that the client may name."""

    redirect_uri: str
    state: str = ""
    scope: str = ""
    nonce: str = ""
    code_challenge: str = ""
    prompts: frozenset[str] = field(default_factory=frozenset)
    max_age: int | None = None
    login_hint: str = ""
    acr: str = ""
    """The first of `acr_values`: a sign-in on the page counts as strong as the client asked."""

    def is_met_by(self, session: Session, *, now: float) -> bool:
        """True if `session` is as recent and as strong as the client asked for."""
        is_recent = self.max_age is None or now - session.auth_time < self.max_age
        return is_recent and self.acr in ("", session.acr)


def parse_authorization_request(query: Mapping[str, str], client: Client) -> AuthorizationRequest:
    """Check the request and return it.

    Raises:
        Refused: the client or its address is wrong, so the person is not sent there.
        RefusedAtClient: something else is wrong.
    """
    if query.get("client_id") != client.client_id:
        raise Refused(400, "invalid_client", "No such client is registered here.")
    redirect_uri = query.get("redirect_uri", "")
    if not client.may_return_to(redirect_uri):
        raise Refused(400, "invalid_request", "This redirect_uri is not one of the client's.")
    asked = AuthorizationRequest(
        redirect_uri=redirect_uri,
        state=query.get("state", ""),
        scope=query.get("scope", ""),
        nonce=query.get("nonce", ""),
        code_challenge=query.get("code_challenge", ""),
        prompts=frozenset(query.get("prompt", "").split()),
        max_age=_seconds(query.get("max_age", "")),
        login_hint=query.get("login_hint", "")[:200],
        acr=next(iter(query.get("acr_values", "").split()), ""),
    )
    if fault := _fault(query, asked):
        raise RefusedAtClient(asked, *fault)
    return asked


def _fault(query: Mapping[str, str], asked: AuthorizationRequest) -> tuple[str, str] | None:
    """Return the first fault as (error, what is wrong); None if there is none."""
    for name in ("request", "request_uri"):
        if name in query:
            return f"{name}_not_supported", f"{name} is not supported"
    if query.get("response_type") != "code":
        return "unsupported_response_type", "response_type must be code"
    faults = {
        "response_mode must be query": query.get("response_mode", "query") != "query",
        "PKCE is required, with the method S256": query.get("code_challenge_method") != "S256"
        or not CHALLENGE.fullmatch(asked.code_challenge),
        "prompt is not one that exists, or none stands beside another": not asked.prompts <= PROMPTS
        or ("none" in asked.prompts and len(asked.prompts) > 1),
        "max_age must be a number of seconds": query.get("max_age", "") != "" and asked.max_age is None,
    }
    for text, is_there in faults.items():
        if is_there:
            return "invalid_request", text
    return None if "openid" in asked.scope.split() else ("invalid_scope", "scope must hold openid")


def _seconds(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None
