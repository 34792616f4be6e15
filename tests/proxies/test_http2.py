"""FA-4: over HTTP/2 the same holds. Browsers speak it to each proxy that offers it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.proxies.deployed import Deployment
from tests.proxies.test_matrix import NAVIGATION


@pytest.mark.component("curl")
def test_fa_4_over_http2_the_identity_arrives_and_a_forged_one_does_not(
    place: Deployment, component: Callable[[str], Path]
) -> None:
    browser, _ = place.sign_in()
    cookies = ("theme=dark", f"__Host-vestibule={place.cookie_of(browser)}", "lang=de")
    lines = [*NAVIGATION, *(f"Cookie: {cookie}" for cookie in cookies), "X-Auth-Request-User: mallory"]
    place.web.clear()
    asked: list[str | Path] = [
        component("curl"),
        "--silent",
        "--http2",
        "--cacert",
        place.authority,
        "--write-out",
        "\n%{http_version}",
    ]
    headers = [part for line in lines for part in ("--header", line)]
    done = subprocess.run([*asked, *headers, f"{place.url}/report?x=1"], capture_output=True, text=True, check=True)
    body, _, version = done.stdout.rpartition("\n")
    assert version == "2"
    assert json.loads(body)["method"] == "GET"
    got = place.web.last
    assert got.target == b"/report?x=1"
    assert got.header("x-auth-request-user") == "alice"
    assert "vestibule" not in (got.header("cookie") or "")
