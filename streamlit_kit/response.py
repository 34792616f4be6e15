"""The answer of a call, and which answers are errors. Page code does not see the transport behind it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from bff.contract import HEADER_REQUEST_ID
from streamlit_kit import transport
from streamlit_kit.errors import ApiUnavailable, Forbidden, KitError, KitMisconfigured, LoginRequired

_OUTAGE: Final = frozenset({502, 503, 504})
_OF_THE_FRONT_DOOR: Final = {
    "upstream_connect": "The service behind this page is not running, or cannot be reached.",
    "upstream_closed": "The service behind this page broke off its answer.",
    "upstream_protocol": "The service behind this page does not answer properly.",
    "upstream_timeout": "The service behind this page took too long to answer.",
}
"""What to tell people when the front door has no answer from the API, by the code of its problem document."""
_KIT_CREDENTIAL: Final = "kit_credential"
_MAX_PROBLEM_BYTES: Final = 65_536
_MAX_REASON: Final = 200
_JSON: Final = re.compile(r"application/(?:json|problem\+json)")
_MAX_RETRY_AFTER: Final = 3600
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{8,128}")
_LIKE_A_TOKEN: Final = re.compile(r"\beyJ[\w-]{6,}\.|[\w-]{40,}")
_CODE: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True, slots=True)
class ApiResponse:
    """A complete answer of the API. `headers` ignores upper and lower case."""

    status_code: int
    headers: Mapping[str, str]
    content: bytes = field(repr=False)
    encoding: str = "utf-8"

    @property
    def text(self) -> str:
        return self.content.decode(self.encoding, errors="replace")

    @property
    def is_success(self) -> bool:
        return 200 <= self.status_code < 300

    @property
    def request_id(self) -> str:
        """The id of the request for an operator; "" if the answer has none."""
        return read_request_id(self.headers)

    def json(self) -> Any:
        """Read the body as JSON. Raises: ValueError if it is not JSON."""
        return json.loads(self.content)

    def raise_for_status(self) -> ApiResponse:
        """Return the answer if it is 2xx. Raises: ApiError for every other, also for redirects."""
        if not self.is_success:
            code = read_problem(self.headers, self.content).get("code", "")
            raise ApiError(self, code=code, reason=read_reason(self.headers, self.content))
        return self


class ApiError(KitError):
    """An answer that is not a success, raised by `ApiResponse.raise_for_status`."""

    default_code = "api_error"
    default_message = "The service did not accept this request."

    def __init__(self, response: ApiResponse, *, code: str = "", reason: str = "") -> None:
        super().__init__(
            f"The service answered {response.status_code}.",
            code=code,
            status=response.status_code,
            request_id=response.request_id,
        )
        self.response = response
        self.reason = reason

    def __str__(self) -> str:
        return f"{super().__str__()} The service says: {self.reason}" if self.reason else super().__str__()


class ApiStream:
    """An answer whose body is read piece by piece. It can be used only inside its `with` block."""

    __slots__ = ("_response",)

    def __init__(self, response: httpx.Response) -> None:
        self._response = response

    def __repr__(self) -> str:
        return f"ApiStream(status_code={self.status_code})"

    @property
    def status_code(self) -> int:
        return self._response.status_code

    @property
    def headers(self) -> Mapping[str, str]:
        return self._response.headers

    @property
    def is_success(self) -> bool:
        return self._response.is_success

    @property
    def request_id(self) -> str:
        return read_request_id(self.headers)

    def iter_bytes(self, chunk_size: int | None = None) -> Iterator[bytes]:
        """Yield pieces as they arrive, or of `chunk_size` bytes. Raises: ApiUnavailable."""
        with transport.translated_errors():
            yield from self._response.iter_bytes(chunk_size)

    def iter_lines(self) -> Iterator[str]:
        """Yield lines without their line ends. Raises: ApiUnavailable."""
        with transport.translated_errors():
            yield from self._response.iter_lines()

    def read(self) -> ApiResponse:
        """Read the rest. Raises: ApiUnavailable."""
        with transport.translated_errors():
            self._response.read()
        return build_response(self._response)


def build_response(response: httpx.Response) -> ApiResponse:
    return ApiResponse(
        status_code=response.status_code,
        headers=response.headers,
        content=response.content,
        encoding=response.encoding or "utf-8",
    )


def raise_for_front_door(response: httpx.Response, *, login_url: str, on_ended: Callable[[], None]) -> None:
    """Raise an error for an answer that means the same on every page. The page itself handles the others.

    A 401 that is not one of the front door's problem documents comes from the API itself, and the page gets it.

    Raises: LoginRequired, Forbidden, ApiUnavailable, KitMisconfigured.
    """
    status = response.status_code
    if status not in _OUTAGE | {401, 403}:
        return
    if status in _OUTAGE:
        raise unavailable(response)
    request_id = read_request_id(response.headers)
    if status == 403:
        body = _read_start(response)
        code = read_problem(response.headers, body).get("code", "")
        raise Forbidden(code=code, request_id=request_id, reason=read_reason(response.headers, body))
    if not is_problem(response.headers):
        return
    with transport.translated_errors():
        code = read_problem(response.headers, response.read()).get("code", "")
    raise_for_credential(code, request_id=request_id)
    if code:
        on_ended()
        raise LoginRequired(code=code, request_id=request_id, login_url=login_url)


def raise_for_credential(code: str, *, request_id: str) -> None:
    """Raises: KitMisconfigured if the front door does not know this process; the person is not the problem then."""
    if code == _KIT_CREDENTIAL:
        raise KitMisconfigured(
            "This page's own credential is not accepted: VESTIBULE_KIT__CLIENT and VESTIBULE_KIT__SECRET "
            "must be those of a kit client of the front door.",
            code=code,
            request_id=request_id,
        )


def is_outage(status: int) -> bool:
    return status in _OUTAGE


def unavailable(response: httpx.Response) -> ApiUnavailable:
    body = _read_start(response)
    code = read_problem(response.headers, body).get("code", "")
    text = response.headers.get("Retry-After", "")
    retry_after = min(int(text), _MAX_RETRY_AFTER) if text.isascii() and text.isdigit() and len(text) < 9 else 5
    return ApiUnavailable(
        _OF_THE_FRONT_DOOR.get(code, ""),
        code=code,
        status=response.status_code,
        request_id=read_request_id(response.headers),
        retry_after=retry_after,
        reason="" if code in _OF_THE_FRONT_DOOR else read_reason(response.headers, body),
    )


def read_request_id(headers: Mapping[str, str]) -> str:
    value = headers.get(HEADER_REQUEST_ID, "")
    return value if _REQUEST_ID.fullmatch(value) else ""


def is_problem(headers: Mapping[str, str]) -> bool:
    return headers.get("Content-Type", "").partition(";")[0].strip().lower() == "application/problem+json"


def read_problem(headers: Mapping[str, str], body: bytes) -> dict[str, str]:
    """Read the `code` of a problem document (RFC 9457). {} for any other body, and for a malformed code."""
    if not is_problem(headers) or len(body) > _MAX_PROBLEM_BYTES:
        return {}
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    code = document.get("code") if isinstance(document, dict) else None
    return {"code": code} if isinstance(code, str) and _CODE.fullmatch(code) else {}


def read_reason(headers: Mapping[str, str], body: bytes) -> str:
    """Return the API's own reason for a refusal: `detail` (FastAPI, RFC 9457) or `error_description` (RFC 6750).

    It is one short printable line with nothing in it that looks like a token, or "".
    """
    if not _JSON.fullmatch(headers.get("Content-Type", "").partition(";")[0].strip().lower()):
        return ""
    if len(body) > _MAX_PROBLEM_BYTES:
        return ""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    for _ in range(2):  # FastAPI puts what an API raises below `detail`; it may be a table
        if isinstance(document, dict):
            document = document.get("error_description") or document.get("detail")
    if not isinstance(document, str) or not document.isprintable() or len(document) > _MAX_REASON:
        return ""
    return "" if _LIKE_A_TOKEN.search(document) else document.strip()


def _read_start(response: httpx.Response) -> bytes:
    """Read the body, but not much more of it than a problem document may have."""
    if response.is_closed:
        return response.content
    body = bytearray()
    with transport.translated_errors():
        for piece in response.iter_bytes():
            body += piece
            if len(body) > _MAX_PROBLEM_BYTES:
                break
    return bytes(body)
