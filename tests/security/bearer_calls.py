"""An API of its own behind `JWTBearer`, and calls to it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI

from bff.bearer import JWTBearer, RequireRoles, RequireScopes, StandardClaims
from tests.fakes import FakeProvider, UvicornThread, bind_socket
from tests.security.raw import RawAnswer, exchange

AUDIENCE = "models-api"
Claims = dict[str, Any]


def build_api(bearer: JWTBearer) -> FastAPI:
    app = FastAPI()

    @app.get("/me")
    async def me(caller: Annotated[StandardClaims, Depends(bearer)]) -> dict[str, str]:
        return {"sub": caller.sub}

    @app.post("/me")
    async def post(caller: Annotated[StandardClaims, Depends(bearer)]) -> dict[str, str]:
        return {"sub": caller.sub}

    @app.get("/analysts", dependencies=[Depends(RequireRoles(bearer, "analyst"))])
    async def analysts() -> None: ...

    @app.get("/readers", dependencies=[Depends(RequireScopes(bearer, "models:read", "models:list"))])
    async def readers() -> None: ...

    return app


class Api:
    """The running API and the provider whose tokens it takes."""

    def __init__(self, provider: FakeProvider, port: int) -> None:
        self.provider = provider
        self.port = port

    def claims(self, **over: Any) -> Claims:
        now = int(time.time())
        plain: Claims = {"iss": self.provider.issuer, "aud": AUDIENCE, "sub": "alice", "iat": now, "exp": now + 60}
        return plain | over

    def token(self, *, header: Claims | None = None, **over: Any) -> str:
        return self.provider.mint(self.claims(**over), header={"typ": "at+jwt", **(header or {})})

    def get(self, *lines: str, path: str = "/me", method: str = "GET", body: bytes = b"") -> RawAnswer:
        head = [f"{method} {path} HTTP/1.1", "Host: api", "Connection: close", *lines]
        if body:
            head.append(f"Content-Length: {len(body)}")
        return RawAnswer.parse(exchange(self.port, ("\r\n".join(head) + "\r\n\r\n").encode("latin-1") + body))

    def send(self, token: str, *, path: str = "/me") -> RawAnswer:
        return self.get(f"Authorization: Bearer {token}", path=path)

    def assert_refused(self, token: str, *, status: int = 401) -> None:
        answer = self.send(token)
        assert answer.status == status, answer.received[-200:]
        assert answer.header("www-authenticate").startswith("Bearer ")
        assert token[-30:].encode() not in answer.received, "the token came back"
        assert b"Traceback" not in answer.received


@contextmanager
def running_api(bearer: JWTBearer, provider: FakeProvider) -> Iterator[Api]:
    listener = bind_socket("127.0.0.1")
    server = UvicornThread(build_api(bearer), listener)
    server.start()
    try:
        yield Api(provider, listener.getsockname()[1])
    finally:
        server.stop()
