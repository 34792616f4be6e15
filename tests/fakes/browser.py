"""A browser's network side: cookies, redirects and fetch metadata as browsers do them, one hop at a time."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import urlencode

import httpx

from .cookie_store import CookieStore, site_of
from .forms import choose_form, read_forms, submits_itself

FetchSite = Literal["none", "same-origin", "same-site", "cross-site"]
_SITE_ORDER: tuple[FetchSite, ...] = ("none", "same-origin", "same-site", "cross-site")
_NAVIGATION = {
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-User": "?1",
    "Upgrade-Insecure-Requests": "1",
}
_SCRIPT = {"Accept": "*/*", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
HeaderChanges = Mapping[str, str | None]
"""Headers that replace the browser's own, in any spelling. None removes one."""
REDIRECTS = (301, 302, 303, 307, 308)
EVIL_ORIGIN = "https://evil.example"
TRUSTS_NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For clients that use plain http. Loading authorities would take longer than a whole sign-in."""


def origin_of(url: httpx.URL) -> str:
    port = f":{url.port}" if url.port else ""
    host = f"[{url.host}]" if ":" in url.host else url.host
    return f"{url.scheme}://{host}{port}"


def fetch_site(initiator: httpx.URL | None, target: httpx.URL) -> FetchSite:
    """The Sec-Fetch-Site of a request from a page at `initiator`; None is the address bar."""
    if initiator is None:
        return "none"
    if origin_of(initiator) == origin_of(target):
        return "same-origin"
    return "same-site" if site_of(initiator) == site_of(target) else "cross-site"


class CookieClient:
    """One browser profile. Redirects are never followed unasked.

    ::

        with CookieClient() as browser:
            pages = browser.walk(browser.get(f"{gateway}/auth/login"))
            pages = browser.walk(browser.submit(pages[-1], "#person-alice"))
            assert browser.cookies["vestibule"].httponly
            browser.post(f"{gateway}/auth/logout", cross_site=True)   # a form on evil.example

    `get` is typed into the address bar, `post` is a form of the same origin, `fetch` is script of the same origin;
    `initiator=` names the page it comes from instead, `cross_site=True` is short for a page on evil.example.
    Cookies are shared between ports of a host, as in browsers.
    """

    def __init__(
        self,
        *,
        verify: ssl.SSLContext = TRUSTS_NOBODY,
        clock: Callable[[], float] = time.time,
        timeout: float = 10.0,
        user_agent: str = "CookieClient/1.0",
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.cookies = CookieStore(clock=clock)
        self._http = httpx.Client(
            verify=verify,
            timeout=timeout,
            trust_env=False,
            follow_redirects=False,
            headers={"User-Agent": user_agent},
            transport=transport,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    # Navigations

    def get(
        self,
        url: str | httpx.URL,
        *,
        params: Mapping[str, str] | None = None,
        headers: HeaderChanges | None = None,
        initiator: str | None = None,
        cross_site: bool = False,
    ) -> httpx.Response:
        """Navigate at top level."""
        target = httpx.URL(url).copy_merge_params(params) if params else httpx.URL(url)
        return self._navigate("GET", target, _page(initiator, cross_site=cross_site), headers=headers)

    def post(
        self,
        url: str | httpx.URL,
        *,
        data: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        headers: HeaderChanges | None = None,
        initiator: str | None = None,
        cross_site: bool = False,
    ) -> httpx.Response:
        """Submit a form at top level. From another site no Lax or Strict cookie is sent with it."""
        target = httpx.URL(url)
        page = _page(initiator, cross_site=cross_site) or target
        return self._navigate("POST", target, page, headers=headers, form=_encode(data))

    def submit(
        self, response: httpx.Response, selector: str, *, fields: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Submit a form of a page, by ``#form-id`` or ``#button-id``; `fields` fills in or replaces inputs."""
        form, pairs = choose_form(response.text, selector)
        typed = dict(fields or {})
        filled = [(name, typed.pop(name, value)) for name, value in pairs] + list(typed.items())
        target = response.url.join(form.action) if form.action else response.url
        if form.method == "GET":
            return self._navigate("GET", target.copy_with(query=_encode(filled)), response.url)
        return self._navigate("POST", target, response.url, form=_encode(filled))

    def follow(self, response: httpx.Response) -> httpx.Response:
        """Take one hop: the redirect of a 3xx, or the form of a page that submits itself."""
        if response.status_code not in REDIRECTS:
            form = read_forms(response.text)[0]
            return self.submit(response, f"#{form.id}")
        target = response.url.join(response.headers["location"])
        request = response.request
        keeps_method = response.status_code in (307, 308) or request.method in ("GET", "HEAD")
        same_page: httpx.URL | None = request.extensions["initiator"]
        return self._navigate(
            request.method if keeps_method else "GET",
            target,
            same_page,
            form=request.content if keeps_method and request.content else None,
            so_far=request.extensions["fetch_site"],
        )

    def walk(self, response: httpx.Response, *, max_hops: int = 10) -> list[httpx.Response]:
        """Follow to the end and return every response, the given one first; a longer chain fails the test."""
        responses = [response]
        while can_follow(responses[-1]):
            if len(responses) > max_hops:
                chain = " -> ".join(str(each.url.copy_with(query=None)) for each in responses)
                raise AssertionError(f"more than {max_hops} hops: {chain}")
            responses.append(self.follow(responses[-1]))
        return responses

    # Script

    def fetch(
        self,
        url: str | httpx.URL,
        *,
        method: str = "GET",
        headers: HeaderChanges | None = None,
        json: Any = None,
        content: bytes | None = None,
        initiator: str | None = None,
        cross_site: bool = False,
        credentials: bool = True,
    ) -> httpx.Response:
        """Do what ``fetch()`` does on a page of the target's own origin, or of `initiator`; there is no preflight."""
        target = httpx.URL(url)
        page = _page(initiator, cross_site=cross_site) or target
        site = fetch_site(page, target)
        sent = {**_SCRIPT, "Sec-Fetch-Site": site}
        if site != "same-origin" or method not in ("GET", "HEAD"):
            sent["Origin"] = origin_of(page)
        same_site = site != "cross-site"
        cookies = self._cookie_header(target, lax=same_site, strict=same_site) if credentials else {}
        request = self._http.build_request(
            method, target, headers=_merged({**sent, **cookies}, headers or {}), json=json, content=content
        )
        return self._send(request, store=credentials)

    # Below

    def _navigate(
        self,
        method: str,
        target: httpx.URL,
        page: httpx.URL | None,
        *,
        headers: HeaderChanges | None = None,
        form: bytes | None = None,
        so_far: FetchSite = "none",
    ) -> httpx.Response:
        site: FetchSite = max(so_far, fetch_site(page, target), key=_SITE_ORDER.index)
        same_site_page = page is None or site_of(page) == site_of(target)
        sent = {**_NAVIGATION, "Sec-Fetch-Site": site}
        if method == "POST":
            sent["Content-Type"] = "application/x-www-form-urlencoded"
            sent["Origin"] = origin_of(page) if page is not None else "null"
        cookies = self._cookie_header(target, lax=same_site_page or method == "GET", strict=same_site_page)
        request = self._http.build_request(
            method,
            target,
            headers=_merged({**sent, **cookies}, headers or {}),
            content=form,
            extensions={"initiator": page, "fetch_site": site},
        )
        return self._send(request, store=True)

    def _cookie_header(self, url: httpx.URL, *, lax: bool, strict: bool) -> dict[str, str]:
        cookies = self.cookies.for_url(url, lax=lax, strict=strict)
        return {"Cookie": "; ".join(f"{cookie.name}={cookie.value}" for cookie in cookies)} if cookies else {}

    def _send(self, request: httpx.Request, *, store: bool) -> httpx.Response:
        response = self._http.send(request)
        self._http.cookies.clear()
        self.cookies.receive(response, may_store=store)
        return response


def can_follow(response: httpx.Response) -> bool:
    """True for a redirect with a Location and for a page that submits itself."""
    if response.status_code in REDIRECTS:
        return "location" in response.headers
    return response.headers.get("content-type", "").startswith("text/html") and submits_itself(response.text)


def _merged(own: Mapping[str, str], changes: HeaderChanges) -> httpx.Headers:
    merged = httpx.Headers(own)
    for name, value in changes.items():
        merged.pop(name, None)
        if value is not None:
            merged[name] = value
    return merged


def _page(initiator: str | None, *, cross_site: bool) -> httpx.URL | None:
    chosen = initiator or (EVIL_ORIGIN if cross_site else None)
    return httpx.URL(chosen) if chosen else None


def _encode(pairs: Mapping[str, str] | Iterable[tuple[str, str]]) -> bytes:
    return urlencode(list(pairs.items()) if isinstance(pairs, Mapping) else list(pairs)).encode("ascii")
