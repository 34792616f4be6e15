"""The old configuration is found in files of every kind that oauth2-proxy is started with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from gateway.cli.migrate.sources import Reading, read_sources
from gateway.faults import UsageFault
from tests.gateway.cli.migrate.old_configurations import SECRET

EXPECTED = {
    "client_id": "front",
    "client_secret": SECRET,
    "cookie_secure": "false",
    "email_domains": "a.example,b.example",
}
COMMAND = f"""#!/bin/sh
exec oauth2-proxy \\
  --client-id=front --client-secret "{SECRET}" \\
  --cookie-secure=false \\
  --email-domain a.example --email-domain=b.example
"""
ONE_PER_LINE = f"""--client-id=front
# a comment
--client-secret={SECRET}
--cookie-secure=false
--email-domain=a.example,b.example
"""
DOCKER = (
    f"docker run -p 4180:4180 -e OAUTH2_PROXY_CLIENT_SECRET={SECRET} --env=OAUTH2_PROXY_COOKIE_SECURE=false "
    "quay.io/oauth2-proxy/oauth2-proxy:v7.15.6 --client-id front --email-domain=a.example,b.example"
)
SHELL = {
    "image": "quay.io/oauth2-proxy/oauth2-proxy",
    "command": ["sh", "-c", "exec oauth2-proxy --client-id=front --email-domain=a.example,b.example"],
    "environment": {"OAUTH2_PROXY_CLIENT_SECRET": SECRET, "OAUTH2_PROXY_COOKIE_SECURE": "false"},
}
UNIT = """[Unit]
Description=oauth2-proxy

[Service]
Environment="OAUTH2_PROXY_CLIENT_ID=front" DOMAIN=b.example
EnvironmentFile=-more.env
ExecStart=/usr/local/bin/oauth2-proxy --cookie-secure=false \\
    --email-domain=a.example --email-domain=${DOMAIN}
"""
COMPOSE = f"""
services:
  app: {{ image: app }}
  door:
    image: quay.io/oauth2-proxy/oauth2-proxy:latest
    command:
      - --client-id=front
      - --email-domain
      - a.example,b.example
    environment:
      OAUTH2_PROXY_CLIENT_SECRET: {SECRET}
      OAUTH2_PROXY_COOKIE_SECURE: false
"""
COMPOSE_LISTS = f"""
services:
  door:
    image: bitnami/oauth2-proxy:7
    command: --client-id=front --email-domain=a.example --email-domain=b.example
    environment:
      - OAUTH2_PROXY_CLIENT_SECRET={SECRET}
      - OAUTH2_PROXY_COOKIE_SECURE=false
"""
MANIFEST = f"""
apiVersion: v1
kind: Service
---
apiVersion: apps/v1
kind: Deployment
spec:
  template:
    spec:
      containers:
        - name: app
          image: app:1
          args: [--client-id=other]
        - name: oauth2-proxy
          image: quay.io/oauth2-proxy/oauth2-proxy:v7.15.6
          args: [--client-id=front, --cookie-secure=false, "--email-domain=a.example,b.example"]
          env:
            - {{ name: OAUTH2_PROXY_CLIENT_SECRET, value: {SECRET} }}
"""
TOML = f"""client_id = "front"
client_secret = "{SECRET}"
cookie_secure = false
email_domains = ["a.example", "b.example"]
"""
VARIABLES = (
    f"# oauth2-proxy\nexport OAUTH2_PROXY_CLIENT_ID=front\nOAUTH2_PROXY_CLIENT_SECRET='{SECRET}'\n"
    'OAUTH2_PROXY_COOKIE_SECURE="false"\nOAUTH2_PROXY_EMAIL_DOMAINS=a.example,b.example\nPATH=/bin\n'
)
WITH_MAP = f"""
apiVersion: v1
kind: ConfigMap
metadata: {{ name: door }}
data:
  oauth2-proxy.cfg: |
    client_id = "front"
    cookie_secure = false
  OAUTH2_PROXY_EMAIL_DOMAINS: a.example,b.example
---
apiVersion: v1
kind: Pod
spec:
  containers:
    - name: door
      image: quay.io/oauth2-proxy/oauth2-proxy:v7.15.6
      args: [--config=/etc/oauth2-proxy/oauth2-proxy.cfg, "--client-secret=$(SECRET)"]
      env: [{{ name: SECRET, value: {SECRET} }}]
      envFrom: [configMapRef: {{ name: door }}]
"""
KINDS = {
    "a script with a command": ("start.sh", COMMAND),
    "flags, one per line": ("flags.txt", ONE_PER_LINE),
    "docker run": ("run.sh", DOCKER),
    "docker run with a name": ("run.txt", DOCKER.replace("docker run", "docker run --name oauth2-proxy")),
    "a shell in a container": ("compose.json", json.dumps({"services": {"door": SHELL}})),
    "a unit of systemd": ("oauth2-proxy.service", UNIT),
    "a compose file": ("compose.yaml", COMPOSE),
    "a compose file with lists": ("docker-compose.yml", COMPOSE_LISTS),
    "a manifest of Kubernetes": ("deployment.yaml", MANIFEST),
    "a piece of a manifest": (
        "part.yaml",
        f"args: [--client-id=front, --client-secret={SECRET}, --cookie-secure=false,"
        " '--email-domain=a.example,b.example']",
    ),
    "a manifest with its ConfigMap": ("all.yaml", WITH_MAP),
    "a configuration file": ("oauth2-proxy.cfg", TOML),
    "a file of variables": ("door.env", VARIABLES),
}


def read(*files: Path, environ: Mapping[str, str] | None = None) -> Reading:
    return read_sources(files, environ=environ or {}, with_environ=environ is not None)


def values(reading: Reading) -> dict[str, str]:
    shown: dict[str, str] = {}
    for name, given in reading.given.items():
        shown[name] = ",".join(given.items) if given.option.kind == "list" else given.text
    return shown


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_options_are_found_in_each_kind_of_file(kind: str, tmp_path: Path) -> None:
    name, text = KINDS[kind]
    (tmp_path / "more.env").write_text(f"OAUTH2_PROXY_CLIENT_SECRET={SECRET}\n")
    (tmp_path / name).write_text(text)
    reading = read(tmp_path / name)
    assert values(reading) == EXPECTED
    assert not reading.unknown


def test_a_flag_counts_more_than_a_variable_and_that_more_than_a_file(tmp_path: Path) -> None:
    (tmp_path / "old.cfg").write_text('client_id = "file"\nscope = "file"\nprompt = "file"\n')
    (tmp_path / "start.sh").write_text("oauth2-proxy --config=/etc/oauth2-proxy/old.cfg --client-id=flag\n")
    variables = {"OAUTH2_PROXY_CLIENT_ID": "variable", "OAUTH2_PROXY_SCOPE": "variable"}
    reading = read(tmp_path / "start.sh", environ=variables)
    assert values(reading) == {"client_id": "flag", "scope": "variable", "prompt": "file"}
    assert reading.of_the_command == ("config",)


def test_a_list_of_a_flag_replaces_the_list_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "old.cfg").write_text('email_domains = ["file.example"]\n')
    (tmp_path / "start.sh").write_text(
        "oauth2-proxy --config old.cfg --email-domain=a.example --email-domain=b.example"
    )
    assert values(read(tmp_path / "start.sh")) == {"email_domains": "a.example,b.example"}


def test_switches_need_no_value_and_other_flags_take_the_next_word(tmp_path: Path) -> None:
    (tmp_path / "start.sh").write_text("oauth2-proxy --reverse-proxy --client-id front -scope openid --force-https=0")
    found = values(read(tmp_path / "start.sh"))
    assert found == {"reverse_proxy": "true", "client_id": "front", "scope": "openid", "force_https": "0"}


@pytest.mark.parametrize(
    ("name", "text", "unknown", "hint"),
    [
        ("old.cfg", 'email_domain = "x"', "email_domain", "email_domains"),
        ("old.cfg", 'client_ids = "x"', "client_ids", "no option"),
        ("start.sh", "oauth2-proxy --email-domains=x", "--email-domains", "--email-domain"),
        ("start.sh", "oauth2-proxy --frobnicate secret --client-id=x", "--frobnicate", "no option"),
        ("start.sh", "oauth2-proxy --cookie-secure false --client-id=x", "word 2 of the command line", "no flag"),
        ("door.env", "OAUTH2_PROXY_EMAIL_DOMAIN=x", "OAUTH2_PROXY_EMAIL_DOMAIN", "email_domains"),
        ("door.env", "OAUTH2_PROXY_FROBNICATE=x", "OAUTH2_PROXY_FROBNICATE", "no option"),
        ("alpha.yaml", "providers: [{ clientID: x, frobnicate: y }]", "providers[0].frobnicate", "no field"),
        ("alpha.yaml", "server: { port: 1 }", "server.port", "no field"),
        ("alpha.yaml", "providers: [{ clientID: x }, { clientID: y }]", "providers[1]", "no field"),
        ("alpha.yaml", "providers: []\nfrobnicate: 1", "frobnicate", "no field"),
    ],
)
def test_a_name_that_no_option_has_is_named_with_a_hint(
    name: str, text: str, unknown: str, hint: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(text)
    found = read(tmp_path / name).unknown
    assert list(found) == [unknown]
    assert hint in found[unknown]


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("old.cfg", "client_id = ", "neither TOML"),
        ("compose.yaml", "services: { app: { image: app } }", "runs oauth2-proxy"),
        (
            "compose.yaml",
            "services: { one: { image: oauth2-proxy }, two: { image: oauth2-proxy } }",
            r"2 times \(one, two\)",
        ),
        ("alpha.yaml", f"providers: [{{ clientSecret: {SECRET}", "line 1, column"),
        ("old.cfg", f'client_secret = "{SECRET}', "neither TOML"),
        ("start.sh", "oauth2-proxy --config=missing.cfg", "--config names"),
        ("start.sh", "oauth2-proxy --client-id", "--client-id has no value"),
        ("start.sh", "oauth2-proxy --client-id='", "cannot be read"),
        ("a.service", "[Service]\nType=simple", "no ExecStart"),
        (
            "pod.yaml",
            "containers: [{ image: oauth2-proxy, args: [--client-id=x], envFrom: [secretRef: { name: far }] }]",
            "takes variables from far",
        ),
        ("a.service", "[Service]\nEnvironmentFile=gone.env\nExecStart=oauth2-proxy", "gone.env is not there"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_and_no_secret_is_shown(
    name: str, text: str, why: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageFault, match=why) as refused:
        read(tmp_path / name)
    assert SECRET not in str(refused.value.message)


def test_variables_of_the_alpha_configuration_are_filled_in(tmp_path: Path) -> None:
    (tmp_path / "alpha.yaml").write_text("providers:\n  - clientID: ${ID:-front}\n    clientSecret: ${SECRET}\n")
    found = values(read(tmp_path / "alpha.yaml", environ={"SECRET": SECRET}))
    assert found == {"client_id": "front", "client_secret": SECRET}


def test_names_of_older_releases_are_read(tmp_path: Path) -> None:
    (tmp_path / "start.sh").write_text("oauth2-proxy --tls-cert=a.pem --gitlab-projects=x --skip-auth-regex='^/x$'")
    assert set(values(read(tmp_path / "start.sh"))) == {"tls_cert_file", "gitlab_projects", "skip_auth_regex"}
    (tmp_path / "old.cfg").write_text('cookie_domain = ".example.com"\ngoogle_group = ["x"]\nkeycloak_group = "y"\n')
    assert set(values(read(tmp_path / "old.cfg"))) == {"cookie_domains", "google_groups", "keycloak_groups"}


@pytest.mark.parametrize(
    ("name", "text", "missing"),
    [
        ("a.yaml", "{ image: oauth2-proxy, env: [{ name: OAUTH2_PROXY_SCOPE, valueFrom: {} }] }", "scope"),
        ("a.yaml", "services: { a: { image: oauth2-proxy, environment: [OAUTH2_PROXY_SCOPE] } }", "scope"),
        ("a.yaml", "services: { a: { image: oauth2-proxy, environment: { OAUTH2_PROXY_SCOPE: } } }", "scope"),
        ("a.yaml", "{ image: oauth2-proxy, args: ['--scope=$(MORE)'] }", "scope"),
        ("a.sh", "docker run -e OAUTH2_PROXY_SCOPE oauth2-proxy --client-id=x", "scope"),
        ("a.sh", 'oauth2-proxy --scope="openid $MORE"', "scope"),
        ("a.yaml", "providers: [{ scope: '${MORE}' }]", "scope"),
        ("a.yaml", "injectRequestHeaders: [{ name: '${MORE}' }]", "injectRequestHeaders[0]"),
    ],
)
def test_a_value_that_is_elsewhere_counts_as_missing_and_not_as_empty(
    name: str, text: str, missing: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(text)
    assert set(read(tmp_path / name).missing) == {missing}
    there = {"OAUTH2_PROXY_SCOPE": "openid", "MORE": "email"}
    assert not read(tmp_path / name, environ=there).missing


def test_a_dollar_sign_in_a_configuration_file_is_no_variable(tmp_path: Path) -> None:
    (tmp_path / "old.cfg").write_text('skip_auth_routes = ["^/a$", "^/$HOME"]\n')
    assert not read(tmp_path / "old.cfg").missing


def test_a_doubled_dollar_sign_in_yaml_is_one(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("services: { a: { image: oauth2-proxy, command: ['--skip-auth-route=^/a$$'] } }")
    assert values(read(tmp_path / "a.yaml")) == {"skip_auth_routes": "^/a$"}


def test_line_ends_and_the_mark_of_windows_do_not_matter(tmp_path: Path) -> None:
    (tmp_path / "old.cfg").write_bytes(b'\xef\xbb\xbfclient_id = "front"\r\nscope = "openid"\r\n')
    assert values(read(tmp_path / "old.cfg")) == {"client_id": "front", "scope": "openid"}
    (tmp_path / "a.sh").write_bytes(b"oauth2-proxy \\\r\n  --client-id=front \\\r\n  --scope=openid\r\n")
    assert values(read(tmp_path / "a.sh")) == {"client_id": "front", "scope": "openid"}


@pytest.mark.parametrize(
    "text",
    [
        'scope = "openid - email"\n',
        'custom_templates_dir = "/etc/oauth2-proxy"\n',
        '# oauth2-proxy --scope=x\nscope = "-"\n',
    ],
    ids=["a dash in a value", "the program's name in a value", "a command in a comment"],
)
def test_a_configuration_file_is_not_taken_for_a_command(text: str, tmp_path: Path) -> None:
    (tmp_path / "old").write_text(text)
    assert len(read(tmp_path / "old").given) == 1
    assert not read(tmp_path / "old").unknown
