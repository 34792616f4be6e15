"""PX-1 to PX-6, PX-14: which headers of requests and responses are passed on, and which are removed."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.fakes import RecordedRequest, Reply
from tests.payloads.requests import COOKIE_NAMES, IDENTITY_HEADERS, spellings
from tests.security.house import House
from tests.security.raw import SAME_ORIGIN, connect, handshake, websocket_status

ROUTES = ["/api/x", "/models/x", "/optional/x", "/public/x", "/page", "/admin/x"]


def identity_of(request: RecordedRequest) -> dict[str, str | None]:
    """The identity set an upstream sees; reading fails when one of them is there twice."""
    names = ("user", "email", "groups", "roles", "preferred-username", "name", "provider", "id")
    return {name: request.header(f"x-auth-request-{name}") for name in names}


NOMINATIONS = [
    "close, Authorization, X-Auth-Request-User, X-Forwarded-User, Cookie, X-Vestibule-CSRF",
    "close, authorization",
    "close, X-Auth-Request-User, X-Auth-Request-Id, X-Auth-Request-Roles",
    "close, X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host, X-Request-Id",
    "close, Host, Content-Length, Transfer-Encoding",
    "close, x-vestibule-assertion, x-vestibule-session",
]


@pytest.mark.parametrize("connection", NOMINATIONS)
def test_px_1_a_client_cannot_remove_our_headers_with_connection(house: House, cookie: str, connection: str) -> None:
    request = f"GET /api/x HTTP/1.1\r\nHost: {house.host}\r\n{SAME_ORIGIN}\r\nConnection: {connection}\r\n"
    received = house.raw(f"{request}Cookie: vestibule={cookie}\r\n\r\n".encode())
    assert received.startswith(b"HTTP/1.1 200")
    seen = house.upstream.last
    assert (seen.header("authorization") or "").startswith("Bearer ")
    assert identity_of(seen)["user"] == "alice"
    assert seen.header("host") == house.host
    assert seen.header("x-forwarded-for") == "127.0.0.1"


def test_px_1_client_headers_named_in_the_connection_header_are_not_passed_on(house: House, cookie: str) -> None:
    lines = [
        SAME_ORIGIN,
        "Connection: X-Mine",
        "X-Mine: 1",
        "X-Kept: 1",
        "Keep-Alive: 5",
        "TE: trailers",
        "Proxy-Connection: x",
    ]
    house.get_raw("/api/x", *lines, cookie=cookie)
    names = [name.lower() for name in house.upstream.last.names()]
    assert "x-kept" in names
    assert not {"x-mine", "keep-alive", "te", "proxy-connection"} & set(names)


def test_px_1_an_upstream_cannot_remove_our_headers_with_the_connection_header(house: House, cookie: str) -> None:
    nominated = "X-Request-Id, Cache-Control, Content-Security-Policy, X-Content-Type-Options, X-Secret"
    house.upstream.respond("/x", headers={"Connection": nominated, "X-Secret": "1", "X-Kept": "1", "Keep-Alive": "x"})
    answer = house.get_raw("/api/x", SAME_ORIGIN, cookie=cookie)
    assert answer.header("x-kept") == "1"
    assert answer.header("x-request-id")
    assert answer.header("x-content-type-options") == "nosniff"
    assert not answer.all("x-secret")
    assert not answer.all("keep-alive")


CREDENTIALS = [
    "Authorization: Bearer evil",
    "aUTHORIZATION: Basic evil",
    "DPoP: evil",
    "Proxy-Authorization: Basic evil",
]


@pytest.mark.parametrize("path", ["/api/x", "/models/x", "/optional/x", "/page"])
@pytest.mark.parametrize("signed_in", [True, False])
def test_px_2_credentials_of_a_client_are_not_passed_on(house: House, cookie: str, path: str, signed_in: bool) -> None:
    house.get_raw(path, SAME_ORIGIN, *CREDENTIALS, *CREDENTIALS, cookie=cookie if signed_in else "")
    assert len(house.upstream.requests) == (1 if signed_in or path == "/optional/x" else 0)
    for request in house.upstream.requests:
        assert b"evil" not in request.head
        assert len(request.values("authorization")) == (1 if signed_in and path != "/page" else 0)


def test_px_2_a_credential_in_a_trailer_is_not_passed_on(house: House, cookie: str) -> None:
    head = f"POST /api/x HTTP/1.1\r\nHost: {house.host}\r\nCookie: vestibule={cookie}\r\nOrigin: {house.url}\r\n"
    head += f"{SAME_ORIGIN}\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    house.raw(head.encode() + b"1\r\na\r\n0\r\nAuthorization: Bearer evil\r\nX-Harmless: evil\r\n\r\n")
    assert b"evil" not in house.upstream.last.head
    assert house.upstream.last.trailers == ()


def batched(names: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), size):
        yield names[start : start + size]


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
@pytest.mark.parametrize("signed_in", [True, False])
def test_px_3_client_identity_headers_are_removed_in_every_spelling(
    house: House, cookie: str, path: str, method: str, signed_in: bool
) -> None:
    for headers in batched(IDENTITY_HEADERS, 6):  # a request has a hundred fields at most
        lines = [
            f"{name}: {value}"
            for header in headers
            for name in dict.fromkeys(spellings(header))
            for value in ("mallory", "")
        ]
        house.get_raw(path, SAME_ORIGIN, *lines, method=method, cookie=cookie if signed_in else "")
    for request in house.upstream.requests:
        assert b"mallory" not in request.head
        names = [name.lower() for name in request.names()]
        assert not [name for name in names if "_" in name or "." in name]
        known = identity_of(request)
        assert known["user"] == ("alice" if signed_in and path != "/public/x" else "")
        assert all(value is not None for value in known.values()), "absent is what a client could have sent"
    assert house.upstream.requests or not signed_in


def test_px_3_headers_with_an_underscore_or_a_dot_are_not_passed_on(house: House, cookie: str) -> None:
    house.get_raw("/api/x", SAME_ORIGIN, "Any_Thing: 1", "Any.Thing: 1", "Any-Thing: 1", cookie=cookie)
    names = [name.lower() for name in house.upstream.last.names()]
    assert "any-thing" in names
    assert not {"any_thing", "any.thing"} & set(names)


def test_px_3_identity_headers_of_a_client_are_removed_from_a_handshake(house: House, cookie: str) -> None:
    for headers in batched(IDENTITY_HEADERS, 12):
        lines = [f"{name}: mallory" for header in headers for name in dict.fromkeys(spellings(header))]
        assert websocket_status(house.door.port, handshake("/ws", house.host, *lines, "DPoP: x", cookie=cookie)) == 101
    for request in house.upstream.requests:
        assert b"mallory" not in request.head
        assert identity_of(request)["user"] == "alice"


FORWARDED = {
    "X-Forwarded-For": "6.6.6.6",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Port": "666",
    "X-Forwarded-Prefix": "/evil",
    "X-Forwarded-Uri": "/evil",
    "X-Forwarded-Method": "DELETE",
    "X-Forwarded-Server": "evil",
    "Forwarded": "for=6.6.6.6;host=evil.example;proto=https",
    "X-Real-IP": "6.6.6.6",
    "X-Client-IP": "6.6.6.6",
    "True-Client-IP": "6.6.6.6",
    "CF-Connecting-IP": "6.6.6.6",
    "X-Original-URL": "/evil",
    "X-Original-URI": "/evil",
    "X-Original-Method": "DELETE",
    "X-Original-Host": "evil.example",
    "X-Rewrite-URL": "/evil",
    "X-Request-ID": "evil-request-id",
}


def test_px_4_forwarding_headers_are_ignored_by_default_even_from_loopback(house: House, cookie: str) -> None:
    answer = house.get_raw("/api/x", SAME_ORIGIN, *(f"{n}: {v}" for n, v in FORWARDED.items()), cookie=cookie)
    request = house.upstream.last
    assert b"evil" not in request.head
    assert b"6.6.6.6" not in request.head
    assert request.header("x-forwarded-for") == "127.0.0.1"
    assert request.header("x-forwarded-proto") == "http"
    assert request.header("x-forwarded-host") == house.host
    assert request.header("x-forwarded-prefix") == "/api"
    assert request.header("x-request-id") == answer.header("x-request-id")
    assert all("6.6.6.6" not in repr(event) for event in house.audit)


CHAINS = {
    "one": ("9.9.9.9", "9.9.9.9"),
    "spoofed first": ("6.6.6.6, 9.9.9.9", "9.9.9.9"),
    "through two proxies": ("6.6.6.6, 9.9.9.9, 127.0.0.5", "9.9.9.9"),
    "all trusted": ("127.0.0.3, 127.0.0.4", "127.0.0.3"),
    "no address": ("6.6.6.6, unknown", "127.0.0.1"),
    "script": ("<script>", "127.0.0.1"),
    "a hundred": (", ".join(["6.6.6.6"] * 99 + ["9.9.9.9"]), "9.9.9.9"),
    "IPv6": ("6.6.6.6, [2001:db8::1]:443", "2001:db8::1"),
    "mapped": ("::ffff:9.9.9.9", "9.9.9.9"),
    "empty": ("", "127.0.0.1"),
}


def test_px_4_the_client_is_the_rightmost_untrusted_forwarded_address(build_house: Callable[..., House]) -> None:
    house = build_house(server={"trusted_proxies": ["127.0.0.0/8"]})
    cookie = house.session_cookie(house.sign_in())
    house.upstream.clear()
    others = {name: value for name, value in FORWARDED.items() if name not in ("X-Forwarded-For", "X-Forwarded-Host")}
    lines = [f"{name}: {value}" for name, value in others.items()]
    for given, expected in CHAINS.values():
        answer = house.get_raw("/api/x", SAME_ORIGIN, f"X-Forwarded-For: {given}", *lines, cookie=cookie)
        assert answer.status == 200
        assert house.upstream.last.header("x-forwarded-for") == expected
        assert b"6.6.6.6" not in house.upstream.last.head
        house.get_raw("/auth/callback/corp", f"X-Forwarded-For: {given}")
        assert house.refusals()[-1]["client"] == expected


@pytest.mark.parametrize("scope_id", ["\xe9", "a b<script>", "z" * 3000, "1"], ids=["latin", "markup", "long", "plain"])
def test_px_4_a_forwarded_address_has_no_scope_id(build_house: Callable[..., House], scope_id: str) -> None:
    """A scope id means something only on one machine, may hold any text, and makes many addresses of one."""
    house = build_house(server={"trusted_proxies": ["127.0.0.0/8"]})
    assert house.get_raw("/public/x", f"X-Forwarded-For: fe80::1%{scope_id}").status == 200
    assert house.upstream.last.values("x-forwarded-for") == ["127.0.0.1"]
    assert [event for event in house.audit if event["event"] == "unexpected_error"] == []


@pytest.mark.parametrize("spelling", COOKIE_NAMES)
def test_px_5_our_cookies_are_removed_in_every_spelling(house: House, cookie: str, spelling: bytes) -> None:
    secret = b"canary-of-the-session"
    for name in (b"vestibule", b"__Host-vestibule", b"vestibule-tx-0123abcd", b"__Host-vestibule-tx-0123abcd"):
        spelt = spelling.replace(b"{name}", name).replace(b"{NAME}", name.upper())
        spelt = spelt.replace(b"{Name}", name.title()).replace(b"%76{rest}", name.replace(b"v", b"%76", 1))
        line = b"Cookie: keep=1; " + spelt + b"=" + secret + b"; also=2"
        house.get_raw("/page", line, b"Cookie: vestibule=" + cookie.encode())
    for request in house.upstream.requests:
        values = " ; ".join(request.values("cookie"))
        assert secret.decode() not in values or _is_none_of_ours(spelling)
        assert cookie not in values


def _is_none_of_ours(spelling: bytes) -> bool:
    """`vestibule.x` is another name to every parser."""
    return spelling == b"{name}.x"


def test_px_5_other_cookies_are_passed_on_byte_for_byte(house: House, cookie: str) -> None:
    others = b'_streamlit_xsrf=2|a|b; a="quoted \\073 x"; b=%20; c=; d=e=f; \xc3\xa4=\xff'
    house.get_raw("/page", b"Cookie: " + others + b"; vestibule=" + cookie.encode())
    assert house.upstream.last.values("cookie") == [others.decode("latin-1")]
    house.get_raw("/page", b"Cookie: first=1", b"Cookie: vestibule=" + cookie.encode(), b"Cookie: last=2")
    assert house.upstream.last.values("cookie") == ["first=1", "last=2"]
    house.get_raw("/page", cookie=cookie)
    assert house.upstream.last.values("cookie") == []


SET_COOKIES: dict[str, str] = {
    "vestibule=evil; Path=/": "own_name",
    "__Host-vestibule=evil; Path=/; Secure": "own_name",
    "__host-Vestibule=evil; Path=/; Secure": "own_name",
    "vestibule-tx-0123abcd=evil": "own_name",
    " vestibule=evil": "own_name",
    "vestibule[a]=evil": "own_name",
    "x=1, __Host-vestibule=evil": "own_name",
    "y=1 vestibule=evil": "own_name",
    "b=1; domain=.example.com": "domain",
    "c=1; DOMAIN =example.com": "domain",
    "d=1; Domain=localhost; Domain=example.com": "domain",
    "=vestibule=evil": "nameless",
    "=__Host-vestibule=evil": "nameless",
    "vestibule": "nameless",
    "a=1; Domain=localhost; Path=/": "",
    "e=1; Domain=.LOCALHOST": "",
    "app=1; Path=/; HttpOnly": "",
    "_streamlit_xsrf=2|x; Path=/; SameSite=lax": "",
    "cart[item]=1; Path=/": "",
    "cart{x} y=1": "",
}
"""What an upstream at `localhost` sets, and why it is dropped ("": it passes)."""
WITHOUT_DOMAIN = {"a=1; Domain=localhost; Path=/": "a=1; Path=/", "e=1; Domain=.LOCALHOST": "e=1"}


@pytest.mark.parametrize("path", ["/page", "/api/x", "/public/x"])
def test_px_5_an_upstream_cannot_set_our_cookies_or_foreign_ones(house: House, cookie: str, path: str) -> None:
    house.upstream.respond("*", headers=[("Set-Cookie", value) for value in SET_COOKIES])
    answer = house.get_raw(path, SAME_ORIGIN, cookie=cookie)
    kept = [WITHOUT_DOMAIN.get(value, value) for value, reason in SET_COOKIES.items() if not reason]
    assert answer.all("set-cookie") == kept


def test_px_5_a_dropped_cookie_of_an_upstream_leaves_a_log_line(build_house: Callable[..., House]) -> None:
    house = build_house()
    cookie = house.session_cookie(house.sign_in())
    house.upstream.respond("/page", headers=[("Set-Cookie", value) for value in SET_COOKIES])
    for _ in range(3):
        house.get_raw("/page", cookie=cookie)
    lines = [line for line in house.audit if line["event"] == "response_cookie_dropped"]
    dropped = {value.partition("=")[0].strip(): reason for value, reason in SET_COOKIES.items() if reason}
    dropped[""] = dropped.pop("vestibule")  # the value of a cookie without a name is not taken for its name
    dropped["vestibule"] = "own_name"
    assert {line["cookie"]: line["reason"] for line in lines} == dropped
    assert len(lines) == len(dropped)
    assert {line["route"] for line in lines} == {"dashboards"}
    assert next(line["domain"] for line in lines if line["cookie"] == "b") == ".example.com"
    assert "evil" not in str(lines)


def test_px_6_a_cookie_of_an_upstream_is_sent_only_by_its_browser(house: House, cookie: str) -> None:
    house.upstream.respond("/page", headers={"Set-Cookie": "upstream_session=alice; Path=/"})
    for _ in range(3):
        house.get_raw("/page", cookie=cookie)
    bob = house.session_cookie(house.sign_in("bob"))
    house.upstream.clear()
    for path in ("/page", "/api/x", "/public/x"):
        house.get_raw(path, SAME_ORIGIN, cookie=bob)
        house.get_raw(path, SAME_ORIGIN)
    assert len(house.upstream.requests) >= 4
    assert all(request.values("cookie") == [] for request in house.upstream.requests)


def test_px_6_an_authentication_challenge_of_an_upstream_is_not_answered(house: House, cookie: str) -> None:
    house.upstream.respond("/page", status=401, headers={"WWW-Authenticate": 'Basic realm="x"'})
    house.get_raw("/page", cookie=cookie)
    house.get_raw("/page", cookie=cookie)
    assert all(request.values("authorization") == [] for request in house.upstream.requests)
    assert len(house.upstream.requests) == 2


def test_px_6_the_rest_of_an_aborted_body_never_reaches_another_person(house: House) -> None:
    cookies = {name: house.session_cookie(house.sign_in(name)) for name in ("alice", "bob")}

    def echo(request: RecordedRequest) -> Reply:
        whose = (request.header("x-auth-request-user") or "?").encode()
        return Reply(stream=(whose * 2_000, 0.005, whose * 2_000), chunked=True)

    house.upstream.respond_with("/stream*", echo)

    def work(number: int) -> set[bytes]:
        name = ("alice", "bob")[number % 2]
        target = f"GET /stream/{number} HTTP/1.1\r\nHost: {house.host}\r\nConnection: close\r\n"
        request = f"{target}Cookie: vestibule={cookies[name]}\r\n\r\n".encode()
        with connect(house.door.port) as client:
            client.sendall(request)
            if number % 4:
                client.recv(100)  # and the client leaves in the middle of the body
                return set()
            received = b""
            while chunk := client.recv(65_536):
                received += chunk
        other = b"bob" if name == "alice" else b"alice"
        assert name.encode() in received
        return {other} if other in received else set()

    with ThreadPoolExecutor(8) as pool:
        assert set().union(*pool.map(work, range(200))) == set()


CONTROL_HEADERS = {
    "X-Accel-Redirect": "/internal/secret",
    "X-Accel-Buffering": "no",
    "X-Accel-Charset": "x",
    "X-Sendfile": "/etc/passwd",
    "X-LIGHTTPD-send-file": "/etc/passwd",
    "X-Auth-Request-User": "root",
    "X-Auth-Request-Redirect": "//evil.com",
    "X-Vestibule-Session": "x",
    "Clear-Site-Data": '"*"',
    "Service-Worker-Allowed": "/",
    "Alt-Svc": 'h3="evil.example:443"',
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Credentials": "true",
    "Proxy-Authenticate": "Basic",
    "Keep-Alive": "timeout=5",
    "Upgrade": "h2c",
    "Trailer": "X-Auth-Request-User",
    "X-Request-Id": "evil-request-id",
}


@pytest.mark.parametrize("path", ["/page", "/api/page", "/public/page"])
def test_px_14_control_headers_of_an_upstream_are_dropped(house: House, cookie: str, path: str) -> None:
    house.upstream.respond("/*", headers={**CONTROL_HEADERS, "X-App": "kept"})
    answer = house.get_raw(path, SAME_ORIGIN, cookie=cookie)
    assert answer.status == 200
    assert answer.header("x-app") == "kept"
    names = {name for name, _ in answer.headers} - {"x-request-id"}
    assert not names & {name.lower() for name in CONTROL_HEADERS}
    assert answer.header("x-request-id") != "evil-request-id"


def test_px_3_the_name_of_a_person_cannot_break_out_of_its_header(house: House) -> None:
    """Line breaks, commas and bytes of a claim cannot make a second header or a second group."""
    nasty = "Ada\r\nX-Evil: 1"
    house.provider.bend.userinfo.json(
        lambda info: {**info, "name": nasty, "groups": ["a,admin", "ä", "b\r\nX: 1", "%2C"]}
    )
    browser = house.sign_in()
    browser.fetch(f"{house.url}/api/x")
    request = house.upstream.last
    assert b"X-Evil" not in request.head
    assert (request.header("x-auth-request-groups") or "").split(",")[:3] == ["a%2Cadmin", "%C3%A4", "%252C"]


def test_px_2_our_bearer_token_is_a_jwt_only_for_this_upstream(house: House, cookie: str) -> None:
    house.get_raw("/models/x", SAME_ORIGIN, cookie=cookie)
    token = (house.upstream.last.header("authorization") or "").removeprefix("Bearer ")
    claims = base64.urlsafe_b64decode(token.split(".")[1] + "==")
    assert b'"aud":"models-api"' in claims.replace(b" ", b"")
