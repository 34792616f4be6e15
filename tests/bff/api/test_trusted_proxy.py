"""An API that believes its proxy, and nobody else, about who is signed in."""

import logging
import socket
from collections.abc import Iterator
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI

from bff.api.trusted_proxy import ProxiedUser, TrustedProxyMisconfigured, TrustedProxyUser
from bff.bearer import RequireRoles
from bff.contract import Identity
from gateway.headers.identity import build_identity_headers
from tests.bff.serving import serving

ADA = Identity(
    sub="ada",
    iss="https://idp.example.com",
    provider="corp",
    name="Ada Løvelace, 100%",
    email="ada@example.com",
    email_verified=True,
    preferred_username="ada",
    roles=("analyst", "a,b"),
    groups=("科学",),
)


def api_behind(user: TrustedProxyUser) -> FastAPI:
    app = FastAPI()

    @app.get("/me")
    async def me(caller: Annotated[ProxiedUser, Depends(user)]) -> dict[str, Any]:
        return {
            "sub": caller.sub,
            "name": caller.name,
            "email": caller.email,
            "roles": caller.roles,
            "groups": caller.groups,
            "provider": caller.provider,
            "key": caller.key,
        }

    @app.get("/analysts", dependencies=[Depends(RequireRoles(user, "analyst"))])
    async def analysts() -> str:
        return "analysts"

    return app


@pytest.fixture(scope="module")
def api() -> Iterator[str]:
    with serving(api_behind(TrustedProxyUser(["127.0.0.0/8", "::1/128"])), proxy_headers=False) as url:
        yield url


def get(url: str, *headers: tuple[str, str]) -> httpx.Response:
    return httpx.get(url, headers=list(headers))


USER = ("X-Auth-Request-User", "ada")


def test_the_identity_that_the_gateway_sends_is_read_correctly(api: str) -> None:
    sent = [
        (n.decode(), v.decode()) for n, v in build_identity_headers("x-auth-request", ADA, subject_key="k-1").headers
    ]
    assert get(api + "/me", *sent).json() == {
        "sub": "ada",
        "name": "Ada Løvelace, 100%",
        "email": "ada@example.com",
        "roles": ["analyst", "a,b"],
        "groups": ["科学"],
        "provider": "corp",
        "key": "k-1",
    }


def test_the_empty_identity_headers_of_the_gateway_give_401(api: str) -> None:
    sent = [(n.decode(), v.decode()) for n, v in build_identity_headers("x-auth-request", None).headers]
    assert get(api + "/me", *sent).status_code == 401
    assert get(api + "/me").status_code == 401


def test_a_role_requirement_lets_in_only_callers_with_the_role(api: str) -> None:
    assert get(api + "/analysts", USER, ("X-Auth-Request-Roles", "viewer,analyst")).json() == "analysts"
    answer = get(api + "/analysts", USER, ("X-Auth-Request-Roles", "viewer"))
    assert (answer.status_code, answer.json()["detail"]["error"]) == (403, "insufficient_scope")
    assert "www-authenticate" not in answer.headers


@pytest.mark.parametrize(
    "headers",
    [
        [USER, USER],
        [USER, ("X_Auth_Request_User", "eve")],
        [USER, ("X-Auth-Request_Roles", "admin")],
        [USER, ("X.Auth.Request.Roles", "admin")],
        [USER, ("X-Auth-Request-Roles", "a"), ("x-auth-request-roles", "admin")],
        [("X_AUTH_REQUEST_USER", "eve")],
        [("X-Auth-Request-User", "ada%")],
        [("X-Auth-Request-User", "ada%zz")],
        [("X-Auth-Request-User", "ada%ff")],
        [("X-Auth-Request-User", "ada%0a")],
        [("X-Auth-Request-User", "ada%00")],
        [USER, ("X-Auth-Request-Groups", "a,%e2%80%a8")],
    ],
)
def test_headers_that_can_be_read_in_two_ways_are_refused(api: str, headers: list[tuple[str, str]]) -> None:
    answer = get(api + "/me", *headers)
    assert (answer.status_code, answer.json()["detail"]["error"]) == (400, "proxy_headers")


def test_header_bytes_outside_ascii_are_refused(api: str) -> None:
    host, port = api.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as peer:
        peer.sendall(b"GET /me HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Auth-Request-User: ad\xe9\r\n\r\n")
        assert b" 400 " in peer.recv(65536).split(b"\r\n")[0]


def test_no_proxy_is_trusted_by_default_and_the_log_names_the_address_that_tried(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING), serving(api_behind(TrustedProxyUser())) as url:
        answer = get(url + "/me", USER)
    assert (answer.status_code, answer.json()["detail"]["error"]) == (403, "proxy_untrusted")
    assert "'127.0.0.1', which is not in VESTIBULE_API_TRUSTED_PROXIES" in caplog.text


@pytest.mark.parametrize("forwarded", ["10.0.0.5", "10.0.0.5:4711", "[fd00::5]:4711, 192.0.2.1", "fd00::5"])
def test_an_address_from_a_header_is_not_taken_as_the_peer(caplog: pytest.LogCaptureFixture, forwarded: str) -> None:
    app = api_behind(TrustedProxyUser(["10.0.0.0/8", "fd00::/8"]))
    with caplog.at_level(logging.WARNING), serving(app, proxy_headers=True, forwarded_allow_ips="*") as url:
        answer = get(url + "/me", USER, ("X-Forwarded-For", forwarded))
    assert answer.status_code == 403
    assert "--no-proxy-headers" in caplog.text


def test_the_trusted_networks_come_from_the_environment() -> None:
    user = TrustedProxyUser.from_env({"VESTIBULE_API_TRUSTED_PROXIES": "10.0.0.0/24, 127.0.0.1"})
    with serving(api_behind(user), proxy_headers=False) as url:
        assert get(url + "/me", USER).json()["sub"] == "ada"


@pytest.mark.parametrize("text", ["", " , ", "10.0.0.1/24", "proxy.internal", "0.0.0.0/0", "::/0"])
def test_invalid_trusted_networks_are_named_in_the_error(text: str) -> None:
    with pytest.raises(TrustedProxyMisconfigured, match="VESTIBULE_API_TRUSTED_PROXIES"):
        TrustedProxyUser.from_env({"VESTIBULE_API_TRUSTED_PROXIES": text})


@pytest.mark.parametrize("client", [None, ("/run/api.sock", 1), ("", 1), ("::ffff:10.0.0.5", 4711), ("10.0.1.5", 1)])
async def test_a_peer_without_a_trusted_address_is_refused(client: tuple[str, int] | None) -> None:
    app = api_behind(TrustedProxyUser(["10.0.0.0/24"]))
    transport = httpx.ASGITransport(app, client=client)  # type: ignore[arg-type]  # None is what unix sockets have
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as http:
        answer = await http.get("/me", headers=[USER])
    is_mapped = client is not None and client[0].startswith("::ffff:")
    assert answer.status_code == (200 if is_mapped else 403)
