"""In development the log has one line per refusal, with the request id and code that the page shows."""

from __future__ import annotations

import io
from typing import Literal

import pytest
from starlette.types import Message, Scope

from bff.settings.tables import LogSettings
from gateway.access_log import AccessLog
from gateway.logs import configure_logging

REQUEST_ID = "0123456789abcdef"
SCOPE: Scope = {"type": "http", "method": "GET", "raw_path": b"/api/predict"}


async def lines(
    enabled: bool | Literal["refused"],
    status: int,
    *,
    path: str = "",
    body: bytes = b"",
    code: str = "",
    route: str = "api",
) -> list[str]:
    """What is logged of one answer, which this front door refused with `code` if there is one."""
    scope: Scope = {**SCOPE, "raw_path": path.encode()} if path else SCOPE
    stream = io.StringIO()
    configure_logging(LogSettings(format="console"), stream=stream)
    log, sent = AccessLog(enabled=enabled), list[Message]()

    async def send(message: Message) -> None:
        sent.append(message)

    watched = log.watching(send)
    if code:
        watched.note_refusal(code)
    await watched.send({"type": "http.response.start", "status": status, "headers": []})
    await watched.send({"type": "http.response.body", "body": body})
    log.write(scope, "127.0.0.1", REQUEST_ID, route, watched.status, 0.001, code=watched.code)
    assert sent[1]["body"] == body
    return stream.getvalue().splitlines()


@pytest.mark.parametrize("enabled", [True, "refused"], ids=["every request", "refusals alone"])
async def test_a_refusal_is_in_the_log_with_the_request_id_that_the_person_saw(
    enabled: bool | Literal["refused"],
) -> None:
    (line,) = await lines(enabled, 403, code="missing_role")
    for part in ("path=/api/predict", "status=403", "route=api", f"request_id={REQUEST_ID}", "code=missing_role"):
        assert part in line


async def test_an_error_code_in_the_answer_of_an_application_is_not_logged_as_ours() -> None:
    (line,) = await lines("refused", 404, body=b'{"code": "out_of_stock"}')
    assert "code=" not in line


@pytest.mark.parametrize(("enabled", "status", "count"), [("refused", 200, 0), (False, 403, 0), (True, 200, 1)])
async def test_the_access_log_setting_decides_which_requests_are_logged(
    enabled: bool | Literal["refused"], status: int, count: int
) -> None:
    assert len(await lines(enabled, status)) == count


@pytest.mark.parametrize("path", ["/explore/_stcore/health", "/a/b/_stcore/host-config"])
async def test_the_requests_of_streamlit_that_search_its_server_are_not_logged_in_development(path: str) -> None:
    assert await lines("refused", 404, path=path) == []
    assert len(await lines("refused", 502, path=path)) == 1
    assert len(await lines(True, 404, path=path)) == 1


@pytest.mark.parametrize("path", ["/_stcore/health", "/explore/_stcore/metrics", "/explore/_stcore/health/x", "/x"])
async def test_every_other_404_is_logged_in_development(path: str) -> None:
    assert len(await lines("refused", 404, path=path)) == 1


@pytest.mark.parametrize(
    ("path", "route"),
    [("/_stcore/health", "app"), ("/explore/_stcore/host-config", "app"), ("/auth/session", "auth")],
)
async def test_what_open_pages_ask_after_a_sign_out_is_not_logged_in_development(path: str, route: str) -> None:
    assert await lines("refused", 401, path=path, code="login_required", route=route) == []
    assert len(await lines("refused", 403, path=path, code="forbidden", route=route)) == 1
    assert len(await lines("refused", 401, path=path, route=route)) == 1  # the application refused
    assert len(await lines(True, 401, path=path, code="login_required", route=route)) == 1


@pytest.mark.parametrize(
    ("path", "route"),
    [("/api/x", "api"), ("/api/session", "api"), ("/auth/sessions", "auth"), ("/_stcore/health", "auth")],
)
async def test_every_other_refusal_for_want_of_a_sign_in_is_logged_in_development(path: str, route: str) -> None:
    assert len(await lines("refused", 401, path=path, code="login_required", route=route)) == 1
