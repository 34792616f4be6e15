"""An announced body: which answers of a proxy mean that it is too large."""

from __future__ import annotations

import asyncio
import time

import pytest

from bff.settings.loading import parse_settings
from gateway.cli.doctor.checks import Finding
from gateway.cli.doctor.through import flow
from gateway.cli.doctor.through.asking import outside_of
from tests.front_door import KEY


async def look(status: int) -> Finding:
    """Announce a body to a server that answers the head of the request with `status`; 0 answers nothing."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if status:
            writer.write(f"HTTP/1.1 {status} Said\r\nContent-Length: 0\r\n\r\n".encode())
        await reader.read()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        settings = parse_settings(
            {
                "server": {"public_url": f"http://localhost:{port}", "environment": "development"},
                "secrets": {"keys": [KEY]},
                "providers": {"corp": {"issuer": "https://idp.invalid", "client_id": "x", "client_secret": KEY}},
                "routes": [{"id": "api", "upstream": "http://127.0.0.1:9", "max_body_bytes": 3_000_000}],
            }
        )
        return await flow.look_at_body_size(outside_of(settings, f"http://localhost:{port}"), now=time.time())


@pytest.mark.parametrize("status", [0, 200, 408, 504], ids=lambda status: f"answer {status}")
def test_waiting_for_the_rest_of_a_body_is_no_refusal(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow, "REFUSAL_SECONDS", 0.3)
    finding = asyncio.run(look(status))
    assert (finding.level, finding.message) == (
        "ok",
        "bodies of 3000000 bytes, the most that a route takes, are not refused",
    )


def test_413_is_a_refusal_with_the_line_for_this_size() -> None:
    finding = asyncio.run(look(413))
    assert finding.level == "fault"
    assert "nginx: client_max_body_size 3m;" in finding.message


@pytest.mark.parametrize("status", [400, 403, 502], ids=lambda status: f"answer {status}")
def test_any_other_answer_is_a_fault(status: int) -> None:
    finding = asyncio.run(look(status))
    assert (finding.level, f"is answered with {status}" in finding.message) == ("fault", True)
