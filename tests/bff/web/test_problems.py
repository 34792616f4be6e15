"""Errors as pages and problem documents: they have one shape, and hold no input and nothing executable."""

from __future__ import annotations

import json
import re
from html import escape
from html.parser import HTMLParser
from typing import Any

import pytest

from bff import errors
from bff.errors import AuthError
from bff.settings.public_urls import PublicUrls
from bff.web.pages import Page, page_headers, render_page, render_telling_page, status_title
from bff.web.problems import login_url, render_problem

URLS = PublicUrls("https://apps.example.com/base")
XSS = "\"><script>alert('x')</script>&"


def every_error(root: type[AuthError] = AuthError) -> list[type[AuthError]]:
    kinds = [root]
    for kind in root.__subclasses__():
        kinds += every_error(kind)
    return [kind for kind in kinds if kind.__module__ == errors.__name__]


def problem(error: AuthError, *, navigation: bool, return_to: str = "/report?x=1") -> Page:
    return render_problem(error, navigation=navigation, request_id="r-1", urls=URLS, return_to=return_to)


class Links(HTMLParser):
    """Links and tags of a page."""

    def __init__(self, page: Page) -> None:
        super().__init__()
        self.hrefs: list[str] = []
        self.tags: list[str] = []
        self.feed(page.body.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.hrefs += [value or "" for name, value in attrs if name == "href"]


@pytest.mark.parametrize("kind", every_error())
def test_every_error_has_a_problem_document(kind: type[AuthError]) -> None:
    page = problem(kind(), navigation=False)
    document = json.loads(page.body)
    assert page.status == kind.status == document["status"]
    assert document["code"] == kind.default_code
    assert document["type"].endswith("#" + kind.default_code)
    assert document["request_id"] == "r-1"
    assert document["title"]
    headers = dict(page.headers)
    assert headers["content-type"] == "application/problem+json"
    assert (headers["cache-control"], headers["x-request-id"]) == ("no-store", "r-1")


@pytest.mark.parametrize("kind", every_error())
def test_every_error_has_a_page(kind: type[AuthError]) -> None:
    page = problem(kind(), navigation=True)
    text = page.body.decode()
    assert page.status == kind.status
    assert escape(kind.default_message, quote=False) in text.replace("&#39;", "'")
    assert kind.default_code in text
    assert "r-1" in text
    assert "script" not in Links(page).tags


@pytest.mark.parametrize("code", ["login_cancelled", "callback_denied"])
def test_a_person_who_cancels_does_not_see_an_error(code: str) -> None:
    text = problem(errors.CallbackRejected(code), navigation=True).body.decode()
    assert "<h1>You are not signed in</h1>" in text
    assert "mark warn" not in text
    assert "mark warn" in problem(errors.CallbackRejected(), navigation=True).body.decode()


def test_only_login_required_has_the_address_of_the_sign_in() -> None:
    document = json.loads(problem(errors.LoginRequired(), navigation=False).body)
    assert document["login_url"] == "/base/auth/login?return_to=%2Freport%3Fx%3D1"
    assert "login_url" not in json.loads(problem(errors.Forbidden(), navigation=False).body)


@pytest.mark.parametrize(
    ("error", "hrefs"),
    [
        (errors.CallbackRejected(), ["/base/auth/login?return_to=%2Freport%3Fx%3D1"]),
        (errors.InvalidToken(), ["/base/auth/login?return_to=%2Freport%3Fx%3D1"]),
        (errors.LoginRequired(), ["/base/auth/login?return_to=%2Freport%3Fx%3D1"]),
        (errors.BadRequest(), ["/base/"]),
        (errors.BadRequest("unknown_provider"), ["/base/auth/login?return_to=%2Freport%3Fx%3D1", "/base/"]),
        (errors.AuthError(), ["/report?x=1", "/base/"]),
        (errors.AuthError("method_not_allowed", status=405), ["/base/"]),
        (errors.AuthError("body_too_large", status=413), ["/base/"]),
        (errors.AuthError("too_many", status=429), ["/base/"]),
        (errors.Forbidden(), ["/base/", "/base/auth/account", "/base/auth/logout"]),
        (errors.NotFound(), ["/base/"]),
        (errors.Misdirected(), [URLS.base + "/"]),
        (errors.UpstreamFailed(), ["/report?x=1"]),
        (errors.StoreUnavailable(), ["/report?x=1"]),
        pytest.param(errors.UpstreamFailed(status=504), ["/report?x=1"], id="UpstreamFailed with status 504"),
    ],
)
def test_an_error_page_has_links_for_the_next_step(error: AuthError, hrefs: list[str]) -> None:
    assert Links(problem(error, navigation=True)).hrefs == hrefs


def test_an_unavailable_service_sends_retry_after() -> None:
    error = errors.ProviderUnavailable(retry_after=7)
    for navigation in (True, False):
        assert ("retry-after", "7") in problem(error, navigation=navigation).headers


def test_the_detail_for_operators_is_never_shown() -> None:
    error = errors.InvalidToken("id_token_aud", detail="detail-for-the-log")
    assert b"detail-for-the-log" not in problem(error, navigation=True).body
    assert b"detail-for-the-log" not in problem(error, navigation=False).body
    assert str(error) == "id_token_aud: detail-for-the-log"
    assert str(errors.InvalidToken("id_token_aud")) == "id_token_aud"


def test_the_sign_in_address_has_exactly_the_given_parameters() -> None:
    assert login_url(URLS, "/") == "/base/auth/login?return_to=%2F"
    assert login_url(URLS, "/a&b=c", provider="corp", login_hint="a@b") == (
        "/base/auth/login?return_to=%2Fa%26b%3Dc&provider=corp&login_hint=a%40b"
    )


PAGES: list[tuple[str, dict[str, Any]]] = [
    (
        "error.html",
        {
            "title": XSS,
            "message": XSS,
            "actions": [{"href": XSS, "label": XSS}],
            "code": XSS,
            "request_id": XSS,
            "is_fault": True,
            "is_calm": False,
        },
    ),
    ("sign_in.html", {"choices": [{"href": XSS, "label": XSS}]}),
    ("logged_out.html", {"login_url": XSS, "silent": True}),
    ("still_in.html", {"name": XSS, "back": XSS, "logout_url": XSS}),
    ("logout.html", {"name": XSS, "action": XSS, "back": XSS}),
    ("launcher.html", {"name": XSS, "apps": [{"href": XSS, "title": XSS}], "logout_url": XSS}),
]


@pytest.mark.parametrize(("template", "values"), PAGES, ids=[name for name, _ in PAGES])
class TestPages:
    def test_pages_escape_every_value(self, template: str, values: dict[str, Any]) -> None:
        page = render_page(template, **values)
        assert b"alert(" in page.body
        assert b"<script" not in page.body
        assert "script" not in Links(page).tags

    def test_pages_allow_only_their_own_style(self, template: str, values: dict[str, Any]) -> None:
        page = render_page(template, **values)
        policy = dict(page.headers)["content-security-policy"]
        nonce = re.search(r"style-src 'nonce-([A-Za-z0-9_-]{22})'", policy)
        assert nonce is not None
        assert f'<style nonce="{nonce[1]}">' in page.body.decode()
        for rule in ("default-src 'none'", "base-uri 'none'", "object-src 'none'", "frame-ancestors 'none'"):
            assert rule in policy
        assert "unsafe" not in policy

    def test_pages_never_repeat_a_nonce(self, template: str, values: dict[str, Any]) -> None:
        policies = {dict(render_page(template, **values).headers)["content-security-policy"] for _ in range(20)}
        assert len(policies) == 20

    def test_pages_have_no_inline_handlers_or_styles(self, template: str, values: dict[str, Any]) -> None:
        body = render_page(template, **values).body.decode().replace(str(escape(XSS)), "")
        assert not re.search(r"<[^>]+\s(on\w+|style)=", body)


def test_pages_cannot_be_cached_framed_or_sniffed() -> None:
    headers = dict(page_headers("n"))
    assert headers["cache-control"] == "no-store"
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cross-origin-opener-policy"] == "same-origin"


def test_a_page_can_have_more_headers_and_its_own_status() -> None:
    page = render_page("logged_out.html", status=418, headers=[("x-more", "1")], login_url="/", silent=False)
    assert page.status == 418
    assert page.headers[-1] == ("x-more", "1")


def test_the_page_that_tells_the_other_tabs_runs_that_one_script_and_no_other() -> None:
    page = render_telling_page("logged_out.html", script="/auth/guard.js", login_url=XSS, silent=False)
    policy = dict(page.headers)["content-security-policy"]
    nonce = re.search(r"script-src 'nonce-([A-Za-z0-9_-]{22})'", policy)
    assert nonce is not None
    assert re.findall(r"<script[^>]*>", page.body.decode()) == [
        f'<script nonce="{nonce[1]}" src="/auth/guard.js" data-signed-out>'
    ]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 503])
def test_only_a_401_of_the_front_door_says_that_the_door_refused(status: int) -> None:
    for navigation in (True, False):
        page = problem(AuthError("some_code", "Words.", status=status), navigation=navigation)
        assert dict(page.headers).get("x-vestibule-refused") == ("some_code" if status == 401 else None)


def test_an_unknown_status_has_a_title() -> None:
    assert (status_title(404), status_title(499)) == ("Not Found", "Error")
