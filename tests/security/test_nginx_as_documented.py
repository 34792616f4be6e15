"""DS-2: the nginx of docs/operate.md accepts heads of the same length as the front door, in both directions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fakes import RecordingUpstream, bind_socket
from tests.front_door import page_route
from tests.repository import ROOT
from tests.security.house import House
from tests.security.nginx import running_nginx
from tests.security.raw import RawAnswer, exchange, handshake, open_websocket

pytestmark = pytest.mark.component("nginx")
NOT_HERE = ("listen", "server_name", "ssl_", "include", "return")


def documented(door: int) -> str:
    """The first server of the page, with the map before it, before the door at this port."""
    page = (ROOT / "docs" / "operate.md").read_text(encoding="utf-8")
    found = re.search(r"```nginx\n(.*?\n}\n)\nserver \{\n    listen 80;", page, flags=re.DOTALL)
    assert found
    lines = [line for line in found[1].splitlines() if not line.strip().startswith(NOT_HERE)]
    text = "\n".join(lines).replace("127.0.0.1:8000", f"127.0.0.1:{door}")
    return text.replace("{", "{{").replace("}", "}}").replace("server {{", "server {{ listen 127.0.0.1:{port};", 1)


@pytest.fixture
def behind(
    build_house: Callable[..., House], upstream: RecordingUpstream, tmp_path: Path
) -> Iterator[tuple[House, int]]:
    """A door with a page for everybody, and the port of the nginx before it."""
    door = bind_socket("127.0.0.1", 0)
    port = int(door.getsockname()[1])
    door.close()
    with running_nginx(tmp_path, documented(port)) as nginx:
        server = {"public_url": f"http://localhost:{nginx}"}
        yield build_house(port=port, routes=[page_route(upstream, auth="public")], server=server), nginx


def ask(nginx: int, path: str, *lines: str) -> RawAnswer:
    head = [f"GET {path} HTTP/1.1", f"Host: localhost:{nginx}", "Connection: close", *lines]
    return RawAnswer.parse(exchange(nginx, ("\r\n".join(head) + "\r\n\r\n").encode()))


@pytest.mark.parametrize("line", ["Cookie: a=" + "x" * 9_000, "Cookie: a=" + "x" * 30_000], ids=["9 kB", "30 kB"])
def test_ds_2_nginx_accepts_a_cookie_line_that_the_front_door_accepts(behind: tuple[House, int], line: str) -> None:
    house, nginx = behind
    assert ask(nginx, "/page", line).status == 200
    assert line.partition(": ")[2] in (house.upstream.last.header("cookie") or "")
    answer, client = open_websocket(nginx, handshake("/page", f"localhost:{nginx}", line))
    client.close()
    assert answer.status == 101


def test_ds_2_nginx_accepts_a_long_answer_head(behind: tuple[House, int]) -> None:
    house, nginx = behind
    house.upstream.respond("/long", headers=(("x-note", "y" * 30_000),))
    answer = ask(nginx, "/long")
    assert (answer.status, answer.header("x-note")) == (200, "y" * 30_000)
