"""`vestibule doctor` has one line for everything that would break a sign-in, and says exactly what to register."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from bff.settings.loading import parse_settings
from bff.settings.rules import Fault
from bff.settings.tables import CompatSettings, OutgoingSettings, Settings
from gateway.cli.doctor.checks import Finding, Report, examine
from tests.bff.stores.redis_servers import start_server
from tests.fakes import FakeProvider, RecordingUpstream
from tests.gateway.commands import vestibule, vestibule_process
from tests.ports import free_port as port_for_a_program
from tests.security.certificates import make_authority


@pytest.fixture
def upstream() -> Iterator[RecordingUpstream]:
    with RecordingUpstream() as started:
        yield started


def settings_for(issuer: str, *, upstream: str = "", server: Any = None, **provider: Any) -> Settings:
    return parse_settings(tables_for(issuer, upstream=upstream, server=server, **provider))


def tables_for(issuer: str, *, upstream: str = "", server: Any = None, **provider: Any) -> dict[str, Any]:
    route = {"id": "api", "path": "/api/", "upstream": upstream or "http://127.0.0.1:9", "kind": "api"}
    return {
        "server": {"public_url": "http://localhost:8000", "environment": "development"} | (server or {}),
        "secrets": {"keys": [secrets.token_urlsafe(32)], "admin_token": secrets.token_urlsafe(32)},
        "providers": {"corp": {"issuer": issuer, "client_id": "vestibule", "client_secret": "x" * 16} | provider},
        "routes": [route] if upstream else [],
    }


def found(report: Report, level: str) -> list[Finding]:
    return [finding for finding in report.findings if finding.level == level]


def only_fault(report: Report) -> str:
    [fault] = found(report, "fault")
    assert not report.is_healthy()
    return f"{fault.part}: {fault.message}"


async def test_a_correct_configuration_has_no_error(provider: FakeProvider, upstream: RecordingUpstream) -> None:
    report = await examine(settings_for(provider.issuer, upstream=upstream.url))
    assert found(report, "fault") == []
    assert report.is_healthy()
    assert {finding.part for finding in found(report, "ok")} == {"providers.corp", "store.url", "routes.api.upstream"}


async def test_the_doctor_requests_only_discovery_and_keys(provider: FakeProvider) -> None:
    await examine(settings_for(provider.issuer))
    assert sorted(hit.endpoint for hit in provider.hits) == ["discovery", "jwks"]


async def test_the_doctor_prints_the_exact_addresses_to_register_for_every_origin(provider: FakeProvider) -> None:
    server = {"origins": ["http://127.0.0.1:8000"]}
    first, second = (
        await examine(settings_for(provider.issuer, server=server, frontchannel_logout=True))
    ).registrations
    assert first.redirect_uri == "http://localhost:8000/auth/callback/corp"
    assert first.post_logout_redirect_uri == "http://localhost:8000/auth/logged-out"
    assert first.backchannel_logout_uri == "http://localhost:8000/auth/backchannel-logout/corp"
    assert first.frontchannel_logout_uri == "http://localhost:8000/auth/frontchannel-logout/corp"
    assert first.initiate_login_uri == "http://localhost:8000/auth/initiate/corp"
    assert second.redirect_uri == "http://127.0.0.1:8000/auth/callback/corp"


async def test_the_doctor_prints_the_redirect_uri_that_is_registered_for_oauth2_proxy(provider: FakeProvider) -> None:
    settings = settings_for(provider.issuer).model_copy(update={"compat": CompatSettings(oauth2_proxy=True)})
    (only,) = (await examine(settings)).registrations
    assert only.redirect_uri == "http://localhost:8000/oauth2/callback"


async def test_another_issuer_in_the_document_is_shown_next_to_the_configured_one(provider: FakeProvider) -> None:
    provider.bend.discovery.json(lambda document: document | {"issuer": provider.issuer + "/"})
    message = only_fault(await examine(settings_for(provider.issuer)))
    assert message.startswith("providers.corp.issuer: ")
    assert f"configured is {provider.issuer}, but the discovery document states {provider.issuer}/" in message


async def test_text_in_the_discovery_document_cannot_forge_an_output_line(provider: FakeProvider) -> None:
    provider.bend.discovery.json(lambda document: document | {"issuer": "x\nok  everything\x1b[2J" + "y" * 5000})
    message = only_fault(await examine(settings_for(provider.issuer)))
    assert message.isprintable()
    assert len(message) < 500


async def test_a_provider_that_does_not_answer_is_an_error(provider: FakeProvider) -> None:
    provider.stop()
    fault = only_fault(await examine(settings_for(provider.issuer)))
    address = f"{provider.issuer}/.well-known/openid-configuration"
    assert fault.startswith(f"providers.corp.issuer: {address} cannot be reached: connection refused; check issuer")


async def test_the_address_of_the_keys_is_named_when_only_they_do_not_answer(provider: FakeProvider) -> None:
    keys = f"http://127.0.0.1:{port_for_a_program()}/keys"
    provider.bend.discovery.json(lambda document: document | {"jwks_uri": keys})
    assert f": {keys} cannot be reached: connection refused;" in only_fault(
        await examine(settings_for(provider.issuer, allowed_hosts=[urlsplit(keys).netloc]))
    )


async def test_a_host_without_an_address_is_named_with_this_reason() -> None:
    settings = settings_for("https://idp.invalid")
    fault = only_fault(await examine(settings))
    assert re.search(
        r"https://idp\.invalid/\S+ cannot be reached: (?:name or service not known|temporary failure)", fault
    )


async def test_a_certificate_that_is_not_trusted_is_the_reason(tmp_path: Path) -> None:
    with FakeProvider(tls=make_authority(tmp_path).issue("127.0.0.1")) as provider:
        fault = only_fault(await examine(settings_for(provider.issuer)))
    assert "cannot be reached: its certificate is not trusted: unable to get local issuer certificate;" in fault


async def test_a_redis_that_does_not_answer_is_named_with_the_reason_and_without_its_password(
    provider: FakeProvider,
) -> None:
    port = port_for_a_program()
    tables = tables_for(provider.issuer) | {"store": {"url": f"redis://user:canary-password@127.0.0.1:{port}/0"}}
    fault = only_fault(await examine(parse_settings(tables)))
    assert fault.startswith(f"store.url: 127.0.0.1:{port} does not answer: redis out of reach: ConnectionError")
    assert "canary-password" not in fault


async def test_a_provider_that_hangs_is_an_error_after_the_timeout(provider: FakeProvider) -> None:
    with provider.bend.discovery.hold():
        assert "in time" in only_fault(await examine(settings_for(provider.issuer, http_timeout_seconds=0.3)))


async def test_an_endpoint_on_another_host_is_an_error_that_names_the_fix(provider: FakeProvider) -> None:
    provider.bend.discovery.json(lambda document: document | {"token_endpoint": "http://127.0.0.2:9/token"})
    assert "allowed_hosts" in only_fault(await examine(settings_for(provider.issuer)))


async def test_an_empty_key_set_is_an_error(provider: FakeProvider) -> None:
    provider.bend.jwks.json(lambda document: {"keys": []})
    assert "no usable key" in only_fault(await examine(settings_for(provider.issuer)))


async def test_a_key_set_without_a_key_for_the_algorithm_of_userinfo_is_an_error(provider: FakeProvider) -> None:
    report = await examine(settings_for(provider.issuer, userinfo_alg="EdDSA"))
    assert only_fault(report) == "providers.corp.userinfo_alg: the provider publishes no key for EdDSA"


async def test_a_discovery_document_at_another_address_is_reported_with_the_setting(provider: FakeProvider) -> None:
    message = only_fault(await examine(settings_for(provider.issuer + "/tenant")))
    assert f"{provider.issuer}/tenant/.well-known/openid-configuration" in message
    assert "discovery_url" in message


async def test_the_issuer_of_a_discovery_document_at_another_address_is_shown(provider: FakeProvider) -> None:
    discovery_url = f"{provider.issuer}/.well-known/openid-configuration"
    report = await examine(settings_for("https://login.example.com", discovery_url=discovery_url))
    assert f"configured is https://login.example.com, but the discovery document states {provider.issuer};" in (
        only_fault(report)
    )


async def test_a_key_set_without_a_key_for_the_pinned_algorithm_is_an_error(provider: FakeProvider) -> None:
    report = await examine(settings_for(provider.issuer, id_token_alg="EdDSA"))
    assert only_fault(report) == (
        "providers.corp.id_token_alg: pinned is EdDSA, but the provider publishes keys for RS256 alone; if it signs ID "
        'tokens with that, set id_token_alg = "RS256" in [providers.corp]'
    )


@pytest.mark.parametrize(
    ("endpoint", "key", "value", "level"),
    [
        ("userinfo_endpoint", "userinfo", "always", "fault"),
        ("pushed_authorization_request_endpoint", "par", "required", "fault"),
        ("end_session_endpoint", "id_token_hint", True, "warning"),
    ],
)
async def test_a_missing_endpoint_that_the_settings_need_is_named(
    provider: FakeProvider, endpoint: str, key: str, value: Any, level: str
) -> None:
    provider.bend.discovery.json(lambda document: {name: url for name, url in document.items() if name != endpoint})
    report = await examine(settings_for(provider.issuer, **{key: value}))
    assert [part for finding in found(report, level) if (part := finding.part).startswith("providers.corp")]
    assert report.is_healthy() is (level == "warning")


async def test_an_upstream_that_does_not_answer_is_an_error(provider: FakeProvider, free_port: int) -> None:
    url = f"http://127.0.0.1:{free_port}"
    message = only_fault(await examine(settings_for(provider.issuer, upstream=url)))
    assert message.startswith(f"routes.api.upstream: {url} does not answer")


async def test_an_upstream_that_is_not_an_http_server_is_an_error(provider: FakeProvider) -> None:
    with FakeProvider() as other:
        other.bend.discovery.wire(b"SSH-2.0-OpenSSH\r\n")
        url = other.url + "/.well-known/openid-configuration"
        assert "not HTTP" in only_fault(await examine(settings_for(provider.issuer, upstream=url)))


@pytest.mark.parametrize("target", ["streamlit:missing.py", "asgi:no_such_module_here:app"])
async def test_a_missing_app_is_an_error(provider: FakeProvider, target: str, tmp_path: Path) -> None:
    report = await examine(settings_for(provider.issuer, upstream=target), folder=tmp_path)
    assert only_fault(report).startswith("routes.api.upstream: no ")


async def test_an_existing_script_is_not_an_error(provider: FakeProvider, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("")
    report = await examine(settings_for(provider.issuer, upstream="streamlit:app.py"), folder=tmp_path)
    assert report.is_healthy()


async def test_a_missing_certificate_is_an_error(provider: FakeProvider) -> None:
    server = {"tls": {"certificate_file": "/no/such/certificate", "key_file": "/dev/null"}}
    report = await examine(settings_for(provider.issuer, server=server))
    assert "server.tls.certificate_file: no file" in "\n".join(f"{f.part}: {f.message}" for f in found(report, "fault"))


def test_the_command_prints_uris_and_one_line_per_error_and_exits_with_1(
    provider: FakeProvider, tmp_path: Path
) -> None:
    write_configuration(tmp_path, provider.issuer + "/other", upstream="http://127.0.0.1:9")
    done = vestibule_process("doctor", folder=tmp_path)
    assert done.returncode == 1
    assert "http://localhost:8000/auth/callback/corp" in done.stdout
    assert [line.split()[1] for line in done.stdout.splitlines() if line.startswith("fault")] == [
        "providers.corp.issuer:",
        "routes.api.upstream:",
    ]


def test_the_json_output_has_the_same_content(provider: FakeProvider, tmp_path: Path) -> None:
    write_configuration(tmp_path, provider.issuer)
    done = vestibule("doctor", "--json", folder=tmp_path)
    report = json.loads(done.stdout)
    assert done.returncode == 0
    assert report["ok"] is True
    assert report["register"][0]["redirect_uri"] == "http://localhost:8000/auth/callback/corp"
    assert {finding["level"] for finding in report["findings"]} == {"ok", "warning"}


async def test_secret_files_that_others_can_read_give_a_warning(provider: FakeProvider) -> None:
    noticed = [Fault("vestibule.toml", "secrets.keys_file", "everybody may read keys", "chmod 600 keys")]
    report = await examine(settings_for(provider.issuer), warnings=noticed)
    (found,) = [finding for finding in report.findings if finding.part == "secrets.keys_file"]
    assert (found.level, found.message) == ("warning", "everybody may read keys; chmod 600 keys")


def test_with_strict_warnings_are_errors(provider: FakeProvider, tmp_path: Path) -> None:
    write_configuration(tmp_path, provider.issuer)  # without routes, which is a warning
    assert vestibule("doctor", folder=tmp_path).returncode == 0
    assert vestibule("doctor", "--strict", folder=tmp_path).returncode == 1
    assert json.loads(vestibule("doctor", "--strict", "--json", folder=tmp_path).stdout)["ok"] is False


def write_configuration(folder: Path, issuer: str, *, upstream: str = "") -> None:
    lines = [
        *("[server]", 'public_url = "http://localhost:8000"', 'environment = "development"'),
        *("[secrets]", f'keys = ["{secrets.token_urlsafe(32)}"]', f'admin_token = "{secrets.token_urlsafe(32)}"'),
        *("[providers.corp]", f'issuer = "{issuer}"', 'client_id = "x"', 'client_auth = "none"'),
    ]
    if upstream:
        lines += ["[[routes]]", 'id = "api"', 'path = "/api/"', f'upstream = "{upstream}"']
    (folder / "vestibule.toml").write_text("\n".join(lines))


@pytest.mark.parametrize("password", ["", "unit-test-redis-password"], ids=["without a password", "with one"])
async def test_a_redis_without_a_password_is_reported_with_the_fix(
    provider: FakeProvider, component: Callable[[str], Path], tmp_path: Path, password: str
) -> None:
    server = start_server(component("redis-server"), tmp_path, port_for_a_program())
    try:
        with server.client() as client:
            client.config_set("requirepass", password)
        tables = tables_for(provider.issuer)
        tables["store"] = {"url": f"redis://:{password}@127.0.0.1:{server.port}/0"}
        report = await examine(parse_settings(tables))
    finally:
        server.kill()
    messages = [finding.message for finding in report.findings if finding.part == "store.url"]
    assert messages[0] == "redis answers"
    assert [("without a password" in one, "requirepass" in one) for one in messages[1:]] == [(True, True)] * (
        not password
    )
    assert "unit-test-redis-password" not in report.as_text()


@pytest.mark.parametrize(
    ("outgoing", "level", "advice"),
    [({}, "warning", "set [outgoing] proxy_url"), ({"proxy_url": "http://127.0.0.1:1"}, "ok", "settings is used")],
    ids=["no proxy in the settings", "a proxy in the settings"],
)
async def test_proxy_variables_are_named_as_ignored(
    provider: FakeProvider, outgoing: dict[str, str], level: str, advice: str
) -> None:
    environ = {"HTTPS_PROXY": "http://user:secret@proxy", "no_proxy": "x", "PATH": "/bin"}
    settings = settings_for(provider.issuer)
    settings = settings.model_copy(update={"outgoing": OutgoingSettings.model_validate(outgoing)})
    report = await examine(settings, environ=environ)
    (finding,) = [finding for finding in report.findings if finding.part == "outgoing"]
    assert finding.level == level
    assert finding.message.startswith("HTTPS_PROXY, no_proxy of the environment: ignored")
    assert advice in finding.message
    assert "secret" not in finding.message


async def test_no_proxy_variable_is_no_finding(provider: FakeProvider) -> None:
    report = await examine(settings_for(provider.issuer), environ={"PATH": "/bin"})
    assert [finding for finding in report.findings if finding.part == "outgoing"] == []
