"""FA-1, FA-4, LO-2, LO-13: oauth2-proxy's published nginx configuration works unchanged, but for the token's header."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.fakes import CookieClient, FakeProvider, RecordingUpstream, bind_socket
from tests.security.certificates import make_authority
from tests.security.house import House
from tests.security.old_recipe import (
    NAMED_LOCATION,
    PAGE,
    PAGE_WITH_403,
    URL,
    browser_at,
    nginx_as_published,
)

pytestmark = pytest.mark.component("nginx")
Opened = Callable[..., CookieClient]


@pytest.fixture
def opened(build_house: Callable[..., House], upstream: RecordingUpstream, stack: ExitStack, tmp_path: Path) -> Opened:
    """`opened(refused=…)`: a browser before the published nginx, before a front door that has no route to a server."""

    def open_it(refused: str = NAMED_LOCATION, *, is_moved: bool = False, **route: object) -> CookieClient:
        authority = make_authority(tmp_path)
        free = bind_socket("127.0.0.1", 0)
        door = int(free.getsockname()[1])
        free.close()
        house = build_house(
            port=door,
            **({"forward_auth": {"modes": ["nginx"]}} if is_moved else {}),
            routes=[{"id": "pages", "path": "/", "kind": "page", **route}],
            compat={"oauth2_proxy": True},
            server={"public_url": URL, "trusted_proxies": ["127.0.0.1"]},
        )
        issued = authority.issue("apps.localhost")
        backend = int(upstream.url.rpartition(":")[2])
        verify = house.door.verify_port if is_moved else 0
        nginx = nginx_as_published(
            tmp_path, door=door, backend=backend, certificate=issued, refused=refused, verify=verify
        )
        port = stack.enter_context(nginx)
        return stack.enter_context(browser_at(port, ca_file=authority.ca_file))

    return open_it


@pytest.mark.parametrize("refused", [NAMED_LOCATION, PAGE], ids=["named location", "older: the page itself"])
def test_fa_1_a_person_signs_in_and_comes_back_to_the_page_with_its_query(
    opened: Opened, upstream: RecordingUpstream, refused: str
) -> None:
    browser = opened(refused)
    pages = browser.walk(browser.get(f"{URL}/report?a=1&b=2%26"))
    assert (pages[-1].status_code, str(pages[-1].url)) == (200, f"{URL}/report?a=1&b=2%26")
    seen = upstream.last
    assert (seen.path, seen.header("x-user"), seen.header("x-email")) == ("/report", "alice", "alice@example.com")
    assert seen.header("x-access-token") is None, "a public answer never has a token"
    assert seen.header("authorization") is None
    visited = [page.url.path for page in pages if page.url.host == "apps.localhost"]
    assert not [path for path in visited if path.startswith("/auth")], "this proxy does not pass /auth on"


def test_fa_1_the_lines_of_the_page_move_the_question_to_its_listener_and_bring_the_token(
    opened: Opened, upstream: RecordingUpstream
) -> None:
    browser = opened(is_moved=True, token="assertion", audience="models-api")
    pages = browser.walk(browser.get(f"{URL}/report?a=1&b=2%26"))
    assert str(pages[-1].url) == f"{URL}/report?a=1&b=2%26"
    assert (upstream.last.header("x-user"), upstream.last.path) == ("alice", "/report")
    assert (upstream.last.header("x-access-token") or "").startswith("Bearer ey")
    assert browser.fetch(f"{URL}/oauth2/auth").status_code == 404, "the question is internal"


def test_fa_1_the_oldest_form_shows_a_page_with_a_button(opened: Opened, upstream: RecordingUpstream) -> None:
    browser = opened(PAGE_WITH_403)
    refused = browser.get(f"{URL}/report?a=1")
    assert refused.status_code == 403
    (link,) = [part.partition('"')[0] for part in refused.text.split('href="')[1:]]
    pages = browser.walk(browser.get(URL + link, initiator=URL))
    assert str(pages[-1].url) == f"{URL}/report?a=1"
    assert upstream.last.header("x-user") == "alice"


def test_fa_1_a_program_gets_401_and_a_body_is_neither_read_nor_lost(
    opened: Opened, upstream: RecordingUpstream
) -> None:
    browser = opened()
    assert browser.fetch(f"{URL}/programs/x", method="POST", content=b"lost").status_code == 401
    assert upstream.requests == []
    browser.walk(browser.get(f"{URL}/"))
    body = b"x" * 50_000
    assert browser.fetch(f"{URL}/programs/x", method="POST", content=body).status_code == 200
    assert upstream.last.body == body
    assert browser.post(f"{URL}/form", data={"a": "b"}).status_code == 200
    assert upstream.last.body == b"a=b"


def test_fa_4_what_a_client_says_of_itself_does_not_arrive(opened: Opened, upstream: RecordingUpstream) -> None:
    browser = opened()
    browser.walk(browser.get(f"{URL}/"))
    browser.get(f"{URL}/report", headers={"X-User": "root", "X-Email": "root@example.com", "X-Access-Token": "made-up"})
    seen = upstream.last
    assert (seen.header("x-user"), seen.header("x-email")) == ("alice", "alice@example.com")
    assert seen.header("x-access-token") is None


def test_fa_2_a_header_does_not_lead_past_the_question(opened: Opened, upstream: RecordingUpstream) -> None:
    browser = opened()
    for name in ("X-Forwarded-Uri", "X-Original-URI", "X-Original-URL", "X-Auth-Request-Redirect"):
        assert browser.fetch(f"{URL}/programs/x", headers={name: "/open"}).status_code == 401
    assert upstream.requests == []


def test_fa_1_a_rule_of_the_route_refuses_with_403_and_without_a_loop(
    opened: Opened, upstream: RecordingUpstream
) -> None:
    browser = opened(require={"email_domains": ["corp.example"]})
    pages = browser.walk(browser.get(f"{URL}/report"))
    assert pages[-1].status_code == 403
    assert upstream.requests == []


def test_fa_6_a_script_of_a_page_can_ask_and_gets_no_token(opened: Opened) -> None:
    browser = opened()
    browser.walk(browser.get(f"{URL}/"))
    answer = browser.fetch(f"{URL}/oauth2/auth")
    assert answer.status_code == 202
    assert {"authorization", "x-auth-request-access-token", "x-vestibule-assertion", "x-vestibule-session"}.isdisjoint(
        answer.headers
    )
    assert browser.fetch(f"{URL}/oauth2/auth", initiator="https://other.localhost").status_code == 403
    assert browser.fetch(f"{URL}/oauth2/userinfo").json()["email"] == "alice@example.com"


def test_lo_13_a_sign_out_counts_at_once(opened: Opened, provider: FakeProvider, upstream: RecordingUpstream) -> None:
    browser = opened()
    browser.walk(browser.get(f"{URL}/"))
    asked = browser.get(f"{URL}/oauth2/sign_out?rd=/report", initiator=URL)
    done = browser.submit(asked, "#sign-out")
    assert done.headers["location"].startswith(f"{provider.issuer}/end-session?")
    assert browser.follow(done).status_code == 200
    upstream.clear()
    assert browser.fetch(f"{URL}/programs/x").status_code == 401
    assert upstream.requests == []
