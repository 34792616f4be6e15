"""The tree of errors: everything that can be refused or can fail.

    AuthError
    ├── BadRequest (400)            the request is not acceptable
    │   ├── CallbackRejected        authorization response or transaction not acceptable
    │   └── InvalidToken            a JWT or a token response broke a rule
    ├── LoginRequired (401)         nobody is signed in, or the session is over
    │   └── FreshLoginRequired      signed in, but too long ago for this
    ├── Forbidden (403)             signed in, not allowed
    ├── NotFound (404)
    ├── Misdirected (421)           a Host this front door does not serve
    ├── UpstreamFailed (502)        the upstream refused, failed or sent a malformed answer
    └── Unavailable (503)           the store or provider cannot be reached; nothing was lost
        ├── StoreUnavailable
        └── ProviderUnavailable

Instances carry data; `code` is stable and documented in docs/errors.md; `message` is safe for people. Provider bodies,
codes, tokens and input never enter a message. `detail` is for the operator's log and must not hold them either; it may
name an issuer, an audience, an algorithm or a type that was found (`bff.oidc.members.written`).
"""

from __future__ import annotations

from collections.abc import Mapping


class AuthError(Exception):
    """The root of the tree. `code` is a stable reason code, `status` the HTTP status; people may see `message`."""

    status: int = 500
    default_code: str = "internal_error"
    default_message: str = "Something went wrong on our side."
    is_audited: bool = False
    """True when the audit log has it already."""
    is_ordinary: bool = False
    """True for an outcome that nobody has to repair, such as a cancelled sign-in; its page calls no administrator."""

    def __init__(
        self,
        code: str = "",
        message: str = "",
        *,
        detail: str = "",
        headers: Mapping[str, str] | None = None,
        status: int = 0,
    ) -> None:
        self.code = code or self.default_code
        self.message = message or self.default_message
        self.detail = detail
        self.headers = dict(headers or {})
        if status:
            self.status = status
        super().__init__(self.code)

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}" if self.detail else self.code


class BadRequest(AuthError):
    status = 400
    default_code = "bad_request"
    default_message = "This request cannot be accepted as it is."


class CallbackRejected(BadRequest):
    default_code = "callback_rejected"
    default_message = "This sign-in is out of date or was started elsewhere. Please start again."


class SignInLost(CallbackRejected):
    """The sign-in of one tab was lost, but the person is signed in: through another tab."""

    is_ordinary = True
    default_message = "The sign-in of this tab was lost, but you are signed in already. You can go on."


class InvalidToken(BadRequest):
    """A JWT, or the response that carried it, broke a rule; `code` names the rule (`id_token_aud`, …).

    `expected` is what a member had to say, `found` is what it said. Both are set only for members that are not secret:
    issuer, audience, algorithm, type. They are short and printable, and only for logs.
    """

    default_code = "invalid_token"
    default_message = "The identity provider's answer was not acceptable."

    def __init__(
        self, code: str = "", message: str = "", *, detail: str = "", expected: str = "", found: str = ""
    ) -> None:
        super().__init__(code, message, detail=detail)
        self.expected, self.found = expected, found


class LoginRequired(AuthError):
    status = 401
    default_code = "login_required"
    default_message = "Nobody is signed in here, or the session has ended."


class FreshLoginRequired(LoginRequired):
    default_code = "fresh_login_required"
    default_message = "You signed in a while ago. Please sign in once more before you do this."


class Forbidden(AuthError):
    status = 403
    default_code = "forbidden"
    default_message = "You are signed in, but not allowed to do this."


class NotFound(AuthError):
    status = 404
    default_code = "not_found"
    default_message = "There is nothing at this address."


class Misdirected(AuthError):
    status = 421
    default_code = "unknown_host"
    default_message = "This server does not answer under that name."


class UpstreamFailed(AuthError):
    status = 502
    default_code = "upstream_failed"
    default_message = "The application behind this address does not answer properly."
    messages: Mapping[str, str] = {
        "upstream_connect": "The application behind this address is not running, or cannot be reached.",
        "upstream_timeout": "The application behind this address took too long to answer.",
    }

    def __init__(
        self,
        code: str = "",
        message: str = "",
        *,
        detail: str = "",
        headers: Mapping[str, str] | None = None,
        status: int = 0,
    ) -> None:
        super().__init__(code, message or self.messages.get(code, ""), detail=detail, headers=headers, status=status)


class Unavailable(AuthError):
    status = 503
    default_code = "unavailable"
    default_message = "This service cannot answer right now. Please try again in a moment."

    def __init__(
        self,
        code: str = "",
        message: str = "",
        *,
        detail: str = "",
        headers: Mapping[str, str] | None = None,
        status: int = 0,
        retry_after: int = 5,
    ) -> None:
        super().__init__(
            code, message, detail=detail, headers={"Retry-After": str(retry_after), **(headers or {})}, status=status
        )


class StoreUnavailable(Unavailable):
    default_code = "store_unavailable"


class ProviderUnavailable(Unavailable):
    default_code = "provider_unavailable"
    default_message = "The identity provider does not answer right now. Please try again in a moment."
