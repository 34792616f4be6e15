"""Files of any name go up and come down through real applications behind the door, in Chromium."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.applications.programs import PROGRAMS, running_program
from tests.applications.sources import NAMES
from tests.applications.tabs import PATIENCE, open_application
from tests.fakes import FakeProvider
from tests.front_door import RunningDoor, page_route
from tests.ports import free_port

pytestmark = [pytest.mark.component("chromium"), pytest.mark.timeout(420), pytest.mark.long]


@pytest.fixture
def sent(tmp_path: Path) -> list[Path]:
    """Files on the person's own machine. Each holds its own name."""
    folder = tmp_path / "of the person"
    folder.mkdir()
    for name in NAMES:
        (folder / name).write_text(name)
    return [folder / name for name in NAMES]


@pytest.fixture
def open_in_chromium(
    python_with: Callable[[str], Path], chromium: Browser, provider: FakeProvider, tmp_path: Path
) -> Callable[..., Any]:
    @contextmanager
    def opened(name: str, *arguments: str, start: str = "", **route: Any) -> Iterator[Page]:
        program, port = PROGRAMS[name], free_port()
        folder = tmp_path / "of the program"
        folder.mkdir()
        with ExitStack() as stack:
            python = python_with(program.environment)
            public = f"localhost:{port}"
            address = stack.enter_context(running_program(name, python, folder, public=public, arguments=arguments))
            door = RunningDoor({"corp": provider}, [page_route(address, **program.route, **route)], port=port).start()
            stack.callback(door.stop)
            context = stack.enter_context(chromium.new_context())
            yield open_application(name, context, door, path=start)

    return opened


def assert_downloads(tab: Page, name: str, click: Callable[[], None]) -> None:
    with tab.expect_download(timeout=PATIENCE) as waiting:
        click()
    assert waiting.value.path().read_text() == name
    # Chromium itself takes the space before a full stop for one that does not belong there, or keeps it.
    assert waiting.value.suggested_filename.replace(" .", ".") == name.replace(" .", ".")


def test_gradio_takes_and_gives_files_of_any_name(open_in_chromium: Callable[..., Any], sent: list[Path]) -> None:
    with open_in_chromium("gradio", "/tool", start="/tool?chart=3", path="/tool/", strip_prefix=True) as tab:
        links = tab.locator("a[download]")
        expect(links).to_have_count(len(NAMES))
        for number, name in enumerate(NAMES):
            assert_downloads(tab, name, links.nth(number).click)
        tab.locator("input[type=file]").last.set_input_files(sent)
        expect(tab.get_by_text("received:")).to_have_text("received: " + " | ".join(sorted(NAMES)), timeout=PATIENCE)
        for number, name in enumerate(NAMES):
            assert_downloads(tab, name, links.nth(len(NAMES) + number).click)
        assert "/tool/" in tab.url


def test_jupyterlab_takes_and_gives_files_of_any_name(open_in_chromium: Callable[..., Any], sent: list[Path]) -> None:
    with open_in_chromium("jupyterlab") as tab:
        with tab.expect_file_chooser() as waiting:
            tab.get_by_role("button", name="Upload Files").click()
        waiting.value.set_files(sent)
        for name in NAMES:
            item = tab.get_by_role("listitem", name=f"Name: {name} Size")
            expect(item).to_be_visible(timeout=PATIENCE)
            assert_downloads(tab, name, partial(_download_from_menu, tab, item))


def _download_from_menu(tab: Page, item: Locator) -> None:
    item.click(button="right")
    tab.get_by_role("menuitem", name="Download", exact=True).click()
