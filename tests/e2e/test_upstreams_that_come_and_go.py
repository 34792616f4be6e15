"""Two real Streamlit servers behind one page route: when one stops, the open page in Chromium moves to the other."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import FilePayload, Page, expect

from tests.fakes import FakeProvider
from tests.front_door import RunningDoor, page_route, running_door
from tests.ports import free_ports
from tests.streamlit_kit.visitor import streamlit_running

pytestmark = [pytest.mark.component("chromium"), pytest.mark.timeout(150)]

PAGE = """
import os
import streamlit as st

st.session_state.runs = st.session_state.get("runs", 0) + 1
st.markdown(f"server {os.environ['NAME']}, run {st.session_state.runs}")
entry = st.text_input("Entry")
file = st.file_uploader("File")
st.markdown(f"entry [{entry}], file [{file.getvalue().decode() if file else ''}]")
"""


class Servers:
    """The two Streamlit servers, by name: each can be stopped and started."""

    def __init__(self, folder: Path) -> None:
        self._script = folder / "page.py"
        self._script.write_text(PAGE)
        self.ports = dict(zip(("one", "two"), free_ports(2), strict=True))
        self._running: dict[str, ExitStack] = {}

    def start(self, name: str) -> None:
        self._running[name] = ExitStack()
        self._running[name].enter_context(streamlit_running(self._script, self.ports[name], {"NAME": name}))

    def stop(self, name: str) -> None:
        self._running.pop(name).close()

    def stop_all(self) -> None:
        for name in list(self._running):
            self.stop(name)


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    servers = Servers(tmp_path)
    try:
        for name in servers.ports:
            servers.start(name)
        yield servers
    finally:
        servers.stop_all()


@pytest.fixture
def door(servers: Servers) -> Iterator[RunningDoor]:
    targets = [f"http://127.0.0.1:{port}" for port in servers.ports.values()]
    with (
        FakeProvider(auto_login="alice") as provider,
        running_door({"corp": provider}, [page_route("") | {"upstream": targets}]) as door,
    ):
        yield door


def upload(tab: Page, text: str) -> None:
    payload: FilePayload = {"name": f"{text}.txt", "mimeType": "text/plain", "buffer": text.encode()}
    tab.locator("input[type=file]").set_input_files([payload])
    expect(tab.get_by_text(f"file [{text}]")).to_be_visible()


def test_an_open_page_goes_on_at_another_server_and_stays_there(door: RunningDoor, servers: Servers, tab: Page) -> None:
    tab.goto(door.url)
    expect(tab.get_by_text("server ")).to_be_visible()
    first = "one" if "server one" in tab.get_by_text("server ").inner_text() else "two"
    second = "two" if first == "one" else "one"
    tab.get_by_label("Entry").fill("words")
    tab.get_by_label("Entry").press("Enter")
    upload(tab, "before")

    servers.stop(first)
    expect(tab.get_by_text(f"server {second}, run 1")).to_be_visible()  # nobody touched the page
    expect(tab.get_by_role("alert")).to_contain_text("was started again")
    upload(tab, "during")

    servers.start(first)
    time.sleep(2)  # longer than the first rest of a server that was down
    upload(tab, "after")
    expect(tab.get_by_text(f"server {second}")).to_be_visible()

    tab.reload()
    expect(tab.get_by_text(f"server {second}")).to_be_visible()
    expect(tab.get_by_role("alert")).to_have_count(0)
    upload(tab, "reloaded")

    servers.stop(second)
    expect(tab.get_by_text(f"server {first}, run 1")).to_be_visible()
    upload(tab, "returned")
