"""FA-3, PX-3: settings of a proxy that change paths lead to no path that Vestibule did not decide about."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote

import pytest

from tests.payloads.paths import AMBIGUOUS
from tests.proxies.conftest import PACKAGED, ROUTES, Deploy
from tests.proxies.deployed import Deployment, Proxy
from tests.proxies.test_matrix import NAVIGATION, SENDABLE, XHR

WITHOUT_PREFIX: Mapping[str, Mapping[str, str]] = {
    "nginx": {"proxy_pass http://127.0.0.1:9001;": "proxy_pass http://127.0.0.1:9001/;"},
    "haproxy": {
        "backend api from application": "backend api from application\n    http-request replace-path /api/(.*) /\\1"
    },
    "caddy": {"handle @api {": "handle_path /api/* {"},
}
"""The API gets its paths without `/api`."""
TIDIED: Mapping[str, Mapping[str, str]] = {
    "nginx": {"client_max_body_size 200m;": "client_max_body_size 200m; merge_slashes off;"},
    "haproxy": {
        "\nglobal\n": "\nglobal\n    expose-experimental-directives\n",
        "    acl is_allowed": "\n".join(
            f"    http-request normalize-uri {how}"
            for how in ("path-merge-slashes", "path-strip-dot", "path-strip-dotdot full", "percent-to-uppercase")
        )
        + "\n    acl is_allowed",
    },
    "caddy": {"# ---- every other": "uri replace // /\n\t\t# ---- every other"},
}
"""The proxy changes paths, or does not, before it asks. nginx merges slashes by default; here it does not."""
BELOW_THE_API = [b"/api" + raw for raw in SENDABLE] + [b"/api/..%2freport", b"/api//report", b"/api/;/../report"]


def starting(deploy: Deploy, changes: Mapping[str, str]) -> tuple[Deployment, str]:
    closed = {"id": "api-admin", "path": "/api/admin", "kind": "api", "require": {"roles_any": ["chief"]}}
    place = deploy(more=changes, routes=[*ROUTES, closed])
    browser, _ = place.sign_in()
    place.web.clear()
    return place, place.cookie_of(browser)


def leads_to_admin(target: bytes) -> bool:
    """True if a careless reader could take this path for one below `/admin`."""
    readings = {target.decode("latin-1")}
    for _ in range(3):
        readings |= {unquote(reading, "latin-1") for reading in readings}
    flat = {"/" + "/".join(part for part in reading.replace("\\", "/").split("/") if part) for reading in readings}
    return any(reading.lower().startswith("/admin") or ".." in reading for reading in flat)


@pytest.mark.parametrize("proxy", PACKAGED, indirect=True)
def test_px_3_a_prefix_that_the_proxy_removes_leads_to_no_other_path(deploy: Deploy, proxy: Proxy) -> None:
    place, cookie = starting(deploy, WITHOUT_PREFIX[proxy.mode])
    assert place.ask("/api/models?x=%2F", *XHR, cookie=cookie).status == 200
    assert place.api.last.target == b"/models?x=%2F"
    place.api.clear()
    for raw in BELOW_THE_API:
        status = place.ask(raw, *XHR, cookie=cookie).status
        arrived = [got.target for got in place.api.requests]
        assert (status in (400, 403, 404) and not arrived) or (status == 200 and len(arrived) == 1), raw
        assert not any(leads_to_admin(target) for target in arrived), (raw, arrived)
        place.api.clear()
    assert place.web.requests == []


@pytest.mark.parametrize("proxy", PACKAGED, indirect=True)
def test_px_3_a_path_that_the_proxy_tidies_is_decided_as_the_one_that_arrives(deploy: Deploy, proxy: Proxy) -> None:
    place, cookie = starting(deploy, TIDIED[proxy.mode])
    assert place.ask("/report", *NAVIGATION, cookie=cookie).status == 200
    place.web.clear()
    for raw in (raw for raw in AMBIGUOUS if raw in SENDABLE):
        place.ask(raw, *NAVIGATION, cookie=cookie)
    assert [got.target for got in place.web.requests + place.api.requests if leads_to_admin(got.target)] == []
