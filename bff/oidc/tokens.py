"""The token endpoint: requests for each grant, strictly read responses (RFC 6749 sections 4.1.3, 5, 6; 7009; 8693)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bff.errors import InvalidToken
from bff.oidc.authorization import LoginTransaction
from bff.oidc.claims import shape_of
from bff.oidc.jwt_reading import unverified_claims
from bff.oidc.members import present
from bff.oidc.strict_json import parse_object

MAX_TOKEN = 65_536
MAX_LIFETIME = 30 * 86_400
"""The largest `expires_in` that is believed."""
ROUNDED_SECONDS = 1.0
ROUNDED_SHARE = 0.2
_TOKEN = re.compile(r"[\x21-\x7e]+")
"""An access or ID token, which is sent in headers and addresses."""
_REFRESH_TOKEN = re.compile(r"[\x20-\x7e]+")
"""RFC 6749 A.17. It is only sent in a form, so a space does no harm."""
_SCOPE = re.compile(r"[ !#-\[\]-~]*")
"""Names of a scope and the spaces between them (RFC 6749 section 3.3)."""
_ERROR = re.compile(r"[a-z_]{1,64}")
TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:access_token"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenResponse:
    """A successful token response. `expires_in` is in seconds; None if the provider does not say.

    `asked_at` is the time at which the request was sent, in Unix seconds.
    """

    access_token: str = field(repr=False)
    expires_in: int | None = None
    refresh_token: str = field(default="", repr=False)
    id_token: str = field(default="", repr=False)
    scope: str | None = None
    scope_fault: str = ""
    """What stood there in place of a scope, "" if nothing is wrong with it."""
    asked_at: float = 0.0

    @property
    def stated_lifetime(self) -> float | None:
        """Seconds that the access token lives, as the response or the token itself states; None if neither does."""
        if self.expires_in is not None:
            return self.expires_in
        return _own_lifetime(self.access_token, asked_at=self.asked_at)

    def expires_at(self, *, assumed: float | None) -> float | None:
        """Return the Unix seconds until which to send the access token, None when unknown.

        The response says it (`expires_in`), else the token itself, if it is a JWT with `exp`. If neither does, it lives
        for `assumed` seconds. A provider that counts in whole seconds begins up to one before the token was made. So a
        token is given up that much early (one that lives for less than 5 s by a fifth): no API is sent one that dies on
        the way.
        """
        lifetime = assumed if self.stated_lifetime is None else self.stated_lifetime
        if lifetime is None:
            return None
        return self.asked_at + lifetime - min(ROUNDED_SECONDS, lifetime * ROUNDED_SHARE)


@dataclass(frozen=True, slots=True)
class GrantRefused:
    """The provider refused the grant. `error` is its RFC 6749 section 5.2 code, "" if it gave none."""

    error: str
    status: int


TokenAnswer = TokenResponse | GrantRefused


class UnusableTokenResponse(InvalidToken):
    """A success with a member that cannot be used. The grant is spent all the same.

    `is_rotated`: it gave a new refresh token, so the one before is spent. `refresh_token` is the new one, "" if that is
    what cannot be used.
    """

    def __init__(self, code: str, *, detail: str, refresh_token: str, is_rotated: bool) -> None:
        super().__init__(code, detail=detail)
        self.refresh_token, self.is_rotated = refresh_token, is_rotated


def build_code_grant(code: str, transaction: LoginTransaction) -> dict[str, str]:
    """Build the form of the authorization code grant, with its PKCE verifier."""
    return {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": transaction.redirect_uri,
        "code_verifier": transaction.code_verifier,
    }


def build_refresh_grant(refresh_token: str) -> dict[str, str]:
    """Build the form of the refresh grant. It has no scope, so it never asks for more."""
    return {"grant_type": "refresh_token", "refresh_token": refresh_token}


def build_client_credentials_grant(*, scope: str, audience: str) -> dict[str, str]:
    form = {"grant_type": "client_credentials", "scope": scope, "audience": audience}
    return {name: value for name, value in form.items() if value}


def build_exchange_grant(access_token: str, *, audience: str, resource: str, scope: str) -> dict[str, str]:
    """Build the form of a token exchange (RFC 8693 section 2.1)."""
    form = {
        "grant_type": TOKEN_EXCHANGE,
        "subject_token": access_token,
        "subject_token_type": ACCESS_TOKEN_TYPE,
        "requested_token_type": ACCESS_TOKEN_TYPE,
        "audience": audience,
        "resource": resource,
        "scope": scope,
    }
    return {name: value for name, value in form.items() if value}


def build_revocation(token: str, *, token_type_hint: str = "refresh_token") -> dict[str, str]:
    return {"token": token, "token_type_hint": token_type_hint}


def parse_token_answer(status: int, body: bytes) -> TokenAnswer:
    """Read the answer of a token endpoint.

    A 200 with an `error` and no token is a refusal too: some providers answer so.

    Raises:
        InvalidToken: `token_response_malformed`.
        UnusableTokenResponse: `token_response_type`, `token_response_token`.
    """
    if status != 200:
        return GrantRefused(parse_error_code(body), status)
    members = parse_object(body, code="token_response_malformed")
    answer = present(members)
    if "error" in answer and "access_token" not in answer:
        return GrantRefused(_error_code(answer), status)
    try:
        return _read_tokens(answer, members)
    except InvalidToken as exc:
        raise _unusable(exc, answer) from None


def parse_error_code(body: bytes) -> str:
    """Return the RFC 6749 section 5.2 code of a refusal, "" if it has none. Descriptions are never repeated."""
    try:
        return _error_code(present(parse_object(body, code="token_response_malformed", max_bytes=MAX_TOKEN)))
    except InvalidToken:
        return ""


def _error_code(answer: Mapping[str, Any]) -> str:
    error = answer.get("error")
    return error if isinstance(error, str) and _ERROR.fullmatch(error) else ""


def _read_tokens(answer: Mapping[str, Any], members: Mapping[str, Any]) -> TokenResponse:
    """Read the members of a success. An empty `scope` is not an absent one: it grants nothing."""
    kind = answer.get("token_type")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise InvalidToken("token_response_type", detail="token_type is not Bearer")
    scope, scope_fault = _scope(members.get("scope"))
    if "access_token" not in answer:
        raise InvalidToken("token_response_token", detail="access_token missing")
    return TokenResponse(
        access_token=_token(answer, "access_token"),
        expires_in=_expires_in(answer),
        refresh_token=_token(answer, "refresh_token", form=_REFRESH_TOKEN),
        id_token=_token(answer, "id_token"),
        scope=scope,
        scope_fault=scope_fault,
    )


def _scope(value: object) -> tuple[str | None, str]:
    """Return the scope of a response and what is wrong with it. Only an absent one grants what was asked for.

    What is not a scope (RFC 6749 section 3.3) grants nothing: nobody knows what the provider meant.
    """
    if value is None:
        return None, ""
    if not isinstance(value, str):
        return "", shape_of(value)
    return (value, "") if _SCOPE.fullmatch(value) else ("", "text with characters that no scope has")


def _unusable(fault: InvalidToken, answer: Mapping[str, Any]) -> UnusableTokenResponse:
    try:
        refresh_token = _token(answer, "refresh_token", form=_REFRESH_TOKEN)
    except InvalidToken:
        refresh_token = ""
    return UnusableTokenResponse(
        fault.code, detail=fault.detail, refresh_token=refresh_token, is_rotated="refresh_token" in answer
    )


def _token(answer: Mapping[str, Any], name: str, *, form: re.Pattern[str] = _TOKEN) -> str:
    value = answer.get(name, "")
    if value == "":
        return ""
    if not isinstance(value, str) or len(value) > MAX_TOKEN or not form.fullmatch(value):
        raise InvalidToken("token_response_token", detail=f"{name} not acceptable")
    return value


def _own_lifetime(access_token: str, *, asked_at: float) -> float | None:
    """Return the seconds that a new JWT access token says it has left; None if it does not say so.

    The token is not verified: this is only a hint for renewal. With `iat` a provider whose clock is ahead does not make
    its tokens live longer. An end that has passed already says nothing; otherwise each request would renew the token.
    """
    claims = unverified_claims(access_token)
    ends, issued = (_seconds(claims.get(name)) for name in ("exp", "iat"))
    if ends is None:
        return None
    left = min(ends - asked_at, ends - issued if issued is not None else MAX_LIFETIME, MAX_LIFETIME)
    return left if left > 0 else None


def _seconds(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**40:
        return None
    return float(value)


def _expires_in(answer: Mapping[str, Any]) -> int | None:
    """Return seconds, at most `MAX_LIFETIME`. Missing, negative and absurd values count as not given."""
    value = answer.get("expires_in")
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 12:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        return None
    return min(int(value), MAX_LIFETIME)
