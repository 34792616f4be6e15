"""Settings reach a worker complete, and are shown to a person without secrets."""

from __future__ import annotations

import math
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from bff.settings.loading import parse_settings
from bff.settings.tables import Settings
from gateway.processes.settings_text import MASK, from_pipe, to_masked, to_pipe, to_toml

KEYS = ["0123456789abcdefghijklmnopqrstuvwxyz", "zyxwvutsrqponmlkjihgfedcba9876543210"]


def full_settings() -> Settings:
    """Something of every type that settings have."""
    return parse_settings(
        {
            "server": {
                "public_url": "https://apps.example.com/portal",
                "trusted_proxies": ["10.0.0.0/8", "fd00::/8"],
                "internal_hosts": ["127.0.0.1:8000"],
            },
            "secrets": {"keys": KEYS, "admin_token": "canary-admin-token"},
            "store": {"url": "redis://:canary-password@127.0.0.1/0"},
            "session": {"idle_seconds": 90.5},
            "providers": {
                "corp": {
                    "issuer": "https://idp.example.com",
                    "client_id": "ü",
                    "client_secret": "canary-client",
                    "roles_claim": "https://example.com/roles",
                }
            },
            "roles": {"analyst": {"groups_any": ["science"]}},
            "kit_clients": {"pages": {"secret": "canary-kit-secret-0123"}},
            "routes": [
                {
                    "id": "pages",
                    "path": "/",
                    "upstream": "streamlit:app.py",
                    "kit": "pages",
                    "streamlit": {"env": {"TOKEN": "canary-variable"}},
                    "require": {"max_age_seconds": 60, "claims": {"level": 3, "member": True, "teams": ["a", "b"]}},
                    "forward_headers": ["accept", "x-*"],
                },
                {"id": "api", "path": "/api/", "upstream": ["http://127.0.0.1:1", "http://127.0.0.1:2"]},
            ],
        }
    )


def test_settings_pass_unchanged_through_the_pipe() -> None:
    assert from_pipe(to_pipe(full_settings())) == full_settings()


def test_a_masked_copy_has_no_secret_and_every_other_value() -> None:
    masked = to_masked(full_settings())
    assert "canary" not in repr(masked)
    assert not [key for key in KEYS if key in repr(masked)]
    assert masked["secrets"]["keys"] == [MASK, MASK]
    assert masked["store"]["url"] == f"redis://:{MASK}@127.0.0.1/0"
    assert masked["server"]["trusted_proxies"] == ["10.0.0.0/8", "fd00::/8"]


@pytest.mark.parametrize("login", ["", "someone:canary-1@"])
@pytest.mark.parametrize(
    "query", ["sentinel_password=canary-2", "sentinel_username=s&sentinel_password=canary%26x&tls=1"]
)
def test_lg_1_the_password_of_sentinels_is_masked(login: str, query: str) -> None:
    settings = full_settings()
    store = settings.store.model_copy(update={"url": SecretStr(f"redis+sentinel://{login}127.0.0.1/mine?{query}")})
    url = to_masked(settings.model_copy(update={"store": store}))["store"]["url"]
    assert "canary" not in url
    assert url.count(MASK) == (2 if login else 1)
    assert "redis+sentinel://" in url
    assert "127.0.0.1/mine?" in url


def test_a_secret_that_is_not_set_is_shown_as_not_set() -> None:
    assert to_masked(full_settings())["providers"]["corp"]["client_key"] == ""


def test_masked_settings_as_toml_are_read_back_as_they_were() -> None:
    masked = to_masked(full_settings())
    assert tomllib.loads(to_toml(masked)) == _absent_if_none(masked)


def _absent_if_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _absent_if_none(inner) for key, inner in value.items() if inner is not None}
    return [_absent_if_none(inner) for inner in value] if isinstance(value, list) else value


SCALARS = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"])),
)
VALUES = st.recursive(
    st.one_of(SCALARS, st.lists(SCALARS, max_size=3)),
    lambda inner: st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), VALUES, max_size=4))
def test_any_tables_are_read_back_from_toml_unchanged(tables: dict[str, Any]) -> None:
    assert tomllib.loads(to_toml(tables)) == tables


@pytest.mark.parametrize("number", [1e300, 5e-324, -0.5, 1e16, math.pi])
def test_floats_are_read_back_from_toml_exactly(number: float) -> None:
    assert tomllib.loads(to_toml({"x": number})) == {"x": number}
