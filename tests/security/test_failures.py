"""FM: clocks that are wrong, and settings that would not be safe."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bff.settings.loading import ConfigurationError, parse_settings
from tests.fakes import FakeClock, is_grant
from tests.front_door import KEY
from tests.security.house import House
from tests.security.rejection import assert_rejected

SAFE: dict[str, Any] = {
    "server": {"public_url": "https://gw.example"},
    "secrets": {"keys": [KEY]},
    "providers": {
        "corp": {"issuer": "https://idp.example", "client_id": "vestibule", "client_secret": "unit-test-client-secret"}
    },
    "routes": [{"id": "app", "path": "/", "upstream": "http://127.0.0.1:8501", "kind": "page"}],
}


@pytest.mark.parametrize("seconds", [-55, 55])
def test_fm_5_a_clock_difference_of_a_minute_is_accepted(
    timed_house: Callable[..., House], clock: FakeClock, seconds: float
) -> None:
    house = timed_house()
    house.provider.clock = lambda: clock() + seconds
    browser = house.sign_in()
    clock.advance(400)
    assert browser.fetch(f"{house.url}/api/x").status_code == 200


@pytest.mark.parametrize("seconds", [-1000, -365, 300])
def test_fm_5_a_clock_difference_of_five_minutes_is_refused(
    timed_house: Callable[..., House], clock: FakeClock, seconds: float
) -> None:
    house = timed_house()
    house.provider.options.code_lifetime = 3_600
    house.provider.clock = lambda: clock() + seconds
    browser = house.browser()
    url = house.callback_url(browser)
    assert_rejected(house, lambda: browser.get(url), statuses=[400], token_hits=1)
    assert str(house.refusals()[-1]["reason"]) in ("id_token_iat", "id_token_exp")


def test_fm_5_a_refreshed_id_token_with_a_wrong_time_gives_401_and_a_logged_reason(
    timed_house: Callable[..., House], clock: FakeClock
) -> None:
    house = timed_house()
    browser = house.sign_in()
    shift = is_grant("refresh_token")
    house.provider.bend.id_token.claims(lambda claims: {**claims, "iat": claims["iat"] + 400}, when=shift)
    clock.advance(301)
    assert browser.fetch(f"{house.url}/api/x").status_code == 401
    assert house.refusals()[-1]["reason"] == "id_token_iat"


def test_fm_5_a_token_lifetime_of_thirty_years_is_ignored(timed_house: Callable[..., House], clock: FakeClock) -> None:
    house = timed_house()
    house.provider.bend.token.json(lambda answer: {**answer, "expires_in": 10**9})
    browser = house.sign_in()
    session = house.session_of(browser)
    assert session.tokens.expires_at is not None
    assert session.tokens.expires_at <= clock() + 30 * 86_400
    clock.advance(43_201)  # the session has an absolute end in every case
    assert browser.fetch(f"{house.url}/api/x").status_code == 401


def test_fm_5_a_token_is_renewed_before_it_expires(timed_house: Callable[..., House], clock: FakeClock) -> None:
    house = timed_house()
    browser = house.sign_in()
    clock.advance(250)
    assert browser.fetch(f"{house.url}/api/x").status_code == 200
    house.door.do(house.door.app.bff.tokens.drain())
    assert len(house.provider.grants("refresh_token")) == 1


def with_change(path: str, value: Any) -> dict[str, Any]:
    """`SAFE` with one value changed; a dot in `path` goes down one table, `-` as value leaves the key out."""
    tables: dict[str, Any] = {name: value_copy(table) for name, table in SAFE.items()}
    *parents, last = path.split(".")
    place: Any = tables
    for name in parents:
        place = place[int(name)] if isinstance(place, list) else place.setdefault(name, {})
    if value == "-":
        del place[last]
    else:
        place[last] = value
    return tables


def value_copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: value_copy(each) for name, each in value.items()}
    return [value_copy(each) for each in value] if isinstance(value, list) else value


UNSAFE: list[tuple[str, Any]] = [
    ("secrets.keys", []),
    ("secrets.keys", ["short"]),
    ("secrets.keys", ["a" * 64]),
    ("secrets.keys", ["abcd" * 16]),
    ("secrets.keys", ["changeme-changeme-changeme-changeme-changeme"]),
    ("secrets.keys", ["0123456789" * 5]),
    ("secrets.keys", [KEY, KEY]),
    ("secrets.keys", [KEY, "short"]),
    ("secrets.admin_token", "short"),
    ("providers", {}),
    ("providers.corp.client_secret", "-"),
    ("providers.corp.client_secret", "changeme"),
    ("providers.corp.client_secret", "secret"),
    ("providers.corp.client_secret", "abc"),
    ("providers.corp.issuer", "http://idp.example"),
    ("providers.corp.issuer", "http://127.0.0.1:9000"),
    ("providers.corp.issuer", "idp.example"),
    ("providers.corp.issuer", "https://user:password@idp.example"),
    ("providers.corp.issuer", "https://idp.example?x=1"),
    ("providers.corp.backchannel_url", "http://idp.internal"),
    ("providers.corp.id_token_alg", "none"),
    ("providers.corp.id_token_alg", "HS256"),
    ("providers.corp.client_auth", "private_key_jwt"),
    ("providers.corp.client_auth", "plain"),
    ("providers.corp.scopes", ["profile"]),
    ("providers.corp.clock_skew_seconds", 3600),
    ("providers.corp.response_mode", "fragment"),
    ("providers.corp.pkce", "plain"),
    ("providers.corp.code_challenge_method", "plain"),
    ("providers.corp.verify", False),
    ("server.public_url", "http://gw.example"),
    ("server.public_url", "http://localhost:8000"),
    ("server.public_url", "https://*.example"),
    ("server.public_url", "https://user@gw.example"),
    ("server.origins", ["*"]),
    ("server.origins", ["https://*.example"]),
    ("server.origins", ["http://other.example"]),
    ("server.trusted_proxies", ["*"]),
    ("server.trusted_proxies", ["0.0.0.0/0"]),
    ("server.trusted_proxies", ["::/0"]),
    ("server.debug", True),
    ("server.cookie_name", "session"),
    ("server.auth_path", "/"),
    ("server.workers", 2),
    ("session.cookie_name", "session"),
    ("session.idle_seconds", 0),
    ("session.idle_seconds", 5),
    ("session.absolute_seconds", 60),
    ("session.same_site", "none"),
    ("routes.0.path", "/auth"),
    ("routes.0.path", "/auth/callback"),
    ("routes.0.csrf", "none"),
    ("routes.0.cors_origins", ["*"]),
    ("routes.0.cors_origins", ["null"]),
    ("routes.0.ws_origins", ["*"]),
    ("routes.0.ws_origins", ["null"]),
    ("routes.0.ws_origins", ["https://*.example"]),
    ("routes.0.auth", "none"),
    ("routes.0.token", "assertion"),
    ("routes.0.upstream", "file:///etc"),
    ("routes.0.requires", {"roles_any": ["admin"]}),
    ("log.level", "trace"),
    ("limits.header_bytes", 0),
    ("debug", True),
    ("insecure", True),
]


@pytest.mark.parametrize(("key", "value"), UNSAFE)
def test_fm_6_the_front_door_does_not_start_with_unsafe_settings(key: str, value: Any) -> None:
    with pytest.raises(ConfigurationError) as refused:
        parse_settings(with_change(key, value))
    text = str(refused.value)
    assert KEY not in text
    assert "unit-test-client-secret" not in text


def test_fm_6_the_front_door_starts_with_safe_settings() -> None:
    assert parse_settings(SAFE).server.public_url == "https://gw.example"


def test_fm_6_all_unsafe_settings_are_named_at_once() -> None:
    tables = with_change("secrets.keys", ["short"])
    tables["server"]["public_url"] = "http://gw.example"
    tables["providers"]["corp"]["issuer"] = "http://idp.example"
    with pytest.raises(ConfigurationError) as refused:
        parse_settings(tables)
    assert {fault.key for fault in refused.value.faults} >= {
        "secrets.keys[0]",
        "server.public_url",
        "providers.corp.issuer",
    }
