"""An API that shares a secret with the front door answers to nobody else, over real sockets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import FastAPI, Request, WebSocket

from bff.api.upstream_secret import RequireUpstreamSecret, UpstreamSecretMisconfigured, read_upstream_secret
from tests.bff.serving import serving
from tests.security.raw import RawAnswer, connect, handshake, read_all

SECRET = "unit-test-upstream-secret-0123456789"
HEADER = "X-Vestibule-Upstream"


def guarded_api() -> FastAPI:
    app = FastAPI()
    app.add_middleware(RequireUpstreamSecret, secret=SECRET, open_paths=("/healthz",))

    @app.get("/names")
    async def names(request: Request) -> list[str]:
        return list(request.headers)

    @app.get("/healthz")
    async def health() -> str:
        return "ok"

    @app.websocket("/ws")
    async def ws(socket: WebSocket) -> None:
        await socket.accept()
        await socket.close()

    return app


@pytest.fixture(scope="module")
def api() -> Iterator[str]:
    with serving(guarded_api(), ws="auto") as url:
        yield url


def test_the_front_door_gets_an_answer_and_the_application_does_not_see_the_secret(api: str) -> None:
    answer = httpx.get(f"{api}/names", headers={HEADER: SECRET})
    assert answer.status_code == 200
    assert HEADER.lower() not in answer.json()


REFUSED: dict[str, list[tuple[str, str]]] = {
    "nothing": [],
    "an empty secret": [(HEADER, "")],
    "a part of it": [(HEADER, SECRET[:-1])],
    "more than it": [(HEADER, SECRET + "x")],
    "it twice": [(HEADER, SECRET), (HEADER, SECRET)],
    "under an underscore": [("X_Vestibule_Upstream", SECRET)],
}


@pytest.mark.parametrize("headers", REFUSED.values(), ids=REFUSED.keys())
@pytest.mark.parametrize("path", ["/names", "/docs", "/openapi.json", "/missing", "/healthz/"])
def test_a_request_without_the_secret_is_refused_on_every_path(
    api: str, headers: list[tuple[str, str]], path: str
) -> None:
    answer = httpx.get(api + path, headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (403, "proxy_untrusted")


def test_an_open_path_answers_without_the_secret(api: str) -> None:
    assert httpx.get(f"{api}/healthz").json() == "ok"


@pytest.mark.parametrize(("secret", "status"), [(SECRET, 101), ("", 403), (SECRET[1:], 403)])
def test_a_websocket_needs_the_secret_too(api: str, secret: str, status: int) -> None:
    port = urlsplit(api).port
    assert port is not None
    with connect(port) as client:
        client.sendall(handshake("/ws", f"127.0.0.1:{port}", *([f"{HEADER}: {secret}"] if secret else [])))
        assert RawAnswer.parse(read_all(client)).status == status


def test_the_secret_comes_from_a_variable_or_a_file(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{SECRET}\n")
    file.chmod(0o600)
    assert read_upstream_secret({"VESTIBULE_API_UPSTREAM_SECRET": SECRET}) == SECRET
    assert read_upstream_secret({"VESTIBULE_API_UPSTREAM_SECRET_FILE": str(file)}) == SECRET


@pytest.mark.parametrize("mode", [0o644, 0o602, 0o666])
def test_a_secret_that_everybody_may_read_or_change_stops_the_api(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{SECRET}\n")
    file.chmod(mode)
    with pytest.raises(UpstreamSecretMisconfigured, match="everybody on this machine may"):
        read_upstream_secret({"VESTIBULE_API_UPSTREAM_SECRET_FILE": str(file)})


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"VESTIBULE_API_UPSTREAM_SECRET": "short"},
        {"VESTIBULE_API_UPSTREAM_SECRET_FILE": "no-such-file"},
        {"VESTIBULE_API_UPSTREAM_SECRET": SECRET, "VESTIBULE_API_UPSTREAM_SECRET_FILE": "secret"},
    ],
    ids=["neither", "too short", "no such file", "both"],
)
def test_an_unusable_secret_stops_the_api(environ: dict[str, str]) -> None:
    with pytest.raises(UpstreamSecretMisconfigured, match="VESTIBULE_API_UPSTREAM_SECRET") as raised:
        read_upstream_secret(environ)
    assert SECRET not in str(raised.value)
