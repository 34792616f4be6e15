"""WebSocket endpoints of an API that check their caller, who is refused by an HTTP status before the handshake ends."""

import socket
from collections.abc import Iterator
from typing import Annotated
from urllib.parse import urlsplit

import pytest
from fastapi import APIRouter, Depends, FastAPI, Security, WebSocket

from bff.api.api_keys import mint_api_key
from bff.bearer import (
    APIKey,
    JWTBearer,
    KeyHolder,
    ProxiedUser,
    RequireRoles,
    RequireScopes,
    StandardClaims,
    TrustedProxyUser,
)
from bff.testing import FakeProvider
from tests.bff.serving import serving
from tests.security.raw import RawAnswer, handshake, open_websocket

KEY = mint_api_key("nightly", ["models:read"])
WS = "websockets-sansio"
"""Uvicorn's implementation of WebSockets that is not deprecated."""


def api_with(bearer: JWTBearer) -> FastAPI:
    app = FastAPI()
    analyst, reader = RequireRoles(bearer, "analyst"), RequireScopes(bearer, "models:read")
    api_key, proxied = APIKey([KEY.line]), TrustedProxyUser(["127.0.0.0/8"])

    @app.websocket("/caller")
    async def caller(websocket: WebSocket, who: Annotated[StandardClaims, Depends(bearer)]) -> None:
        await greet(websocket, who.sub)

    @app.websocket("/scopes")
    async def scopes(
        websocket: WebSocket, who: Annotated[StandardClaims, Security(bearer, scopes=["models:read"])]
    ) -> None:
        await greet(websocket, who.sub)

    @app.websocket("/role")
    async def role(websocket: WebSocket, who: Annotated[StandardClaims, Depends(analyst)]) -> None:
        await greet(websocket, who.sub)

    @app.websocket("/scope")
    async def scope(websocket: WebSocket, who: Annotated[StandardClaims, Depends(reader)]) -> None:
        await greet(websocket, who.sub)

    @app.websocket("/key")
    async def key(websocket: WebSocket, who: Annotated[KeyHolder, Depends(api_key)]) -> None:
        await greet(websocket, who.name)

    @app.websocket("/proxied")
    async def behind(websocket: WebSocket, who: Annotated[ProxiedUser, Depends(proxied)]) -> None:
        await greet(websocket, who.sub)

    guarded = APIRouter(dependencies=[Depends(bearer)])

    @guarded.websocket("/router")
    async def by_router(websocket: WebSocket) -> None:
        await greet(websocket, "somebody")

    app.include_router(guarded)
    return app


async def greet(websocket: WebSocket, name: str) -> None:
    await websocket.accept()
    await websocket.send_text(name)
    await websocket.close()


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeProvider]:
    with FakeProvider() as running:
        yield running


@pytest.fixture(scope="module")
def api(provider: FakeProvider) -> Iterator[int]:
    bearer = JWTBearer.from_env(provider.variables(audience="reports"))
    with serving(api_with(bearer), ws=WS, proxy_headers=False) as url:
        port = urlsplit(url).port
        assert port is not None
        yield port


def opened(port: int, path: str, *headers: str) -> tuple[RawAnswer, socket.socket]:
    return open_websocket(port, handshake(path, f"127.0.0.1:{port}", *headers))


def greeting(port: int, path: str, *headers: str) -> str:
    answer, client = opened(port, path, *headers)
    with client:
        assert answer.status == 101, answer.received
        received = answer.received.partition(b"\r\n\r\n")[2]
        while len(received) < 2:
            received += client.recv(100)
        return received[2 : 2 + received[1]].decode()


def bearing(token: str) -> str:
    return f"Authorization: Bearer {token}"


@pytest.mark.parametrize("path", ["/caller", "/scopes", "/role", "/scope"])
def test_a_caller_with_a_valid_token_is_known_on_a_websocket(api: int, provider: FakeProvider, path: str) -> None:
    token = provider.access_token("alice", audience="reports", scopes=["models:read"])
    assert greeting(api, path, bearing(token)) == "alice"


def test_a_router_with_a_websocket_can_require_a_token(api: int, provider: FakeProvider) -> None:
    token = provider.access_token("alice", audience="reports")
    assert greeting(api, "/router", bearing(token)) == "somebody"


def test_callers_with_an_api_key_or_behind_a_trusted_proxy_are_known_on_a_websocket(api: int) -> None:
    assert greeting(api, "/key", f"X-API-Key: {KEY.key}") == "nightly"
    assert greeting(api, "/proxied", "X-Auth-Request-User: ada") == "ada"


@pytest.mark.parametrize("path", ["/caller", "/scopes", "/role", "/scope", "/router"])
@pytest.mark.parametrize("what", ["nothing", "a token of another API", "two tokens", "no token at all"])
def test_callers_without_a_valid_token_are_refused_before_the_handshake(
    api: int, provider: FakeProvider, path: str, what: str
) -> None:
    foreign = bearing(provider.access_token("alice", audience="another-api"))
    headers, status = {
        "nothing": ([], 401),
        "a token of another API": ([foreign], 401),
        "two tokens": ([foreign, foreign], 400),
        "no token at all": (["Authorization: Basic YTpi"], 401),
    }[what]
    answer, client = opened(api, path, *headers)
    client.close()
    assert answer.status == status
    assert answer.header("www-authenticate").startswith('Bearer realm="api"')
    assert b"Sec-WebSocket-Accept" not in answer.received


@pytest.mark.parametrize("path", ["/scopes", "/role", "/scope"])
def test_a_caller_without_permission_gets_403_on_the_handshake(api: int, provider: FakeProvider, path: str) -> None:
    token = provider.access_token("bob", audience="reports", roles=[])
    answer, client = opened(api, path, bearing(token))
    client.close()
    assert answer.status == 403
    assert 'error="insufficient_scope"' in answer.header("www-authenticate")


@pytest.mark.parametrize(("path", "status"), [("/key", 401), ("/proxied", 401)])
def test_api_keys_and_trusted_proxies_are_checked_before_the_handshake(api: int, path: str, status: int) -> None:
    answer, client = opened(api, path)
    client.close()
    assert answer.status == status


def test_keys_that_cannot_be_fetched_give_503_on_the_handshake(provider: FakeProvider) -> None:
    variables = provider.variables(audience="reports") | {"VESTIBULE_JWT__JWKS_URL": "http://127.0.0.1:9/jwks"}
    with serving(api_with(JWTBearer.from_env(variables)), ws=WS) as url:
        token = provider.access_token("alice", audience="reports")
        answer, client = opened(urlsplit(url).port or 0, "/caller", bearing(token))
        client.close()
        assert (answer.status, answer.header("retry-after")) == (503, "5")
