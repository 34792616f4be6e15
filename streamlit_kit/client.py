"""`prepare_client()`: an API client that is signed in as the person on the page, in one line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, NoReturn, TypedDict, Unpack

import httpx
from pydantic import TypeAdapter

from bff import contract
from bff.contract import Identity
from streamlit_kit import _streamlit, deep_links, tokens, transport
from streamlit_kit.assertion import PageSession
from streamlit_kit.development import build_authorization
from streamlit_kit.errors import ClientOfAnotherPage, KitMisconfigured, LoginRequired
from streamlit_kit.identity import find_session
from streamlit_kit.paths import join_route_path
from streamlit_kit.response import ApiResponse, ApiStream, build_response, raise_for_front_door
from streamlit_kit.runtime import Kit, current_kit
from streamlit_kit.settings import KitSettings

_RESERVED: Final = frozenset(
    name.lower()
    for name in (
        contract.HEADER_ASSERTION,
        contract.HEADER_SESSION,
        contract.HEADER_KIT,
        "Authorization",
        "Cookie",
        "Host",
    )
)
_ANYTHING: Final = TypeAdapter(Any)


class RequestOptions(TypedDict, total=False):
    """What a call may have in addition to its path: at most one kind of body."""

    json: Any
    params: Mapping[str, Any] | None
    content: str | bytes | Iterable[bytes] | None
    data: Mapping[str, Any] | None
    files: Any
    headers: Mapping[str, str] | None
    timeout: float | None


def prepare_client(route: str = "") -> ApiClient:
    """Make the page's API client. Call it on every run: it sends no request.

    Without `route`, the client calls the only route that the page may call. In development every route is the API
    (`streamlit_kit.development`). If nobody is signed in, the client is anonymous. This never stops the page.

    Raises: KitMisconfigured; OutsidePage in a plain thread; ApiUnavailable if the front door cannot be reached.
    """
    kit = current_kit()
    session = find_session(kit)
    routes = (session.routes if session is not None else {}) or kit.settings.routes
    has_routes = kit.development is None
    return ApiClient(
        kit,
        session,
        route_path=_choose_route(routes, route, settings=kit.settings, is_known=session is not None)
        if has_routes
        else "/",
        login_url=_login_url_if_any(kit),
    )


class ApiClient:
    """Calls the API behind the front door as the person on the page. The front door adds the current token.

        client = prepare_client()
        client.get("users/me").raise_for_status().json()
        client.post("simulations", json={"steps": 500})

    Paths are relative to the route and stay inside it. `json` also takes pydantic models, dataclasses, dates and NumPy
    values. `timeout` is in seconds. Threads may use a client. It belongs to one page and cannot be hashed or pickled,
    so that no shared cache can give it to somebody else.

    All methods raise LoginRequired, Forbidden and ApiUnavailable (`streamlit_kit.errors`), and ValueError for a path or
    header that must not be sent. They return every other answer; use `raise_for_status()`, or look at it in the page.
    """

    __slots__ = ("_kit", "_login_url", "_page_id", "_route_path", "_session")

    def __init__(self, kit: Kit, session: PageSession | None, *, route_path: str, login_url: str) -> None:
        self._kit = kit
        self._session = session
        self._route_path = route_path
        self._login_url = login_url
        self._page_id = _streamlit.page_session_id()

    @property
    def identity(self) -> Identity | None:
        return self._session.identity if self._session is not None else None

    @property
    def is_authenticated(self) -> bool:
        return self._session is not None

    def get(self, path: str, **options: Unpack[RequestOptions]) -> ApiResponse:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Unpack[RequestOptions]) -> ApiResponse:
        return self.request("POST", path, **options)

    def put(self, path: str, **options: Unpack[RequestOptions]) -> ApiResponse:
        return self.request("PUT", path, **options)

    def patch(self, path: str, **options: Unpack[RequestOptions]) -> ApiResponse:
        return self.request("PATCH", path, **options)

    def delete(self, path: str, **options: Unpack[RequestOptions]) -> ApiResponse:
        return self.request("DELETE", path, **options)

    def request(self, method: str, path: str, **options: Unpack[RequestOptions]) -> ApiResponse:
        """Send and read the whole answer."""
        response = transport.send(self._kit.http, self._build_request(method, path, options))
        self._check(response)
        return build_response(response)

    @contextmanager
    def stream(self, method: str, path: str, **options: Unpack[RequestOptions]) -> Iterator[ApiStream]:
        """Send, and give the answer out while it arrives, for large or endless bodies."""
        response = transport.send(self._kit.http, self._build_request(method, path, options), stream=True)
        try:
            self._check(response)
            yield ApiStream(response)
        finally:
            response.close()

    def auth_headers(self, audience: str = "") -> dict[str, str]:
        """Fetch `Authorization` for code that needs the token itself. It expires soon, so fetch it for each use.

        Raises: LoginRequired, Forbidden, ApiUnavailable.
        """
        self._check_page()
        return tokens.fetch_auth_headers(self._kit, self._session, audience=audience, login_url=self._login_url)

    def _build_request(self, method: str, path: str, options: RequestOptions) -> httpx.Request:
        self._check_page()
        params, timeout = options.get("params"), options.get("timeout")
        content, content_type = _build_content(options)
        return self._kit.http.build_request(
            method.upper(),
            self._build_url(path, params),
            params=params,
            content=content,
            data=options.get("data"),
            files=options.get("files"),
            headers={**content_type, **_checked(options.get("headers")), **self._credentials()},
            timeout=transport.DEFAULT_TIMEOUT if timeout is None else timeout,
        )

    def _build_url(self, path: str, params: Mapping[str, Any] | None) -> str:
        if not self._route_path:
            if self._session is None:
                raise LoginRequired(login_url=self._login_url)
            raise KitMisconfigured(_without_routes(self._kit.settings))
        if params is not None and "?" in path:
            raise ValueError("give the query in the path or as params, not both")
        return self._kit.settings.url + join_route_path(self._route_path, path)

    def _credentials(self) -> dict[str, str]:
        if self._kit.development is not None:
            return build_authorization(self._kit.development)
        headers = {contract.HEADER_KIT: self._kit.settings.credential}
        if self._session is not None:
            headers[contract.HEADER_SESSION] = self._session.handle
        return headers

    def _check(self, response: httpx.Response) -> None:
        try:
            raise_for_front_door(response, login_url=self._login_url, on_ended=self._note_end)
        except BaseException:
            response.close()
            raise

    def _note_end(self) -> None:
        if self._session is not None:
            self._session.ended.set()

    def _check_page(self) -> None:
        # A plain thread has no page and may go on: the page gave it the client.
        page_id = _streamlit.page_session_id()
        if page_id and self._page_id and page_id != self._page_id:
            raise ClientOfAnotherPage

    def __eq__(self, other: object) -> bool:
        # A class with __eq__ and no __hash__ cannot be hashed: `st.cache_data` refuses it as an argument.
        return self is other

    def __repr__(self) -> str:
        sub = self._session.identity.sub if self._session is not None else None
        return f"ApiClient(route_path={self._route_path!r}, sub={sub!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("an ApiClient belongs to one person's page and cannot be copied or pickled")


def _login_url_if_any(kit: Kit) -> str:
    # A page that cannot offer a sign-in may still call what is open to everybody; `require_login` reports the fault.
    try:
        return deep_links.login_url(kit.settings)
    except KitMisconfigured:
        return ""


def _build_content(options: RequestOptions) -> tuple[str | bytes | Iterable[bytes] | None, dict[str, str]]:
    """Return the raw body and its header."""
    bodies = [name for name in ("json", "content", "data", "files") if options.get(name) is not None]
    if "json" not in bodies:
        return options.get("content"), {}
    if len(bodies) > 1:
        raise ValueError("give json or another body, not both")
    # NaN is refused and not sent as null: JSON has no such number, and the data would change without notice.
    text = json.dumps(options["json"], default=_to_plain, allow_nan=False)
    return text.encode(), {"Content-Type": "application/json"}


def _to_plain(value: Any) -> Any:
    # NumPy and pandas values can convert themselves to plain Python; the kit does not import the libraries.
    tolist = getattr(value, "tolist", None)
    return tolist() if callable(tolist) else _ANYTHING.dump_python(value, mode="json")


def _checked(headers: Mapping[str, str] | None) -> dict[str, str]:
    for name in headers or {}:
        if name.lower().replace("_", "-") in _RESERVED:
            raise ValueError(f"the header {name} is set by the kit or by the front door")
    return dict(headers or {})


def _without_routes(settings: KitSettings) -> str:
    """What to tell the author of a page that may call no route. The program that started the page knows the words."""
    usual = f"The kit client {settings.client!r} may call no route: list them in `routes` of its table."
    return settings.no_routes or usual


def _choose_route(routes: Mapping[str, str], route: str, *, settings: KitSettings, is_known: bool) -> str:
    """Path of the route to call; "" when the page has none, or nobody is signed in and it is therefore not known."""
    names = ", ".join(sorted(routes)) or "none"
    if route:
        if not routes and is_known:
            raise KitMisconfigured(_without_routes(settings))
        if route not in routes and is_known:
            raise KitMisconfigured(f"There is no route {route!r} for this page's kit client; it may call: {names}.")
        return routes.get(route, "")
    if len(routes) > 1:
        raise KitMisconfigured(
            f"This page may call several routes ({names}): name one, as in prepare_client({min(routes)!r})."
        )
    return next(iter(routes.values()), "")
