"""Calls of a signed-in browser, and the sessions behind them."""

from __future__ import annotations

import httpx

from tests.fakes import CookieClient
from tests.security.house import House

LIFETIME = 300
"""Seconds an access token of the fake provider lives."""


def api(house: House, browser: CookieClient, path: str = "/api/x") -> httpx.Response:
    return browser.fetch(house.url + path)
