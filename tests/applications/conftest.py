"""The environment with the applications, and a Chromium."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests import components
from tests.applications.installed import InstallFailed, installed_python
from tests.fakes import FakeProvider

INSTALL_SECONDS = 300
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
CHROMIUM_ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking")


@pytest.fixture(scope="session")
def applications(artefacts: Path) -> Path:
    """The interpreter that has the applications. If they cannot be installed, the tests are skipped."""
    try:
        return installed_python(REQUIREMENTS, artefacts, seconds=INSTALL_SECONDS)
    except InstallFailed as failed:
        components.leave_out(str(failed))


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
