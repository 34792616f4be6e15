"""The errors of the kit, all below `KitError`.

    KitError
    ├── KitMisconfigured        this process or this page is set up wrongly; visitors can do nothing about it
    ├── OutsidePage             called where there is no page: a plain thread, or `python app.py`
    ├── ClientOfAnotherPage     an `ApiClient` was used in a page it was not made for: it is in a shared cache
    ├── LoginRequired (401)     nobody is signed in, or the session is over; `login_url` starts a sign-in
    ├── Forbidden (403)         signed in, not allowed; `reason` in the API's own words, if it gave one
    ├── ApiUnavailable (503)    the front door or the API behind it is out of reach; `retry_after` in seconds; `reason`
    └── ApiError                any other answer that is no success, by `raise_for_status()`; `response` is that answer

Every error has a stable `code`, its HTTP `status` (0 if it has none), the `request_id` for an operator ("" if no answer
came), and a `message` that may be shown to people: it never holds bodies, tokens or secrets. `reason` is separate: one
short line that somebody else wrote, so show it as text, not as Markdown. It is part of `str(error)`, which is for logs
and traces.
"""

from __future__ import annotations


class KitError(Exception):
    """The base of all errors of the kit."""

    status: int = 0
    default_code: str = "kit_error"
    default_message: str = "Something went wrong on this page."

    def __init__(self, message: str = "", *, code: str = "", status: int = 0, request_id: str = "") -> None:
        self.message = message or self.default_message
        self.code = code or self.default_code
        if status:
            self.status = status
        self.request_id = request_id
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message} (request {self.request_id})" if self.request_id else self.message


class KitMisconfigured(KitError):
    default_code = "kit_misconfigured"
    default_message = "This page is not set up for sign-in."


class OutsidePage(KitError):
    default_code = "outside_page"
    default_message = (
        "There is no page here to ask who is signed in. Call this in the page's own code and hand the result over."
    )


class ClientOfAnotherPage(KitError):
    default_code = "client_of_another_page"
    default_message = (
        "This ApiClient was made for another person's page. Call prepare_client() on each run, and never keep its "
        'result in st.cache_resource or in a global; for a cache use scope="session".'
    )


class LoginRequired(KitError):
    status = 401
    default_code = "login_required"
    default_message = "Please sign in."

    def __init__(
        self, message: str = "", *, code: str = "", status: int = 0, request_id: str = "", login_url: str = ""
    ) -> None:
        super().__init__(message, code=code, status=status, request_id=request_id)
        self.login_url = login_url


class Forbidden(KitError):
    status = 403
    default_code = "forbidden"
    default_message = "You are signed in, but not allowed to do this."

    def __init__(
        self, message: str = "", *, code: str = "", status: int = 0, request_id: str = "", reason: str = ""
    ) -> None:
        super().__init__(message, code=code, status=status, request_id=request_id)
        self.reason = reason if reason != self.message else ""  # the front door itself refuses with these words

    def __str__(self) -> str:
        return f"{super().__str__()} The service says: {self.reason}" if self.reason else super().__str__()


class ApiUnavailable(KitError):
    status = 503
    default_code = "unavailable"
    default_message = "This service cannot answer right now. Please try again in a moment."

    def __init__(
        self,
        message: str = "",
        *,
        code: str = "",
        status: int = 0,
        request_id: str = "",
        retry_after: int = 5,
        reason: str = "",
    ) -> None:
        super().__init__(message, code=code, status=status, request_id=request_id)
        self.retry_after = retry_after
        self.reason = reason if reason != self.message else ""

    def __str__(self) -> str:
        return f"{super().__str__()} The service says: {self.reason}" if self.reason else super().__str__()
