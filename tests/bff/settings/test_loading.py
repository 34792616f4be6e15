"""Reading the configuration: precedence, secrets in files, and all errors at once without a traceback."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from bff.settings.loading import ConfigurationError, Fault, load_settings, parse_settings
from bff.settings.tables import ProviderSettings, Settings
from tests.bff.factories import CLIENT_ID, ISSUER, KEY, OLD_KEY

TOML = f"""
[server]
public_url = "https://apps.example.com"
bind = "127.0.0.1:8001"

[secrets]
keys_file = "keys"

[providers.corp]
issuer = "{ISSUER}"
client_id = "{CLIENT_ID}"
client_secret_file = "secrets/oidc"

[[routes]]
id = "api"
path = "/api/"
upstream = "http://127.0.0.1:9001"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "keys").write_bytes(KEY + b"\n\n  " + OLD_KEY + b"  \n")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "oidc").write_text("unit-test-secret\n")
    for secret in ("keys", "secrets/oidc"):
        (tmp_path / secret).chmod(0o600)
    path = tmp_path / "vestibule.toml"
    path.write_text(TOML)
    return path


def faults(file: Path | None, environ: dict[str, str] | None = None, **overrides: Any) -> dict[str, Fault]:
    with pytest.raises(ConfigurationError) as error:
        load_settings(file, environ=environ or {}, overrides=overrides)
    return {fault.key: fault for fault in error.value.faults}


class TestPrecedence:
    def test_the_file_overrides_the_defaults(self, file: Path) -> None:
        settings = load_settings(file, environ={})
        assert (settings.server.bind, settings.server.workers) == ("127.0.0.1:8001", 1)

    def test_the_environment_overrides_the_file_key_by_key(self, file: Path) -> None:
        settings = load_settings(file, environ={"VESTIBULE_SERVER__BIND": "127.0.0.1:8002", "OTHER": "x"})
        assert settings.server.bind == "127.0.0.1:8002"
        assert settings.server.public_url == "https://apps.example.com"

    def test_the_command_line_overrides_the_environment(self, file: Path) -> None:
        environ = {"VESTIBULE_SERVER__BIND": "127.0.0.1:8002"}
        settings = load_settings(file, environ=environ, overrides={"server": {"bind": "127.0.0.1:8003"}})
        assert settings.server.bind == "127.0.0.1:8003"

    def test_the_environment_can_set_nested_tables_and_lists(self, file: Path) -> None:
        environ = {
            "VESTIBULE_PROVIDERS__CORP__DISPLAY_NAME": "Corporate",
            "VESTIBULE_SERVER__TRUSTED_PROXIES": '["10.0.0.0/8"]',
            "vestibule_log__level": "debug",
        }
        settings = load_settings(file, environ=environ)
        assert settings.providers["corp"].display_name == "Corporate"
        assert [str(network) for network in settings.server.trusted_proxies] == ["10.0.0.0/8"]
        assert settings.log.level == "debug"

    def test_a_secret_in_a_stronger_source_replaces_the_secret_file_of_a_weaker_one(
        self, file: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "other").write_text("another-unit-test-secret")
        (tmp_path / "other").chmod(0o600)
        plain = load_settings(file, environ={"VESTIBULE_PROVIDERS__CORP__CLIENT_SECRET": "secret-of-environ"})
        assert plain.providers["corp"].client_secret.get_secret_value() == "secret-of-environ"
        by_file = load_settings(
            file,
            environ={"VESTIBULE_PROVIDERS__CORP__CLIENT_SECRET": "secret-of-environ"},
            overrides={"providers": {"corp": {"client_secret_file": "other"}}},
        )
        assert by_file.providers["corp"].client_secret.get_secret_value() == "another-unit-test-secret"

    def test_the_process_environment_is_read_only_when_it_is_passed_in(
        self, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("VESTIBULE_SERVER__BIND", "127.0.0.1:9999")
        assert load_settings(file, environ={}).server.bind == "127.0.0.1:8001"


class TestSecretsInFiles:
    def test_a_key_file_has_one_key_per_line_newest_first_and_blank_lines_are_ignored(self, file: Path) -> None:
        keys = [key.get_secret_value().encode() for key in load_settings(file, environ={}).secrets.keys]
        assert keys == [KEY, OLD_KEY]

    def test_a_relative_path_starts_at_the_folder_of_the_configuration(self, file: Path) -> None:
        assert load_settings(file, environ={}).providers["corp"].client_secret.get_secret_value() == "unit-test-secret"

    def test_an_absolute_path_is_used_unchanged(self, file: Path, tmp_path: Path) -> None:
        (tmp_path / "abs").write_text("absolute-unit-test-secret")
        (tmp_path / "abs").chmod(0o600)
        settings = load_settings(file, environ={"VESTIBULE_PROVIDERS__CORP__CLIENT_SECRET_FILE": str(tmp_path / "abs")})
        assert settings.providers["corp"].client_secret.get_secret_value() == "absolute-unit-test-secret"

    def test_a_secret_file_that_cannot_be_read_is_named(self, file: Path) -> None:
        (file.parent / "keys").unlink()
        (file.parent / "secrets" / "oidc").write_bytes(b"\xff\xfe")
        found = faults(file)
        assert found["secrets.keys_file"].message == "no file keys"
        assert "vestibule keys new" in found["secrets.keys_file"].fix
        assert found["providers.corp.client_secret_file"].message == "secrets/oidc cannot be read: UnicodeDecodeError"
        assert len(found) == 2, "a secret that could not be read is not missed a second time"

    def test_the_error_for_an_empty_secret_file_says_what_it_must_contain(self, file: Path) -> None:
        (file.parent / "secrets" / "oidc").write_text("\n")
        (fault,) = faults(file).values()
        assert (fault.key, fault.message) == ("providers.corp.client_secret_file", "secrets/oidc is empty")
        assert "the provider issued" in fault.fix

    def test_a_secret_file_that_others_can_read_gives_one_error_and_not_a_missing_secret_too(self, file: Path) -> None:
        (file.parent / "secrets" / "oidc").chmod(0o644)
        (fault,) = faults(file).values()
        assert fault.key == "providers.corp.client_secret_file"
        assert fault.fix == f"chmod 600 {file.parent / 'secrets' / 'oidc'}"

    def test_relative_paths_of_certificates_and_pythons_start_at_the_folder_of_the_file_too(self, file: Path) -> None:
        streamlit = '[[routes]]\nid = "page"\nupstream = "streamlit:app.py"\nstreamlit = {python = "env/bin/python"}\n'
        tls = '[server.tls]\ncertificate_file = "tls.pem"\nkey_file = "/etc/tls.key"\n'
        text = TOML.replace("[providers.corp]", "[providers.corp]\nca_file = 'ca.pem'") + streamlit + tls
        file.write_text(text.replace('path = "/api/"', 'path = "/api/"\nca_file = "inner.pem"'))
        settings, folder = load_settings(file, environ={}), file.parent
        assert settings.server.tls.certificate_file == str(folder / "tls.pem")
        assert settings.server.tls.key_file == "/etc/tls.key"
        assert settings.providers["corp"].ca_file == str(folder / "ca.pem")
        assert settings.routes[0].ca_file == str(folder / "inner.pem")
        assert settings.routes[1].streamlit.python == str(folder / "env/bin/python")

    def test_a_route_may_have_a_secret_in_a_file(self, file: Path) -> None:
        secret = "unit-test-upstream-secret-0123456789"
        (file.parent / "upstream").write_text(secret + "\n")
        (file.parent / "upstream").chmod(0o600)
        route = '[[routes]]\nid = "extra"\npath = "/extra/"\nupstream = "http://127.0.0.1:9"\n'
        file.write_text(f'{TOML}\n{route}upstream_secret_file = "upstream"\n')
        assert load_settings(file, environ={}).routes[-1].upstream_secret.get_secret_value() == secret
        file.write_text(f'{TOML}\n{route}upstream_secret_file = "missing"\n')
        assert faults(file)["routes[1].upstream_secret_file"].route == "extra"

    def test_a_secret_that_one_source_gives_twice_is_an_error(self, file: Path) -> None:
        file.write_text(TOML.replace("keys_file", 'admin_token = "a"\nadmin_token_file = "keys"\nkeys_file'))
        assert faults(file)["secrets.admin_token_file"].message == "given beside admin_token"

    def test_a_secret_never_shows_in_the_settings(self, file: Path) -> None:
        shown = repr(load_settings(file, environ={}))
        assert KEY.decode() not in shown
        assert "unit-test-secret" not in shown


class TestFaults:
    def test_the_error_for_a_missing_file_names_the_command_to_run(self, tmp_path: Path) -> None:
        fault = faults(tmp_path / "nothing.toml")[""]
        assert (fault.message, fault.fix) == ("no such file", "run `vestibule init`")
        assert str(fault).startswith(str(tmp_path / "nothing.toml") + ": no such file")

    @pytest.mark.parametrize("content", [b"[server", b"\xff\xfe", b"a = 1\na = 2"])
    def test_a_file_that_is_not_toml_is_named(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "vestibule.toml"
        path.write_bytes(content)
        assert faults(path)[""].message.startswith("not readable as TOML: ")

    def test_a_folder_in_place_of_the_file_is_named(self, tmp_path: Path) -> None:
        assert faults(tmp_path)[""].message.startswith("not readable as TOML: ")

    def test_all_errors_are_reported_at_once(self, file: Path) -> None:
        (file.parent / "keys").unlink()
        file.write_text(TOML + 'colour = "blue"\n[sever]\nx = 1\n[session]\nidle_seconds = "soon"\n')
        found = faults(file, {"VESTIBULE_COLOUR": "red", "VESTIBULE_SERVER_BIND": "x"})
        assert found.keys() >= {
            "secrets.keys_file",
            "routes[0].colour",
            "sever",
            "session.idle_seconds",
            "VESTIBULE_COLOUR",
            "VESTIBULE_SERVER_BIND",
        }
        assert found["sever"].message == "unknown key"
        assert found["VESTIBULE_COLOUR"].file == "environment"

    def test_a_missing_key_is_named(self, file: Path) -> None:
        file.write_text(TOML.replace("client_id", "#client_id"))
        assert faults(file)["providers.corp.client_id"].message == "missing"

    def test_the_message_of_a_validator_is_kept(self, file: Path) -> None:
        fault = faults(file, {"VESTIBULE_PROVIDERS__CORP__SCOPES": '["profile"]'})["VESTIBULE_PROVIDERS__CORP__SCOPES"]
        assert fault.message.startswith('add "openid"')

    def test_an_unknown_key_in_the_environment_is_an_error(self, file: Path) -> None:
        assert faults(file, {"VESTIBULE_SERVER__COLOUR": "red"})["VESTIBULE_SERVER__COLOUR"].message == "unknown key"

    @pytest.mark.parametrize("name", ["VESTIBULE_SECRETS__KEYS", "VESTIBULE_SERVER", "VESTIBULE_ROUTES"])
    def test_an_unreadable_variable_is_named_without_its_value(self, file: Path, name: str) -> None:
        found = faults(file, {name: "not-json-but-perhaps-a-secret"})
        assert found[name].message == "cannot be read as JSON"
        assert "perhaps-a-secret" not in str(list(found.values()))

    @pytest.mark.parametrize(
        "name", ["VESTIBULE_KIT__URL", "VESTIBULE_JWT__ISSUER", "VESTIBULE_DEV_SECRET", "VESTIBULE_TEST_X", "PATH"]
    )
    def test_variables_of_the_kit_and_of_apis_are_ignored(self, file: Path, name: str) -> None:
        assert load_settings(file, environ={name: "x"}).server.bind == "127.0.0.1:8001"

    @pytest.mark.parametrize("table", [5, "x", ["x"], True])
    @pytest.mark.parametrize("name", ["server", "secrets", "store", "providers", "kit_clients", "routes", "roles"])
    def test_a_table_of_another_type_is_an_error_without_a_traceback(self, name: str, table: object) -> None:
        with pytest.raises(ConfigurationError):
            parse_settings({name: table})

    def test_without_a_file_the_errors_name_the_settings(self) -> None:
        found = faults(None)
        assert {"secrets.keys", "providers"} <= found.keys()
        assert {fault.file for fault in found.values()} == {"settings"}


GOOD: dict[str, Any] = {
    "server": {"public_url": "https://apps.example.com"},
    "secrets": {"keys": [KEY.decode()]},
    "providers": {"corp": {"issuer": ISSUER, "client_id": CLIENT_ID, "client_secret": "unit-test-secret"}},
    "kit_clients": {"pages": {"secret": "unit-test-kit-secret-0123456789", "routes": ["api"]}},
    "routes": [{"id": "api", "path": "/api/", "upstream": "http://127.0.0.1:9001", "kit": "pages"}],
}


def lines(environ: dict[str, str] | None = None, /, **changes: Any) -> list[str]:
    """Return the faults of valid tables with `changes`, such as `server__workers="x"` or `routes__0__kit="y"`."""
    tables = deepcopy(GOOD)
    for path, value in changes.items():
        table: Any = tables
        *way, last = path.split("__")
        for part in way:
            table = table[int(part)] if part.isdigit() else table.setdefault(part, {})
        table[last] = value
    try:
        parse_settings(tables, source="file", environ=environ)
    except ConfigurationError as error:
        return [str(fault) for fault in error.faults]
    return []


class TestEverythingAtOnce:
    """All faults of form are reported at once. If there are none, all faults of rules are reported at once."""

    def test_the_tables_that_these_tests_change_are_valid(self) -> None:
        assert lines() == []

    def test_all_errors_of_form_are_reported_at_once(self) -> None:
        found = lines(kit_clients__pages__origins="x", server__public_url="http://apps.example.com", session__x=1)
        assert sorted(line.split(": ")[1] for line in found) == ["kit_clients.pages.origins", "session.x"]

    def test_all_errors_of_rules_are_reported_at_once_when_the_forms_are_valid(self) -> None:
        found = lines(server__public_url="http://apps.example.com", kit_clients__pages__origins=["http://a.example"])
        assert sorted(line.split(": ")[1] for line in found) == ["kit_clients.pages.origins", "server.public_url"]

    @pytest.mark.parametrize(
        "changes",
        [
            {"server__environment": "developement", "server__public_url": "http://localhost:8000"},
            {"server__pubic_url": "https://apps.example.com", "server": {}},
            {"providers__corp__client_auth": "nothing", "providers__corp__client_secret": ""},
            {"providers__corp__issuer": 5},
            {"providers": 5},
            {"providers__corp": "x"},
            {"kit_clients": [], "server__workers": 1},
            {"kit_clients__pages": 5},
            {"kit_clients__pages__secret": 5},
            {"routes__0__id": "Not A Name"},
            {"routes__0__upstream": 5},
            {"routes": [5]},
            {"routes": "x"},
            {"secrets": "x"},
            {"session__absolute_seconds": "soon", "session__idle_seconds": 90_000},
            {"server__trusted_proxies": ["10.0.0.0/8", "nonsense"]},
            {"routes__0__forward_headers": 5},
            {"store": 1, "server__workers": 2},
        ],
    )
    def test_one_wrong_value_gives_one_line(self, changes: dict[str, Any]) -> None:
        found = lines(**changes)
        assert len(found) == 1, found

    def test_a_missing_key_gives_one_line(self) -> None:
        assert lines(providers__corp={"client_id": "x", "client_secret": "unit-test-secret"}) == [
            "file: providers.corp.issuer: missing; set it"
        ]


class TestWords:
    """Faults use the words of the configuration file."""

    @pytest.mark.parametrize(
        ("changes", "line"),
        [
            ({"kit_clients__pages__routes": "api"}, 'kit_clients.pages.routes: must be a list; write it as in ["api"]'),
            ({"server__public_health": "maybe"}, "server.public_health: must be true or false; write it as in true"),
            ({"server__workers": "two"}, "server.workers: must be a whole number; write it as in 2"),
            ({"server__workers": 0}, "server.workers: must be at least 1; write a larger number"),
            ({"session__idle_seconds": "soon"}, "session.idle_seconds: must be a number; write it as in 60"),
            ({"server__bind": 8000}, 'server.bind: must be text in quotes; write it as in "text"'),
            ({"server__tls": "x"}, "server.tls: must be a table; write it as in a [table] of its own"),
            (
                {"log__format": "text"},
                'log.format: is not one of the known words; write "json" or "console"',
            ),
            (
                {"server__trusted_proxies": ["proxy"]},
                'server.trusted_proxies[0]: must be a network; write it as in "10.0.0.0/8"',
            ),
            (
                {"routes__0__path": "api/"},
                'routes[0].path (route api): does not begin with /; write a path, as in "/api/"',
            ),
            ({"routes__0__kit": "pagse"}, "routes[0].kit (route api): no kit client 'pagse'; add [kit_clients.pagse]"),
            ({"server__pubic_url": "x"}, "server.pubic_url: unknown key; did you mean public_url?"),
            ({"sever__bind": "x"}, "sever: unknown key; did you mean server?"),
            (
                {"providers__corp__client_secert_file": "x"},
                "providers.corp.client_secert_file: unknown key; did you mean client_secret_file?",
            ),
            ({"routes__0__audiance": "x"}, "routes[0].audiance (route api): unknown key; did you mean audience?"),
            ({"server__colour": "x"}, "server.colour: unknown key; remove it or correct its spelling"),
        ],
    )
    def test_an_error_says_what_to_write(self, changes: dict[str, Any], line: str) -> None:
        assert lines(**changes) == [f"file: {line}"]

    @pytest.mark.parametrize(
        ("name", "value", "line"),
        [
            ("VESTIBULE_SERVER__WORKER", "2", "VESTIBULE_SERVER__WORKER: unknown key; did you mean workers?"),
            ("VESTIBULE_SERVER__WORKERS", "x", "VESTIBULE_SERVER__WORKERS: must be a whole number; write it as in 2"),
            (
                "VESTIBULE_SERVER__PUBLIC_URL",
                "http://apps.example.com",
                "VESTIBULE_SERVER__PUBLIC_URL: is plain http; "
                'use https; plain http needs a loopback host and environment = "development"',
            ),
            ("VESTIBULE_SEVER__BIND", "x", "VESTIBULE_SEVER__BIND: no such setting; did you mean VESTIBULE_SERVER__…?"),
            (
                "VESTIBULE_SECRETS__KEYS_FILE",
                "nowhere",
                "VESTIBULE_SECRETS__KEYS_FILE: no file nowhere; make it with `vestibule keys new FILE`",
            ),
            (
                "VESTIBULE_ROUTES",
                '[{"id": "api", "upstream": "x"}]',
                "VESTIBULE_ROUTES (route api): routes[0].upstream: unknown kind; "
                "use http://, https://, unix:, streamlit:file.py or asgi:module:app",
            ),
        ],
    )
    def test_an_error_in_the_environment_names_the_variable(self, name: str, value: str, line: str) -> None:
        assert lines({name: value}) == [f"environment: {line}"]


def test_a_settings_error_passes_through_context_managers_unchanged() -> None:
    """Python writes to an exception while it is raised. A frozen one would cause another error there."""

    @contextlib.contextmanager
    def somewhere() -> Iterator[None]:
        yield

    with pytest.raises(ConfigurationError) as error, somewhere():
        parse_settings({})
    assert str(error.value).count("\n") == len(error.value.faults) - 1


def test_settings_cannot_be_changed_after_loading(file: Path) -> None:
    settings = load_settings(file, environ={})
    with pytest.raises(ValueError, match="frozen"):
        settings.server.bind = "0.0.0.0:1"  # type: ignore[misc]  # what is tried
    with pytest.raises(ValueError, match="frozen"):
        settings.log = settings.log  # type: ignore[misc]  # what is tried


def test_settings_can_be_built_in_code_without_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VESTIBULE_LOG__LEVEL", "error")
    settings = Settings(providers={"corp": ProviderSettings(issuer=ISSUER, client_id=CLIENT_ID)})
    assert (settings.log.level, settings.is_development) == ("info", False)
