"""A running demo and a real Chromium for the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.e2e.demo_process import CommandProcess
from tests.ports import free_port

CHROMIUM_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
SIMULATION_SECONDS = "5"
PATIENCE_MILLISECONDS = 20_000
"""For waits that no test measures: two suites may share the machine. A test of speed sets its own time."""

expect.set_options(timeout=PATIENCE_MILLISECONDS)


@dataclass(frozen=True)
class Demo:
    """`vestibule demo`, ready."""

    url: str
    process: CommandProcess


@pytest.fixture(scope="module")
def demo() -> Iterator[Demo]:
    port = free_port()
    process = CommandProcess(["demo", "--port", str(port)], environ={"COLONY_SIMULATION_SECONDS": SIMULATION_SECONDS})
    try:
        process.wait_for("is ready")
        yield Demo(f"http://localhost:{port}", process)
    finally:
        process.stop()


# One per module: Playwright keeps an event loop running in this thread, so no asynchronous test can start in it.
@pytest.fixture(scope="module")
def chromium(component: Callable[[str], Path]) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(component("chromium")), args=list(CHROMIUM_ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    """A fresh profile."""
    with chromium.new_context(viewport={"width": 1280, "height": 800}) as fresh:
        fresh.set_default_timeout(PATIENCE_MILLISECONDS)
        yield fresh


@pytest.fixture
def tab(context: BrowserContext) -> Page:
    return context.new_page()
