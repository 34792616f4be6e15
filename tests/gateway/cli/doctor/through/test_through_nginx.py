"""`vestibule doctor --through` before a real nginx: quiet with the documented configuration, exact about each fault."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.gateway.cli.doctor.through.proxied_door import SHOWN, Edits, faults, proxied_door
from tests.security.certificates import Authority, make_authority

pytestmark = pytest.mark.component("nginx")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


def test_the_documented_configuration_has_no_fault(authority: Authority, tmp_path: Path) -> None:
    with proxied_door(tmp_path, authority) as door:
        report = door.look(quiet_seconds=2)
    assert faults(report) == []
    assert [finding.part for finding in report.findings] == [
        "address",
        "redirect",
        "verify",
        "host",
        "client",
        "identity",
        "cookie",
        "upgrade",
        "answers",
        "requests",
        "body",
        "request head",
        "answer head",
        "time-outs",
    ]
    assert report.is_healthy(strict=True)
    text = report.as_text()
    assert "client: 127.0.0.1; a forged X-Forwarded-For is gone" in text
    assert "with a certificate that holds" in text


def test_without_a_proxied_route_no_websocket_has_to_pass(authority: Authority, tmp_path: Path) -> None:
    edits = {"proxy_set_header Upgrade $http_upgrade;": ""}
    with proxied_door(tmp_path, authority, edits=edits, routes=[{"id": "web", "path": "/", "kind": "page"}]) as door:
        report = door.look()
    assert faults(report) == []
    assert "no route has an upstream" in report.as_text()


FORWARDED = "proxy_set_header X-Forwarded-For $remote_addr;"
RELEASED: dict[str, Any] = {"trusted_proxy_secret": ""}
"""No secret of the proxy, so that its address alone counts."""
CASES: dict[str, tuple[Edits, dict[str, Any], str, str, str]] = {
    "no redirect": (
        {"return 301 https://localhost:{port}$request_uri;": 'return 200 "hello";'},
        {},
        "redirect",
        "answered with 200, not sent to https",
        "return 301 https://localhost:",
    ),
    "a redirect that loses the path": (
        {"return 301 https://localhost:{port}$request_uri;": "return 301 https://localhost:{port}/;"},
        {},
        "redirect",
        "answered with 301, to https://localhost:",
        "$request_uri;",
    ),
    "another Host": (
        {"proxy_set_header Host $http_host;": "proxy_set_header Host $proxy_host;"},
        {},
        "host",
        "Host arrives as 127.0.0.1:",
        "nginx: proxy_set_header Host $http_host;",
    ),
    "a Host without its port": (
        {"proxy_set_header Host $http_host;": "proxy_set_header Host $host;"},
        {},
        "host",
        "Host arrives as localhost, not as localhost:",
        "nginx: proxy_set_header Host $http_host;",
    ),
    "no upgrade": (
        {"proxy_set_header Upgrade $http_upgrade;": ""},
        {},
        "upgrade",
        "no WebSocket opens (status 404 in place of 101)",
        "proxy_set_header Upgrade $http_upgrade;",
    ),
    "answers are buffered": (
        {"proxy_buffering off;": ""},
        {},
        "answers",
        "arrive at once: the proxy keeps answers back",
        "nginx: proxy_buffering off;",
    ),
    "requests are buffered": (
        {"proxy_request_buffering off;": ""},
        {},
        "requests",
        "keeps an upload until it has all of it",
        "nginx: proxy_request_buffering off;",
    ),
    "a forged address is passed on": (
        {FORWARDED: ""},
        {},
        "client",
        "forging works: this command sent X-Forwarded-For: 203.0.113.99, and the door takes that for its address, "
        "because the proxy passes on what a client sends",
        f"nginx: {FORWARDED}",
    ),
    "a forged address is kept, and the others are trusted": (
        {FORWARDED: "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;"},
        {},
        "client",
        "because the proxy appends (203.0.113.99, 127.0.0.1) and server.trusted_proxies names its other addresses",
        f"nginx: {FORWARDED}",
    ),
    "a forged address is kept": (
        {FORWARDED: "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_bind 127.0.0.2;"},
        {"trusted_proxies": ["127.0.0.2/32"]},
        "client",
        "the door finds 127.0.0.1, but the proxy appends to X-Forwarded-For (203.0.113.99, 127.0.0.1)",
        f"nginx: {FORWARDED}",
    ),
    "no address": (
        {FORWARDED: 'proxy_set_header X-Forwarded-For "";'},
        {},
        "client",
        "X-Forwarded-For does not arrive: the door takes the proxy at 127.0.0.1 for every client",
        f"nginx: {FORWARDED}",
    ),
    "the proxy is not trusted": (
        {},
        {"trusted_proxies": ["192.0.2.1/32"]},
        "client",
        "server.trusted_proxies does not name the proxy at 127.0.0.1",
        'vestibule.toml: trusted_proxies = ["127.0.0.1"]',
    ),
    "the proxy does not show its secret": (
        {SHOWN: ""},
        {},
        "client",
        "the proxy at 127.0.0.1 does not show server.trusted_proxy_secret",
        "nginx: proxy_set_header X-Vestibule-Proxy",
    ),
    "a forged scheme is passed on": (
        {"proxy_set_header X-Forwarded-Proto $scheme;": ""},
        {},
        "scheme",
        "X-Forwarded-Proto arrives as http, but people use https",
        "nginx: proxy_set_header X-Forwarded-Proto $scheme;",
    ),
    "a forged host is passed on and believed": (
        {'proxy_set_header X-Forwarded-Host "";': ""},
        {"trusted_host_header": True},
        "host",
        "the door believes an X-Forwarded-Host that a client sent (forged.invalid)",
        "nginx: proxy_set_header X-Forwarded-Host $http_host;",
    ),
    "a cookie loses a flag": (
        {"proxy_buffering off;": "proxy_buffering off; proxy_cookie_flags ~ nosecure;"},
        {},
        "cookie",
        "the proxy changes cookies: Secure is missing or changed",
        "nginx: remove proxy_cookie_flags",
    ),
    "a cookie gets another path": (
        {"proxy_buffering off;": "proxy_buffering off; proxy_cookie_path / /app/;"},
        {},
        "cookie",
        "the proxy changes cookies: Path is missing or changed; Path=/app/ is new",
        "proxy_cookie_path",
    ),
    "cookies are dropped": (
        {"proxy_buffering off;": 'proxy_buffering off; proxy_set_header Cookie "";'},
        {},
        "cookie",
        "cookies do not reach the door",
        'nginx: remove proxy_set_header Cookie "";',
    ),
    "small bodies alone": (
        {"client_max_body_size 200m;": "client_max_body_size 1m;"},
        {},
        "body",
        "routes take bodies of up to 209715200 bytes, but the proxy refuses such a request (413)",
        "nginx: client_max_body_size 200m;",
    ),
    "short heads of requests alone": (
        {"large_client_header_buffers 4 32k;": ""},
        {},
        "request head",
        "a cookie of 8 kB is answered with 400",
        "nginx: large_client_header_buffers 4 32k;",
    ),
    "short heads of answers alone": (
        {"proxy_buffer_size 64k;": "", "proxy_buffers 4 64k;": ""},
        {},
        "answer head",
        "an answer with a header of 8 kB arrives as 502",
        "nginx: proxy_buffer_size 64k; proxy_buffers 4 64k;",
    ),
    "a short time-out": (
        {"proxy_read_timeout 3600s;": "proxy_read_timeout 1s;"},
        {},
        "time-outs",
        "the proxy cuts an answer that pauses for 3 seconds",
        "nginx: proxy_read_timeout 3600s;",
    ),
    "something answers for verify": (
        {"location / {": 'location /auth/verify { return 200 "signed in"; } location / {'},
        {},
        "verify",
        "/auth/verify (200), /auth/verify/nginx (200)",
        "nginx: location /auth/ { proxy_pass http://127.0.0.1:",
    ),
    "the forward-auth listener is reachable": (
        {"location / {": f"location /auth/verify {{ proxy_pass http://VERIFY; {SHOWN} }} location / {{"},
        {},
        "verify",
        "/auth/verify (401), /auth/verify/nginx (401), /auth/verify/traefik (403)",
        "pass /auth/ to server.bind",
    ),
}


@pytest.mark.parametrize(("edits", "server", "part", "says", "line"), CASES.values(), ids=CASES)
def test_a_fault_of_the_proxy_is_named_with_the_line_that_repairs_it(
    edits: Edits, server: dict[str, Any], part: str, says: str, line: str, authority: Authority, tmp_path: Path
) -> None:
    with proxied_door(tmp_path, authority, edits=edits, server=server) as door:
        report = door.look(quiet_seconds=3 if part == "time-outs" else 0)
    found = faults(report)
    named = [finding for finding in found if finding.part == part]
    assert len(named) == 1, found
    assert says in named[0].message
    assert line in named[0].message
    assert "\n" not in named[0].message
    assert found == named, "one fault, one line"


def test_http_1_0_is_named_beside_what_it_breaks(authority: Authority, tmp_path: Path) -> None:
    with proxied_door(tmp_path, authority, edits={"proxy_http_version 1.1;": "proxy_http_version 1.0;"}) as door:
        found = {finding.part: finding.message for finding in faults(door.look())}
    assert "the proxy speaks HTTP/1.0 to the door; nginx: proxy_http_version 1.1;" in found["http"]


def test_a_certificate_that_does_not_hold_ends_the_look(
    authority: Authority, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = make_authority(tmp_path_factory.mktemp("other"))
    with proxied_door(tmp_path, authority) as door:
        (finding,) = door.look(ca_file=other.ca_file).findings
    assert (finding.level, finding.part) == ("fault", "address")
    assert "its certificate is not accepted: unable to get local issuer certificate" in finding.message


def test_a_proxy_without_a_door_behind_it_is_named(authority: Authority, tmp_path: Path) -> None:
    edits = {"proxy_pass": "set $nowhere 127.0.0.1:9; proxy_pass http://$nowhere; #"}
    with proxied_door(tmp_path, authority, edits=edits) as door:
        report = door.look()
    assert report.findings[0].message.startswith("502: the proxy does not reach the front door")
    assert {finding.part for finding in report.findings} == {"address", "redirect", "verify"}


def test_a_door_with_other_keys_is_named(authority: Authority, tmp_path: Path) -> None:
    with proxied_door(tmp_path, authority) as door:
        secrets = door.settings.secrets.model_copy(
            update={"keys": (type(door.settings.secrets.admin_token)("x" * 43),)}
        )
        stranger = type(door)(
            door.settings.model_copy(update={"secrets": secrets}), door.url, door.http_port, door.ca_file
        )
        report = stranger.look()
    assert "404: what answers there has other secrets.keys" in report.findings[0].message
    assert not report.is_healthy()


def test_a_cache_that_keeps_answers_is_named(authority: Authority, tmp_path: Path) -> None:
    zone = f"proxy_cache_path {tmp_path}/cache keys_zone=all:1m; map $http_upgrade $connection_upgrade {{"
    caching = (
        "proxy_buffering on; proxy_cache all; proxy_cache_valid any 10s; "
        "proxy_ignore_headers Cache-Control Set-Cookie Vary;"
    )
    edits = {"map $http_upgrade $connection_upgrade {": zone, "proxy_buffering off;": caching}
    with proxied_door(tmp_path, authority, edits=edits) as door:
        found = {finding.part: finding.message for finding in faults(door.look())}
    assert "an old answer came back: a cache keeps what says no-store; nginx: remove proxy_cache" in found["cache"]


def test_a_name_that_the_proxy_is_to_set_and_does_not_is_named(authority: Authority, tmp_path: Path) -> None:
    route = {"forward_headers": ["accept", "X-Grafana-User"]}
    with proxied_door(tmp_path, authority, route=route) as door:
        (finding,) = faults(door.look())
    assert (finding.level, finding.part) == ("fault", "identity")
    assert "names that a client invents reach an application (route api: x-grafana-user)" in finding.message
    assert 'nginx: proxy_set_header x-grafana-user "";' in finding.message


def test_a_name_that_the_proxy_sets_itself_is_no_fault(authority: Authority, tmp_path: Path) -> None:
    edits = {"proxy_buffering off;": 'proxy_buffering off; proxy_set_header X-Grafana-User "";'}
    route = {"forward_headers": ["accept", "X-Grafana-User"]}
    with proxied_door(tmp_path, authority, edits=edits, route=route) as door:
        assert faults(door.look()) == []
