"""The authorization request and response: code flow with PKCE S256, state, nonce (RFC 6749 4.1, 7636, 9207)."""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from authlib.common.urls import add_params_to_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from bff.errors import CallbackRejected
from bff.oidc.base64url import base64url

SECRET_BYTES = 32
MAX_CODE = 4096
STATE = re.compile(r"[A-Za-z0-9_-]{43}")
ERROR_CODE = re.compile(r"[!#-\[\]-~]{1,64}")
OWN_PARAMETERS = frozenset({"acr_values", "client_id", "client_secret", "code_challenge", "code_challenge_method"}) | {
    *("id_token_hint", "max_age", "nonce", "redirect_uri", "request", "request_uri", "response_mode", "response_type"),
    *("scope", "state"),
}
"""Parameters of an authorization request that only the protocol sets."""
FRONT_CHANNEL_TOKENS = frozenset({"id_token", "access_token", "token", "refresh_token"})


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginTransaction:
    """An unfinished sign-in. Only the store holds it, until its callback takes it.

    `started_at` is Unix seconds of the store's clock; `replaces` names the record of the session before;
    `page_max_age` is the limit that the page at `return_to` will check again, without tolerance.
    """

    state: str
    nonce: str = field(repr=False)
    code_verifier: str = field(repr=False)
    provider: str
    issuer: str
    redirect_uri: str
    origin: str
    return_to: str
    started_at: float
    replaces: str = ""
    max_age: float | None = None
    page_max_age: float | None = None
    acr_values: tuple[str, ...] = ()
    kit_client: str = ""
    kit_binding: str = ""
    asks_for_proof: bool = False
    """`prompt=login` or `max_age`: the provider must authenticate the person again, even with single sign-on."""
    trial: str = field(default="", repr=False)
    """The ticket of an administrator who watches this sign-in."""


@dataclass(frozen=True, slots=True)
class AuthorizationCode:
    """A successful authorization response; `iss` is "" if the provider did not send it."""

    code: str = field(repr=False)
    state: str = field(repr=False)
    iss: str = ""


@dataclass(frozen=True, slots=True)
class AuthorizationDenied:
    """An error response; `error` is the provider's code, "" if it is not an error code of RFC 6749."""

    error: str
    state: str = field(repr=False)
    iss: str = ""


AuthorizationResponse = AuthorizationCode | AuthorizationDenied


def new_secret(random: Callable[[int], bytes]) -> str:
    """Make 43 URL-safe characters from 256 random bits: a state, nonce, code verifier or session id."""
    return base64url(random(SECRET_BYTES))


def build_authorization_parameters(
    transaction: LoginTransaction,
    *,
    client_id: str,
    scopes: Sequence[str],
    response_mode: str = "query",
    prompt: str = "",
    login_hint: str = "",
    ui_locales: str = "",
    further: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, str]:
    """Build the authentication request (Core section 3.1.2.1). PKCE is always S256, whatever the metadata says.

    `further` are the operator's own parameters. A parameter of the request itself replaces one of the same name.
    """
    parameters = dict(further) | {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": transaction.redirect_uri,
        "scope": " ".join(scopes),
        "state": transaction.state,
        "nonce": transaction.nonce,
        "code_challenge": create_s256_code_challenge(transaction.code_verifier),
        "code_challenge_method": "S256",
    }
    if response_mode != "query":
        parameters["response_mode"] = response_mode
    if transaction.max_age is not None:
        parameters["max_age"] = str(int(transaction.max_age))
    if transaction.acr_values:
        parameters["acr_values"] = " ".join(transaction.acr_values)
    optional = {"prompt": prompt, "login_hint": login_hint, "ui_locales": ui_locales}
    return parameters | {name: value for name, value in optional.items() if value}


def build_authorization_url(endpoint: str, parameters: dict[str, str]) -> str:
    """Build the URL for the browser. A query of the endpoint is kept (RFC 6749 section 3.1)."""
    return str(add_params_to_uri(endpoint, list(parameters.items())))


def parse_authorization_response(pairs: Sequence[tuple[str, str]]) -> AuthorizationResponse:
    """Read the parameters of a callback, in the order received.

    Raises:
        CallbackRejected: `callback_duplicate`, `callback_front_channel_token`, `callback_state`, `callback_denied`,
            `callback_malformed`.
    """
    values = dict(pairs)
    if len(values) != len(pairs):
        raise CallbackRejected("callback_duplicate", detail="a parameter came twice")
    if FRONT_CHANNEL_TOKENS & values.keys():
        raise CallbackRejected("callback_front_channel_token", detail="a token in the front channel")
    state = values.get("state", "")
    if not state and values.get("error"):
        raise CallbackRejected(
            "callback_denied", "The sign-in was cancelled or refused. Please try again.", detail="error without state"
        )
    if not STATE.fullmatch(state):
        raise CallbackRejected("callback_state", detail="state missing or malformed")
    code, error, iss = values.get("code", ""), values.get("error", ""), values.get("iss", "")
    if bool(code) == bool(error) or ("code" in values and "error" in values):
        raise CallbackRejected("callback_malformed", detail="needs exactly one of code and error")
    if len(code) > MAX_CODE or not (code or error).isprintable() or ("iss" in values and not iss):
        raise CallbackRejected("callback_malformed", detail="code, error or iss not acceptable")
    if error:
        return AuthorizationDenied(error if ERROR_CODE.fullmatch(error) else "", state, iss)
    return AuthorizationCode(code, state, iss)


def validate_authorization_response(
    response: AuthorizationResponse, transaction: LoginTransaction, *, provider: str, iss_required: bool
) -> None:
    """Check that the response belongs to `transaction`, its provider's callback and its issuer (RFC 9207 2.4).

    Raises:
        CallbackRejected: `callback_state`, `callback_provider`, `callback_issuer`.
    """
    if not hmac.compare_digest(response.state, transaction.state):
        raise CallbackRejected("callback_state", detail="the state belongs to another sign-in")
    if transaction.provider != provider:
        raise CallbackRejected("callback_provider", detail="the sign-in started with another provider")
    if response.iss and response.iss != transaction.issuer:
        raise CallbackRejected("callback_issuer", detail="the response is from another issuer")
    if iss_required and not response.iss:
        raise CallbackRejected("callback_issuer", detail="iss is missing although the provider announces it")
