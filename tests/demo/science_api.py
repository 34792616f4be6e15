"""The demonstration's API as a real process on a real socket, and tokens it accepts."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import jwt

ROOT: Final = Path(__file__).parents[2]
ISSUER: Final = "https://door.test"
AUDIENCE: Final = "science-api"
START_SECONDS: Final = 60
END_SECONDS: Final = 10


@dataclass(frozen=True, slots=True)
class ScienceApi:
    """A running API. `call` sends a request as a person, `token` makes that person's token."""

    url: str
    secret: str = field(repr=False)

    def token(self, sub: str, *, roles: tuple[str, ...] = (), **claims: Any) -> str:
        now = int(time.time())
        body = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": sub,
            "iat": now,
            "exp": now + 60,
            "roles": list(roles),
            "preferred_username": sub,
            **claims,
        }
        return jwt.encode(body, self.secret, algorithm="HS256", headers={"typ": "at+jwt"})

    def call(
        self, method: str, path: str, token: str = "", *, json: Any = None, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        bearer = {"Authorization": f"Bearer {token}"} if token else {}
        url = f"{self.url}/{path}"
        return httpx.request(method, url, json=json, headers={**bearer, **(headers or {})}, timeout=20)


@contextmanager
def running_api(*, simulation_seconds: float) -> Iterator[ScienceApi]:
    """`uvicorn --app-dir deploy/demo api:app`, as in its README, on a free loopback port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        api = ScienceApi(f"http://127.0.0.1:{listener.getsockname()[1]}", secrets.token_urlsafe(48))
        command = [sys.executable, "-m", "uvicorn", "--app-dir", "deploy/demo", "api:app"]
        process = subprocess.Popen(
            [*command, "--fd", str(listener.fileno()), "--log-level", "warning"],
            cwd=ROOT,
            pass_fds=[listener.fileno()],
            env={
                **os.environ,
                "VESTIBULE_JWT__ISSUER": ISSUER,
                "VESTIBULE_JWT__AUDIENCE": AUDIENCE,
                "VESTIBULE_JWT__HS256_SECRET": api.secret,
                "COLONY_SIMULATION_SECONDS": str(simulation_seconds),
            },
        )
        try:
            _wait_until_ready(api, process)
            yield api
        finally:
            process.terminate()
            try:
                process.wait(END_SECONDS)
            finally:
                process.kill()
                process.wait()


def _wait_until_ready(api: ScienceApi, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        assert process.poll() is None, f"the API ended with {process.returncode} before it answered"
        try:
            if api.call("GET", "healthz").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError("the API did not answer in time")
