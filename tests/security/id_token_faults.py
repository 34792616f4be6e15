"""ID tokens with a fault, and the sign-in that must end without a session."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.security.house import House
from tests.security.rejection import assert_rejected

Claims = dict[str, Any]
Change = Callable[[Claims], Claims]


def with_claims(**over: Any) -> Change:
    return lambda claims: {**claims, **over}


def assert_login_rejected(house: House, *, reason: str = "", **how: Any) -> None:
    """A whole sign-in whose callback is rejected after exactly one token request, before any userinfo."""
    browser = house.browser()
    url = house.callback_url(browser)
    seen = len(house.provider.hits_of("userinfo"))
    assert_rejected(house, lambda: browser.get(url), reason=reason, token_hits=1, **how)
    assert len(house.provider.hits_of("userinfo")) == seen, "userinfo was asked before the ID token held"
    assert not house.is_signed_in(browser)
