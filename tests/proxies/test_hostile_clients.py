"""FA-2, FA-4, CK-1: requests that a proxy could serve as another one than it describes in its question."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.fakes import FakeProvider
from tests.proxies.conftest import PROXIES, ROUTES
from tests.proxies.deployed import FORWARD_AUTH, HOST, Deployment, deployment
from tests.proxies.starters import STARTERS
from tests.security.certificates import make_authority
from tests.security.raw import RawAnswer, read_all

NAVIGATION = ("Sec-Fetch-Site: none", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Accept: text/html")
XHR = ("Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty")
OTHER = "blog.example.com"
UPGRADES: list[str] = ["h2c", "h2c, websocket", "websocket, h2c", "TLS/1.0", "websocket/13"]


NAMES = [*sorted(STARTERS), "stand-in for traefik"]


@pytest.fixture(scope="module", params=NAMES, ids=[f"{name}/{FORWARD_AUTH}" for name in NAMES])
def two_hosts(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A deployment of one host, whose front door serves a second one with a page for everybody."""
    routes = [*ROUTES, {"id": "blog", "path": "/", "kind": "page", "auth": "public", "host": OTHER}]
    folder, proxy = tmp_path_factory.mktemp("two"), PROXIES[request.param]
    with (
        FakeProvider(auto_login="alice") as provider,
        deployment(
            proxy,
            provider=provider,
            authority=make_authority(folder),
            folder=folder,
            routes=routes,
            server={"origins": [f"https://{OTHER}"]},
        ) as running,
    ):
        yield running


@pytest.fixture
def place(two_hosts: Deployment) -> Iterator[Deployment]:
    """The deployment, with nothing recorded yet."""
    two_hosts.web.reset()
    two_hosts.api.reset()
    yield two_hosts
    two_hosts.close_browsers()


@pytest.fixture
def cookie(place: Deployment) -> str:
    browser, _ = place.sign_in()
    value = place.cookie_of(browser)
    place.web.clear()
    return value


@pytest.mark.parametrize("wanted", UPGRADES)
@pytest.mark.parametrize("path", ["/public/x", "/report"])
def test_fa_5_no_other_protocol_is_offered_to_an_application(
    place: Deployment, cookie: str, path: str, wanted: str
) -> None:
    """A connection that an application switches to HTTP/2 carries requests that nobody is asked about."""
    lines = ("Connection: Upgrade, HTTP2-Settings", f"Upgrade: {wanted}", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA")
    place.ask(path, *NAVIGATION, *lines, cookie=cookie)
    offered = [got.header("upgrade") or "" for got in place.web.requests]
    assert not [one for one in offered if one not in ("", "websocket")], offered


@pytest.mark.parametrize("inside", ["/api/models", "/vestibule-question", "/admin/x", "/auth/session"])
def test_fa_2_an_answer_of_an_application_does_not_lead_the_proxy_elsewhere(
    place: Deployment, cookie: str, inside: str
) -> None:
    place.web.respond("/public/x", headers=[("X-Accel-Redirect", inside), ("X-Sendfile", "/etc/passwd")])
    answer = place.ask("/public/x", *XHR, cookie=cookie)
    assert answer.status == 200
    assert "alice" not in answer.received.decode("latin-1").lower()
    assert place.api.requests == []
    assert [got.target for got in place.web.requests] == [b"/public/x"]


@pytest.mark.parametrize(
    "sent",
    [
        "{own}",
        "a=1;{own};b=2",
        "a=1;  {own}",
        "a=1 ; {own} ; b=2",
        ";{own}",
        "; ; {own}",
        "{own}; {own}",
        "{own}; {own}; {own}; {own}",
        "a=__Host-vestibule; {own}",
        "a={own}; {own}",
        "{tx}; a=1",
        "{at}; {own}; {tx}",
        "a=" + "x; " * 4000 + "{own}",
    ],
)
def test_ck_1_no_cookie_of_ours_reaches_an_application(place: Deployment, cookie: str, sent: str) -> None:
    line = sent.format(
        own=f"__Host-vestibule={cookie}", tx="__Host-vestibule-tx-0123abcd=secret", at="__Host-vestibule-at-01=secret"
    )
    place.ask("/guests", *NAVIGATION, f"Cookie: {line}")
    for got in place.web.requests:
        assert cookie not in (got.header("cookie") or "").replace(f"a=__Host-vestibule={cookie}", "")
        assert "secret" not in (got.header("cookie") or "")


def test_ck_1_no_cookie_of_ours_reaches_an_application_in_a_line_of_its_own(place: Deployment, cookie: str) -> None:
    place.ask("/report", *NAVIGATION, "Cookie: a=1", f"Cookie: __Host-vestibule={cookie}", "Cookie: b=2")
    (got,) = place.web.requests
    assert not [value for name, value in got.headers if name.lower() == b"cookie" and b"vestibule" in value]


def sent_raw(place: Deployment, head: bytes) -> RawAnswer:
    client = socket.create_connection(("127.0.0.1", place.places.proxy), timeout=10)
    with place.trust.wrap_socket(client, server_hostname=HOST) as secured:
        secured.sendall(head)
        return RawAnswer.parse(read_all(secured))


@pytest.mark.parametrize(
    "head",
    [
        b"GET /public/x HTTP/1.0\r\n\r\n",
        b"GET /public/x HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
        b"GET /public/x HTTP/1.1\r\nHost: %s?x\r\nConnection: close\r\n\r\n",
        b"GET /public/x HTTP/1.1\r\nHost: %s\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
        b"GET https://%s/public/x HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
        b"GET https://%s HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
    ],
    ids=["HTTP/1.0 without", "another", "with a query", "two", "another beside an absolute target", "no path"],
)
def test_fa_2_an_application_is_not_reached_under_another_host(place: Deployment, head: bytes) -> None:
    if place.name == "traefik":
        pytest.skip("its stand-in reads well-formed requests only")
    assert place.ask("/public/x", *NAVIGATION).status == 200
    place.web.clear()
    sent_raw(place, head.replace(b"%s", place.host.encode()))
    # Caddy takes the host of an absolute target, for its question and for the application.
    assert [got.header("host") for got in place.web.requests] in ([], [place.host] if place.name == "caddy" else [])


@pytest.mark.parametrize("target", ["/secret", "https://%s/secret", f"https://{OTHER}/secret"])
def test_fa_2_the_rules_of_another_host_do_not_open_an_application(place: Deployment, target: str) -> None:
    own = target.replace("%s", place.host)
    head = f"GET {own} HTTP/1.1\r\nHost: {OTHER}\r\nConnection: close\r\n\r\n"
    if place.name == "traefik" and not target.startswith("/"):
        pytest.skip("its stand-in reads well-formed requests only")
    sent_raw(place, head.encode())
    assert place.web.requests == []


def test_fa_6_no_application_gets_the_token_of_another_one(place: Deployment, cookie: str) -> None:
    """The proxy chooses the application, Vestibule the rules and the token: both must read the path alike."""
    place.ask("/%61pi/models", *XHR, cookie=cookie)
    assert not [got for got in place.web.requests if got.header("authorization")]
