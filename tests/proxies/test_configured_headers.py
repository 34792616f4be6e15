"""FA-2, FA-4: what the files for Envoy and Traefik must name. The stand-ins follow these files, so a gap shows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.fakes import FakeProvider
from tests.proxies.conftest import PROXIES, ROUTES
from tests.proxies.deployed import Deployment, deployment
from tests.repository import ROOT
from tests.security.asking import IDENTITY
from tests.security.certificates import make_authority

NAVIGATION = ("Sec-Fetch-Site: none", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Accept: text/html")
ASKED_WITH = (
    *("accept", "authorization", "cookie", "origin", "referer", "sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest"),
    *("sec-websocket-key", "upgrade", "user-agent", "x-forwarded-for", "x-forwarded-proto", "x-request-id"),
    *("x-requested-with", "x-vestibule-csrf"),
)


def envoy_filters(name: str) -> dict[str, Any]:
    config = yaml.safe_load((ROOT / "deploy" / "envoy" / name).read_text(encoding="utf-8"))
    manager = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    return {one["name"]: one["typed_config"] for one in manager["http_filters"]} | {"manager": manager}


def asking_envoy() -> dict[str, Any]:
    authz: dict[str, Any] = envoy_filters("forward-auth.yaml")["envoy.filters.http.ext_authz"]
    return authz


def asking_traefik() -> dict[str, Any]:
    config = yaml.safe_load((ROOT / "deploy" / "traefik" / "forward-auth.yaml").read_text(encoding="utf-8"))
    found: dict[str, Any] = config["http"]["middlewares"]["ask-vestibule"]["forwardAuth"]
    return found


@pytest.mark.parametrize("name", ASKED_WITH)
def test_fa_2_envoy_asks_with_each_header_that_a_decision_needs(name: str) -> None:
    patterns = asking_envoy()["allowed_headers"]["patterns"]
    assert any(one.get("exact") == name or name.startswith(one.get("prefix", "\0")) for one in patterns)


def test_fa_2_envoy_waits_long_enough_and_lets_nobody_in_without_an_answer() -> None:
    authz = asking_envoy()
    assert authz["failure_mode_allow"] is False
    assert authz["status_on_error"] == {"code": "ServiceUnavailable"}
    service = authz["http_service"]
    assert service["path_prefix"] == "/auth/verify/envoy"
    assert float(service["server_uri"]["timeout"].removesuffix("s")) >= 10


@pytest.mark.parametrize("name", [*IDENTITY, "authorization", "cookie"])
def test_fa_4_envoy_and_traefik_replace_each_header_that_says_who_somebody_is(name: str) -> None:
    told = asking_envoy()["http_service"]["authorization_response"]["allowed_upstream_headers"]["patterns"]
    assert {"exact": name} in told
    assert name in [one.lower() for one in asking_traefik()["authResponseHeaders"]]


def test_fa_2_traefik_believes_no_forwarded_header_of_a_client() -> None:
    assert asking_traefik()["trustForwardHeader"] is False
    assert asking_traefik()["address"].endswith("/auth/verify/traefik")


@pytest.mark.parametrize("name", ["gateway.yaml", "forward-auth.yaml"])
def test_fa_3_envoy_leaves_paths_as_they_are(name: str) -> None:
    manager = envoy_filters(name)["manager"]
    assert manager["normalize_path"] is False
    assert manager["merge_slashes"] is False
    assert manager["path_with_escaped_slashes_action"] == "KEEP_UNCHANGED"


@contextmanager
def without(name: str, line: str, tmp_path: Path) -> Iterator[Deployment]:
    """A stand-in whose file lacks `line`."""
    with (
        FakeProvider(auto_login="alice") as provider,
        deployment(
            PROXIES[name],
            provider=provider,
            authority=make_authority(tmp_path),
            folder=tmp_path,
            routes=ROUTES,
            more={line: ""},
        ) as place,
    ):
        yield place
        place.close_browsers()


def test_fa_2_without_cookie_in_the_question_of_envoy_nobody_is_signed_in(tmp_path: Path) -> None:
    with without("stand-in for envoy", "                - exact: cookie\n", tmp_path) as place:
        with pytest.raises(AssertionError, match="more than 10 hops"):  # each sign-in leads to the next
            place.sign_in(path="/report")
        assert place.web.requests == []


def test_fa_4_an_identity_that_the_file_for_envoy_does_not_name_does_not_arrive(tmp_path: Path) -> None:
    line = "                    - exact: x-auth-request-user\n"
    with without("stand-in for envoy", line, tmp_path) as place:
        browser, _ = place.sign_in()
        place.web.clear()
        assert place.ask("/report", *NAVIGATION, cookie=place.cookie_of(browser)).status == 200
        assert place.web.last.header("x-auth-request-user") is None
        assert place.web.last.header("x-auth-request-email") == "alice@example.com"


def test_fa_4_a_token_that_the_file_for_traefik_does_not_name_does_not_arrive(tmp_path: Path) -> None:
    with without("stand-in for traefik", "          - Authorization\n", tmp_path) as place:
        browser, _ = place.sign_in()
        assert place.ask("/api/models", "Sec-Fetch-Site: same-origin", cookie=place.cookie_of(browser)).status == 200
        assert place.api.last.header("authorization") is None
