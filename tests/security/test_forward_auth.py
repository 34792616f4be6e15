"""FA-1, FA-2, FA-4, FA-5, FA-6, FM-1, PX-3: what a proxy may ask, and what it is told."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest

from bff.errors import StoreUnavailable
from bff.stores.events import EverythingUnknown
from tests.fakes import FakeProvider, RecordingUpstream
from tests.security.asking import ASKING, IDENTITY, MODES, NAVIGATION, XHR, Asker, ask_raw
from tests.security.house import House, open_house

PAGE: dict[str, Any] = {"id": "pages", "path": "/", "kind": "page"}
API: dict[str, Any] = {"id": "models", "path": "/models", "kind": "api", "token": "assertion", "audience": "models-api"}
ADMIN: dict[str, Any] = {"id": "admin", "path": "/admin", "kind": "page", "require": {"roles_any": ["chief"]}}
GUESTS: dict[str, Any] = {"id": "guests", "path": "/guests", "kind": "page", "auth": "optional"}
OPEN: dict[str, Any] = {"id": "open", "path": "/open", "kind": "page", "auth": "public"}
FRESH: dict[str, Any] = {"id": "fresh", "path": "/fresh", "kind": "page", "require": {"acr_any": ["gold"]}}
ROUTES = [PAGE, API, ADMIN, GUESTS, OPEN, FRESH]


@pytest.fixture(scope="module")
def asked_house(shared_provider: FakeProvider, shared_upstream: RecordingUpstream) -> Iterator[House]:
    """A door that only answers questions: none of its routes has an upstream."""
    with open_house(shared_provider, shared_upstream, routes=ROUTES, **ASKING) as house:
        yield house


@pytest.fixture
def house(
    asked_house: House, provider: FakeProvider, upstream: RecordingUpstream, audit: list[Any], stack: ExitStack
) -> House:
    house = House(provider, upstream, asked_house.door, asked_house.store, audit)
    stack.callback(house.close_browsers)
    return house


def asker(house: House, mode: str = "nginx", cookie: str = "") -> Asker:
    return Asker(house.door.verify_port, house.host, mode, cookie)


@pytest.mark.parametrize("mode", MODES)
def test_fa_1_a_signed_in_person_may_pass(house: House, cookie: str, mode: str) -> None:
    answer = asker(house, mode, cookie).ask("/report?x=1")
    assert answer.status == 200
    assert answer.body == b""
    assert answer.one("content-length") == "0"
    assert answer.one("cache-control") == "no-store"
    assert answer.all("set-cookie") == []
    assert answer.one("x-auth-request-email") == "alice@example.com"


@pytest.mark.parametrize("asked_with", ["GET", "HEAD", "POST", "OPTIONS", "DELETE"])
@pytest.mark.parametrize("suffix", ["", "/", "/any/suffix?q=1"])
def test_fa_1_any_method_and_any_suffix_may_ask(house: House, cookie: str, asked_with: str, suffix: str) -> None:
    answer = asker(house, "nginx", cookie).ask("/", path=f"/auth/verify/nginx{suffix}", asked_with=asked_with)
    assert answer.status == 200


def test_fa_1_the_bare_address_is_that_of_nginx(house: House, cookie: str) -> None:
    assert asker(house, "nginx", cookie).ask("/", path="/auth/verify").status == 200


def test_fa_1_a_body_is_not_waited_for(house: House, cookie: str) -> None:
    lines = [
        *(("Host", "x"), ("Cookie", f"vestibule={cookie}"), ("Content-Length", "1000"), *NAVIGATION),
        *(("X-Original-Method", "POST"), ("X-Original-URL", f"{house.url}/guests"), ("Sec-Fetch-Site", "same-origin")),
    ]
    lines = [line for line in lines if line != ("Sec-Fetch-Site", "none")]
    assert ask_raw(house.door.verify_port, "/auth/verify", lines, method="POST", body=b"begun").status == 200


@pytest.mark.parametrize("mode", MODES)
def test_fa_1_a_signed_out_navigation_goes_to_the_sign_in_and_back(house: House, mode: str) -> None:
    answer = asker(house, mode).ask("/report?x=1&y=%3F")
    assert answer.status == (401 if mode in ("nginx", "haproxy") else 302)
    location = answer.one("location")
    assert location.startswith(f"{house.url}/auth/login?")
    assert parse_qs(urlsplit(location).query) == {"return_to": ["/report?x=1&y=%3F"]}


@pytest.mark.parametrize("mode", MODES)
def test_fa_1_a_signed_out_script_gets_401_as_json(house: House, mode: str) -> None:
    answer = asker(house, mode).ask("/report", headers=XHR)
    assert answer.status == 401
    assert json.loads(answer.body)["code"] == "login_required"
    assert answer.one("x-vestibule-refused") == "login_required"


@pytest.mark.parametrize("mode", MODES)
def test_fa_1_a_person_without_the_role_gets_403_and_no_redirect(house: House, cookie: str, mode: str) -> None:
    answer = asker(house, mode, cookie).ask("/admin/x")
    assert answer.status == 403
    assert answer.all("location") == []
    assert house.refusals()[-1]["reason"] == "require.roles_any"
    assert asker(house, mode, cookie).ask("/").status == 200, "a refusal ends no session"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("target", "method", "code"),
    [
        ("/auth/session", "GET", "reserved_path"),
        ("/auth", "GET", "reserved_path"),
        ("/auth/verify/nginx", "GET", "reserved_path"),
        ("/oauth2/auth", "GET", "reserved_path"),
        ("/oauth2", "GET", "reserved_path"),
        ("/admin/../open", "GET", "ambiguous_path"),
        ("/open", "TRACE", "method_not_allowed"),
    ],
)
def test_fa_1_what_a_proxied_request_gets_400_for_is_403_here(
    house: House, cookie: str, mode: str, target: str, method: str, code: str
) -> None:
    answer = asker(house, mode, cookie).ask(target, method=method)
    if mode == "envoy" and method == "TRACE":
        assert answer.status == 405  # the question itself has that method, and no listener takes it
        return
    assert answer.status == 403
    assert f"reason={code}" in answer.one("x-vestibule-refusal")


def test_fa_1_an_address_without_a_route_is_403_for_a_person_and_a_sign_in_for_nobody(
    build_house: Callable[..., House],
) -> None:
    house = build_house(routes=[API], **ASKING)
    cookie = house.session_cookie(house.sign_in())
    assert asker(house, "nginx", cookie).ask("/elsewhere").status == 403
    assert asker(house).ask("/elsewhere").status == 401


@pytest.mark.parametrize("mode", MODES)
def test_fm_1_while_the_store_is_down_the_answer_is_503_and_the_cookie_stays(
    house: House, cookie: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def out(name: str) -> None:
        raise StoreUnavailable(detail="a test")

    monkeypatch.setattr(house.store, "load", out)
    house.door.app.cache.on_event(EverythingUnknown())
    answer = asker(house, mode, cookie).ask("/report")
    assert answer.status == 503
    assert answer.all("set-cookie") == answer.all("location") == []
    assert int(answer.one("retry-after")) > 0
    assert asker(house, mode, cookie).ask("/open").status == 200


@pytest.mark.parametrize("mode", MODES)
def test_fa_2_a_peer_that_is_no_trusted_proxy_is_refused(build_house: Callable[..., House], mode: str) -> None:
    house = build_house(routes=ROUTES, **ASKING | {"server": {"trusted_proxies": ["10.0.0.0/8"]}})
    cookie = house.session_cookie(house.sign_in())
    answer = asker(house, mode, cookie).ask("/report")
    assert answer.status == 403
    event = house.refusals()[-1]
    assert event["reason"] == "forward_auth_peer"
    assert "127.0.0.1" in event["detail"]


def test_fa_2_a_peer_without_the_proxys_secret_is_refused(build_house: Callable[..., House]) -> None:
    secret = "Zm9yd2FyZC1hdXRoLXRlc3Qtc2VjcmV0"
    server = {"trusted_proxies": ["127.0.0.0/8"], "trusted_proxy_secret": secret}
    house = build_house(routes=ROUTES, **ASKING | {"server": server})
    cookie = house.session_cookie(house.sign_in())
    assert asker(house, "nginx", cookie).ask("/report").status == 403
    assert "X-Vestibule-Proxy" in house.refusals()[-1]["detail"]
    proven = (*NAVIGATION, ("X-Vestibule-Proxy", secret))
    assert asker(house, "nginx", cookie).ask("/report", headers=proven).status == 200


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "envoy"])
def test_fa_2_a_question_without_one_of_its_headers_is_refused(house: House, cookie: str, mode: str) -> None:
    own = ("X-Original-Method", "X-Original-URL") if mode in ("nginx", "haproxy") else ()
    for name in own or ("X-Forwarded-Method", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Uri"):
        answer = asker(house, mode, cookie).ask("/report", left_out=[name])
        assert answer.status == 403
        assert name.lower() in house.refusals()[-1]["detail"].lower()


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "envoy"])
def test_fa_2_a_header_that_the_client_sent_as_well_is_refused(house: House, cookie: str, mode: str) -> None:
    name, value = ("X-Original-URL", f"{house.url}/open") if mode in ("nginx", "haproxy") else ("X-Forwarded-Uri", "/o")
    assert asker(house, mode, cookie).ask("/admin", headers=[(name, value), *NAVIGATION]).status == 403
    assert "came twice" in house.refusals()[-1]["detail"]


@pytest.mark.parametrize("mode", MODES)
def test_fa_2_another_host_is_refused(house: House, cookie: str, mode: str) -> None:
    foreign = Asker(house.door.verify_port, "evil.example", mode, cookie)
    answer = foreign.ask("/report")
    assert answer.status == 403
    assert "reason=unknown_host" in answer.one("x-vestibule-refusal")


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "envoy"])
def test_fa_2_another_scheme_is_refused(house: House, cookie: str, mode: str) -> None:
    foreign = Asker(house.door.verify_port, house.host, mode, cookie, scheme="https")
    assert foreign.ask("/report").status == 403
    assert "scheme" in house.refusals()[-1]["detail"]


@pytest.mark.parametrize(
    "path", ["/auth/verify/apisix", "/auth/verify/NGINX", "/auth/verify//nginx", "/auth/verify/ngin"]
)
def test_fa_2_a_mode_that_is_not_listed_is_refused(house: House, cookie: str, path: str) -> None:
    assert asker(house, "nginx", cookie).ask("/report", path=path).status == 403
    assert house.refusals()[-1]["reason"] == "forward_auth_mode"


def test_fa_2_a_known_mode_that_is_not_listed_is_refused(build_house: Callable[..., House]) -> None:
    house = build_house(routes=ROUTES, **ASKING | {"forward_auth": {"modes": ["traefik"]}})
    cookie = house.session_cookie(house.sign_in())
    assert asker(house, "traefik", cookie).ask("/report").status == 200
    for mode in ("nginx", "caddy", "envoy", "haproxy"):
        assert asker(house, mode, cookie).ask("/report").status == 403, mode


@pytest.mark.parametrize("path", ["/", "/auth/session", "/auth/verifyx", "/report", "/healthz", "/auth/login"])
def test_fa_2_the_listener_has_nothing_but_verify(house: House, cookie: str, path: str) -> None:
    answer = asker(house, "nginx", cookie).ask("/report", path=path)
    assert answer.status == 403
    assert answer.all("x-auth-request-email") == []


@pytest.mark.parametrize("path", ["/auth/verify", "/auth/verify/nginx", "/auth/verify/envoy/report"])
def test_fa_6_the_public_listener_does_not_answer_verify(house: House, cookie: str, path: str) -> None:
    lines = ["X-Original-Method: GET", f"X-Original-URL: {house.url}/report", "Sec-Fetch-Site: same-origin"]
    answer = house.get_raw(path, *lines, cookie=cookie)
    assert answer.status == 404
    assert b"alice" not in answer.body


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("path", ["/guests", "/open"])
def test_fa_4_every_identity_header_is_there_and_empty_for_nobody(house: House, mode: str, path: str) -> None:
    spoofed = [(name, "mallory") for name in IDENTITY]
    answer = asker(house, mode).ask(path, headers=[*NAVIGATION, *spoofed])
    assert answer.status == 200
    assert {name: answer.one(name) for name in IDENTITY} == dict.fromkeys(IDENTITY, "")


@pytest.mark.parametrize("path", ["/", "/open", "/claims", "/remote", "/jwt"])
@pytest.mark.parametrize("is_signed_in", [True, False], ids=["signed in", "signed out"])
def test_fa_4_a_name_that_another_route_adds_is_in_each_answer(
    build_house: Callable[..., House], path: str, is_signed_in: bool
) -> None:
    routes = [
        PAGE | {"auth": "optional"},
        OPEN,
        GUESTS | {"id": "claims", "path": "/claims", "claim_headers": {"X-Department": "department"}},
        GUESTS | {"id": "remote", "path": "/remote", "identity_headers": "remote"},
        GUESTS | {"id": "jwt", "path": "/jwt", "token": "assertion", "audience": "a", "assertion_header": "X-My-JWT"},
    ]
    house = build_house(routes=routes, **ASKING)
    cookie = house.session_cookie(house.sign_in()) if is_signed_in else ""
    answer = asker(house, "envoy", cookie).ask(path)
    assert answer.status == 200
    for name in (*IDENTITY, "x-department", "remote-user", "remote-groups", "x-my-jwt"):
        assert len(answer.all(name)) == 1, name
    assert answer.one("x-my-jwt").startswith("ey") == (is_signed_in and path == "/jwt")
    assert answer.one("remote-user") == ("alice" if is_signed_in and path == "/remote" else "")


@pytest.mark.parametrize("mode", MODES)
def test_fa_4_authorization_is_empty_where_a_route_sends_no_token(house: House, cookie: str, mode: str) -> None:
    headers = [*NAVIGATION, ("Authorization", "Basic bWFsbG9yeTp4")]
    assert asker(house, mode, cookie).ask("/report", headers=headers).one("authorization") == ""


def test_fa_4_a_public_route_leaves_the_clients_own_authorization_alone(house: House, cookie: str) -> None:
    assert asker(house, "nginx", cookie).ask("/open").all("authorization") == []


@pytest.mark.parametrize("mode", MODES)
def test_fa_6_the_token_is_that_of_the_route(house: House, cookie: str, mode: str) -> None:
    token = asker(house, mode, cookie).ask("/models/1", headers=XHR).one("authorization").removeprefix("Bearer ")
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims["aud"] == "models-api"
    assert claims["email"] == "alice@example.com"


@pytest.mark.parametrize("agent", ["kube-probe/1.30", "GoogleHC/1.0", "ELB-HealthChecker/2.0", "curl/8.5", ""])
@pytest.mark.parametrize("path", ["/healthz", "/health", "/ping", "/ready", "/_stcore/health", "/robots.txt"])
def test_fa_5_no_health_path_and_no_user_agent_gets_by(house: House, agent: str, path: str) -> None:
    assert asker(house).ask(path, headers=[("User-Agent", agent)]).status == 401


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "PROPFIND", "QUERY"])
def test_fa_5_no_method_gets_by(house: House, method: str) -> None:
    preflight = [("Origin", house.url), ("Access-Control-Request-Method", "POST")]
    assert asker(house).ask("/report", method=method, headers=preflight).status in (401, 403)


@pytest.mark.parametrize(
    "header",
    [
        *(("X-Forwarded-For", "127.0.0.1"), ("X-Real-IP", "127.0.0.1"), ("X-Sent-From", "nginx-ingress-controller")),
        *(("X-Vestibule-Session", "x"), ("X-Auth-Request-User", "alice"), ("X-Vestibule-Assertion", "x")),
        *(("X-Original-URI", "/open"), ("X-Forwarded-Uri", "/open"), ("X-Rewrite-URL", "/open")),
    ],
)
def test_fa_5_no_header_of_the_client_gets_by(house: House, header: tuple[str, str]) -> None:
    assert asker(house).ask("/report", headers=[header, *XHR]).status == 401


def test_fa_5_a_kit_credential_is_refused_because_the_proxy_would_pass_it_on(house: House) -> None:
    answer = asker(house).ask("/report", headers=[("X-Vestibule-Kit", "dash:secret"), *XHR])
    assert answer.status == 403
    assert "reason=kit_credential" in answer.one("x-vestibule-refusal")


@pytest.mark.parametrize(
    "fetch",
    [
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"},
        {"Origin": "https://evil.example"},
    ],
)
@pytest.mark.parametrize("mode", MODES)
def test_fa_6_a_write_of_another_site_is_refused(house: House, cookie: str, mode: str, fetch: dict[str, str]) -> None:
    answer = asker(house, mode, cookie).ask("/report", method="POST", headers=list(fetch.items()))
    assert answer.status == 403
    assert answer.all("x-auth-request-email") == []


@pytest.mark.parametrize("mode", MODES)
def test_fa_6_a_websocket_of_another_site_is_refused(house: House, cookie: str, mode: str) -> None:
    def opened(origin: str) -> int:
        lines = [("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="), ("Sec-WebSocket-Version", "13"), ("Origin", origin)]
        upgrade = [("Connection", "Upgrade"), ("Upgrade", "websocket")]
        return asker(house, mode, cookie).ask("/ws", headers=[*lines, *upgrade]).status

    assert opened(house.url) == 200
    assert opened("https://evil.example") == 403


def test_fa_6_a_question_after_sign_out_is_answered_with_no(house: House, provider: FakeProvider) -> None:
    browser = house.sign_in()
    cookie = house.session_cookie(browser)
    assert asker(house, "nginx", cookie).ask("/report").status == 200
    browser.post(f"{house.url}/auth/logout")
    assert asker(house, "nginx", cookie).ask("/report").status == 401


def test_fa_1_a_stronger_sign_in_is_asked_for(house: House, cookie: str) -> None:
    answer = asker(house, "nginx", cookie).ask("/fresh")
    assert answer.status == 401
    assert "reason=step_up_required" in answer.one("x-vestibule-refusal")
    assert parse_qs(urlsplit(answer.one("location")).query) == {"return_to": ["/fresh"]}
