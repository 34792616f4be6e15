"""A real `streamlit run`, and a visitor that opens its WebSocket with the headers a front door would send."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import httpx
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Sight:
    """What one run of the page showed: texts, HTML, exceptions, and the query in the address after it."""

    texts: tuple[str, ...]
    html: str
    exceptions: tuple[str, ...]
    queries: tuple[str, ...]


class Visitor:
    """One tab of one browser; every `run` is a run of the script in the same Streamlit session."""

    def __init__(self, connection: ClientConnection, *, url: str) -> None:
        self._socket = connection
        self._url = url

    def run(self, *, path: str = "", query: Mapping[str, str] | None = None, url: str = "") -> Sight:
        message = BackMsg()
        message.rerun_script.query_string = urlencode(query or {})
        message.rerun_script.context_info.url = (url or self._url) + path
        self._socket.send(message.SerializeToString())
        return self._watch()

    def _watch(self) -> Sight:
        texts, html, exceptions, queries = [], "", [], []
        while True:
            raw = self._socket.recv(timeout=30)
            assert isinstance(raw, bytes)
            message = ForwardMsg.FromString(raw)
            kind = message.WhichOneof("type")
            if kind == "delta":
                element = message.delta.new_element
                match element.WhichOneof("type"):
                    case "text":
                        texts.append(element.text.body)
                    case "html":
                        html += element.html.body
                    case "exception":
                        exceptions.append(element.exception.message)
            elif kind == "page_info_changed":
                queries.append(message.page_info_changed.query_string)
            elif kind == "script_finished":
                return Sight(tuple(texts), html, tuple(exceptions), tuple(queries))


@contextmanager
def visiting(port: int, headers: Sequence[tuple[str, str]], *, base_path: str = "") -> Iterator[Visitor]:
    """Open a tab at a Streamlit server whose pages are below `base_path`. Its handshake has `headers`."""
    with connect(
        f"ws://127.0.0.1:{port}{base_path}/_stcore/stream",
        additional_headers=list(headers),
        subprotocols=[Subprotocol("streamlit"), Subprotocol("PLACEHOLDER_AUTH_TOKEN")],
        max_size=None,
        proxy=None,
    ) as connection:
        yield Visitor(connection, url=f"http://localhost:{port}")


@contextmanager
def streamlit_running(script: Path, port: int, environment: Mapping[str, str]) -> Iterator[None]:
    """Run `script` on a loopback port and wait until it answers; afterwards end the process and wait for it."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    options = {"port": str(port), "address": "127.0.0.1", "headless": "true", "fileWatcherType": "none"}
    command = [sys.executable, "-m", "streamlit", "run", str(script), "--browser.gatherUsageStats=false"]
    child = subprocess.Popen(
        [*command, *(f"--server.{name}={value}" for name, value in options.items())],
        env=kept | {"PYTHONPATH": str(ROOT)} | dict(environment),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_until_up(child, port)
        yield
    finally:
        child.terminate()
        child.wait(10)


def _wait_until_up(child: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + 30
    with httpx.Client() as http:
        while child.poll() is None and time.monotonic() < deadline:
            try:
                if http.get(f"http://127.0.0.1:{port}/_stcore/health").is_success:
                    return
            except httpx.TransportError:
                time.sleep(0.1)
    raise RuntimeError("streamlit did not start")
