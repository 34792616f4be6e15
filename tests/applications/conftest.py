"""The environments with the applications, and a Chromium."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests import components
from tests.applications.installed import InstallFailed, installed_python
from tests.fakes import FakeProvider

INSTALL_SECONDS = 600
REQUIREMENTS = Path(__file__).with_name("requirements")
CHROMIUM_ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking")


@pytest.fixture(scope="session")
def python_with(artefacts: Path) -> Callable[[str], Path]:
    """Finds the interpreter of an environment by the name of its requirements.

    If its packages cannot be installed, the test is skipped.
    """

    @cache
    def find(environment: str) -> Path:
        try:
            return installed_python(REQUIREMENTS / f"{environment}.txt", artefacts, seconds=INSTALL_SECONDS)
        except InstallFailed as failed:
            components.leave_out(str(failed))

    return find


@pytest.fixture(scope="module")
def chromium(component: Callable[[str], Path]) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(component("chromium")), args=list(CHROMIUM_ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeProvider]:
    with FakeProvider() as running:
        yield running
