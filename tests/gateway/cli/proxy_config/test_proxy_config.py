"""`vestibule proxy-config`: the same lines as the files of `deploy/`, with the operator's own values in them."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from bff.settings.tables import ForwardAuthMode, Settings
from gateway.cli.key_files import new_key
from gateway.cli.main import app
from gateway.cli.proxy_config.plan import build_plan
from gateway.cli.proxy_config.writing import PROXIES, Use, write_config
from gateway.faults import UsageFault
from tests import components
from tests.proxies.envoy import find_envoy
from tests.proxies.envoy_stand_in import EnvoyStandIn
from tests.proxies.stand_in import Request
from tests.proxies.traefik_stand_in import TraefikStandIn
from tests.repository import ROOT
from tests.security.certificates import make_authority

USES: tuple[Use, ...] = ("front", "forward-auth")
FILES = {"nginx": "conf", "caddy": "Caddyfile", "haproxy": "cfg", "traefik": "yaml", "envoy": "yaml"}
API = {"id": "api", "path": "/api", "upstream": "http://127.0.0.1:9001"}
WEB = {"id": "web", "path": "/", "kind": "page", "upstream": "http://127.0.0.1:8080"}
SERVER = {"public_url": "https://apps.example.com", "trusted_proxies": ["127.0.0.1/32"]}
KIT = {"pages": {"secret": "k" * 40, "routes": ["api"]}}
CASES: dict[str, dict[str, Any]] = {
    "as deployed": {},
    "several hosts": {"server": {"origins": ["https://b.example.com", "https://c.example.com:8443"]}},
    "a route of one host": {
        "server": {"origins": ["https://b.example.com"]},
        "routes": [API, WEB, {**WEB, "id": "other", "host": "b.example.com", "upstream": "http://app.internal:8081"}],
    },
    "other presets and claims": {
        "routes": [
            {**API, "identity_headers": "remote", "claim_headers": {"X-Team": "team"}},
            {
                **WEB,
                "identity_headers": "x-forwarded",
                "token": "assertion",
                "assertion_header": "X-Token",
                "audience": "a",
            },
        ]
    },
    "no identity": {"routes": [{**WEB, "identity_headers": "none"}]},
    "plain http": {"server": {"public_url": "http://localhost:8000", "environment": "development"}},
    "a path of its own": {"server": {"public_url": "https://apps.example.com/tools", "auth_path": "/sign-in"}},
    "another port": {"server": {"public_url": "https://apps.example.com:8443", "bind": "0.0.0.0:8100"}},
    "a secret": {"server": {"trusted_proxy_secret": "s" * 40}},
    "names of oauth2-proxy": {"compat": {"oauth2_proxy": True}},
    "one exact path": {"routes": [{**API, "path": "/only", "exact": True}, WEB]},
    "without upstreams": {"routes": [{"id": "vestibule", "path": "/v"}, {"id": "web", "path": "/", "kind": "page"}]},
    "long answers": {"forward_auth": {"head_bytes": 16_000, "bind": "10.0.0.1:9000"}},
}


def config_of(proxy: ForwardAuthMode, use: Use, case: Mapping[str, Any], *, route: str = "") -> str:
    tables = {"routes": [API, WEB], **case}
    tables["server"] = {**SERVER, **case.get("server", {})}
    return write_config(proxy, use, build_plan(Settings(**tables), route_id=route))


def body_of(text: str) -> str:
    """Everything behind the comments at the top."""
    lines = text.splitlines(keepends=True)
    start = next(number for number, line in enumerate(lines) if not line.startswith("#"))
    return "".join(lines[start:])


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("proxy", PROXIES)
def test_the_text_is_that_of_the_deployed_file(proxy: ForwardAuthMode, use: Use) -> None:
    name = "gateway" if use == "front" else use
    deployed = (ROOT / "deploy" / proxy / f"{name}.{FILES[proxy]}").read_text(encoding="utf-8")
    assert body_of(config_of(proxy, use, {})) == body_of(deployed)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_authority(tmp_path_factory.mktemp("authority")).issue("apps.example.com")


def placed(text: str, certificate: tuple[Path, Path], folder: Path) -> str:
    """The text with a certificate that is there. HAProxy wants it in one file with its key."""
    both = folder / "both.pem"
    both.write_bytes(certificate[0].read_bytes() + certificate[1].read_bytes())
    text = re.sub(r"(ssl crt )/etc/ssl/[^ ]+\.pem", rf"\g<1>{both}", text)
    text = re.sub(r"/etc/ssl/[^ ;}]+\.pem", str(certificate[0]), text)
    text = re.sub(r"/etc/ssl/[^ ;}]+\.key", str(certificate[1]), text)
    return text.replace("/etc/haproxy/", f"{ROOT}/deploy/haproxy/")


def check(command: list[str | Path], folder: Path) -> None:
    own = {"XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, cwd=folder, env={**os.environ, **own}
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.component("nginx")
@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("case", CASES)
def test_nginx_accepts_it(case: str, use: Use, certificate: tuple[Path, Path], tmp_path: Path) -> None:
    text = placed(config_of("nginx", use, CASES[case]), certificate, tmp_path).replace("app.internal", "127.0.0.1")
    (tmp_path / "site.conf").write_text(text, encoding="utf-8")
    (tmp_path / "nginx.conf").write_text(
        f"pid {tmp_path}/pid; error_log stderr; events {{}} http {{ access_log off; include site.conf; }}"
    )
    check([components.require("nginx"), "-t", "-p", tmp_path, "-c", tmp_path / "nginx.conf"], tmp_path)


@pytest.mark.component("caddy")
@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("case", CASES)
def test_caddy_accepts_it(case: str, use: Use, certificate: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "Caddyfile").write_text(placed(config_of("caddy", use, CASES[case]), certificate, tmp_path))
    program = components.require("caddy")
    check([program, "validate", "--adapter", "caddyfile", "--config", tmp_path / "Caddyfile"], tmp_path)


@pytest.mark.component("haproxy")
@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("case", CASES)
def test_haproxy_accepts_it(case: str, use: Use, certificate: tuple[Path, Path], tmp_path: Path) -> None:
    text = placed(config_of("haproxy", use, CASES[case]), certificate, tmp_path).replace("app.internal", "127.0.0.1")
    (tmp_path / "haproxy.cfg").write_text(text, encoding="utf-8")
    check([components.require("haproxy"), "-c", "-f", tmp_path / "haproxy.cfg"], tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("case", CASES)
def test_envoy_accepts_it(case: str, use: Use, certificate: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "envoy.yaml").write_text(placed(config_of("envoy", use, CASES[case]), certificate, tmp_path))
    check([find_envoy(), "--mode", "validate", "-c", tmp_path / "envoy.yaml"], tmp_path)


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("case", CASES)
def test_the_stand_ins_of_envoy_and_traefik_can_follow_it(case: str, use: Use) -> None:
    home = Request("GET", "/tools" if case == "a path of its own" else "/", (("host", "apps.example.com"),))
    if case == "plain http":
        home = Request("GET", "/", (("host", "localhost:8000"),))
    for product, proxy in ((EnvoyStandIn, "envoy"), (TraefikStandIn, "traefik")):
        text = config_of("envoy" if proxy == "envoy" else "traefik", use, CASES[case])
        assert isinstance(yaml.safe_load(text), dict)
        assert product(text).place_of(home) in ((8080, True), (9002, True), (8000, False), (8100, False))


@pytest.mark.parametrize("proxy", PROXIES)
def test_headers_are_those_that_the_routes_answer_with(proxy: ForwardAuthMode) -> None:
    text = config_of(proxy, "forward-auth", CASES["other presets and claims"]).lower()
    for name in ("remote-user", "remote-groups", "x-forwarded-user", "x-auth-request-id", "x-team", "x-token"):
        assert name in text


@pytest.mark.parametrize("proxy", PROXIES)
def test_one_route_alone(proxy: ForwardAuthMode) -> None:
    text = config_of(proxy, "forward-auth", CASES["other presets and claims"], route="api")
    assert "9001" in text
    assert "8080" not in text
    assert "X-Token" not in text


def test_a_header_that_no_route_is_told_is_removed_by_nginx() -> None:
    text = config_of("nginx", "forward-auth", CASES["no identity"])
    assert re.search(r'proxy_set_header X-Auth-Request-User +"";', text)
    assert re.search(r'proxy_set_header Remote-User +"";', text)


def test_an_unknown_route_is_a_fault() -> None:
    with pytest.raises(UsageFault, match="there is no route nothing"):
        config_of("nginx", "forward-auth", {}, route="nothing")


def test_a_path_that_means_something_in_a_proxys_file_is_a_fault() -> None:
    with pytest.raises(UsageFault, match="has signs that mean something"):
        config_of("nginx", "forward-auth", {"routes": [{**WEB, "path": "/a;b"}]})


@pytest.mark.parametrize(("host", "port"), [("apps.example.com", 8080), ("b.example.com", 8081)])
def test_a_route_of_one_host_comes_before_a_route_of_all_hosts(host: str, port: int) -> None:
    case, home = CASES["a route of one host"], Request("GET", "/x", (("host", host),))
    assert EnvoyStandIn(config_of("envoy", "forward-auth", case)).place_of(home) == (port, True)
    assert TraefikStandIn(config_of("traefik", "forward-auth", case)).place_of(home) == (port, True)


TOML = """
[server]
public_url = "https://apps.example.com"
trusted_proxies = ["127.0.0.1/32"]
[secrets]
keys = ["{key}"]
[providers.corp]
issuer = "https://id.example.com"
client_id = "vestibule"
client_secret = "not-a-real-one-but-long-enough"
[forward_auth]
modes = ["nginx"]
[[routes]]
id = "web"
path = "/"
kind = "page"
"""


def test_the_command_prints_the_file_and_says_aside_what_is_left_to_do(tmp_path: Path) -> None:
    file = tmp_path / "vestibule.toml"
    file.write_text(TOML.format(key=new_key()), encoding="utf-8")
    file.chmod(0o600)
    asked = ["proxy-config", "traefik", "--mode", "forward-auth", "--config", str(file)]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 0, done.output
    assert isinstance(yaml.safe_load(done.stdout), dict)
    assert 'add "traefik" to forward_auth.modes' in done.stderr
    assert "route web: write the address of its application" in done.stderr
