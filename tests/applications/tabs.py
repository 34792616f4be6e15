"""How a person opens each application in a tab, and what they do there."""

from __future__ import annotations

import re
from typing import Final

from playwright.sync_api import BrowserContext, Page, expect

from tests.applications.programs import PROGRAMS
from tests.front_door import RunningDoor

PATIENCE: Final = 45_000
ALIVE: Final = re.compile(r"beat [1-9]")


def open_application(name: str, context: BrowserContext, door: RunningDoor, *, path: str = "") -> Page:
    """Sign in as alice on the way to the application, and wait until it works. Returns its tab."""
    tab = context.new_page()
    tab.on("dialog", lambda dialog: dialog.accept())
    tab.goto(door.url + (path or PROGRAMS[name].path))
    tab.locator("#person-alice").click()
    if name == "jupyterlab":
        expect(tab.get_by_text("(ipykernel) | Idle")).to_be_visible(timeout=PATIENCE)
        tab.locator(".jp-Notebook .jp-CodeCell .cm-content").first.click()
        tab.keyboard.press("Shift+Enter")
    if name == "mlflow":
        expect(tab.get_by_text("Experiments").first).to_be_visible(timeout=PATIENCE)
    else:
        expect(tab.get_by_text(ALIVE).last).to_be_visible(timeout=PATIENCE)
    assert tab.locator("script[src='/auth/guard.js']").count() == 1
    return tab
