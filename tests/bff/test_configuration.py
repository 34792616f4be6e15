"""Reading the configuration: precedence, secrets in files, and every fault at once instead of a trace."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bff.configuration import ConfigurationError, Problem, load_settings, parse_settings
from bff.settings import ProviderSettings, Settings
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
    path = tmp_path / "vestibule.toml"
    path.write_text(TOML)
    return path


def faults(file: Path | None, environ: dict[str, str] | None = None, **overrides: Any) -> dict[str, Problem]:
    with pytest.raises(ConfigurationError) as error:
        load_settings(file, environ=environ or {}, overrides=overrides)
    return {problem.key: problem for problem in error.value.problems}


class TestPrecedence:
    def test_the_file_stands_over_the_defaults(self, file: Path) -> None:
        settings = load_settings(file, environ={})
        assert (settings.server.bind, settings.server.workers) == ("127.0.0.1:8001", 1)

    def test_the_environment_stands_over_the_file_key_by_key(self, file: Path) -> None:
        settings = load_settings(file, environ={"VESTIBULE_SERVER__BIND": "127.0.0.1:8002", "OTHER": "x"})
        assert settings.server.bind == "127.0.0.1:8002"
        assert settings.server.public_url == "https://apps.example.com"

    def test_the_command_line_stands_over_the_environment(self, file: Path) -> None:
        environ = {"VESTIBULE_SERVER__BIND": "127.0.0.1:8002"}
        settings = load_settings(file, environ=environ, overrides={"server": {"bind": "127.0.0.1:8003"}})
        assert settings.server.bind == "127.0.0.1:8003"

    def test_the_environment_reaches_tables_below_tables_and_lists(self, file: Path) -> None:
        environ = {
            "VESTIBULE_PROVIDERS__CORP__DISPLAY_NAME": "Corporate",
            "VESTIBULE_SERVER__TRUSTED_PROXIES": '["10.0.0.0/8"]',
            "vestibule_log__level": "debug",
        }
        settings = load_settings(file, environ=environ)
        assert settings.providers["corp"].display_name == "Corporate"
        assert [str(network) for network in settings.server.trusted_proxies] == ["10.0.0.0/8"]
        assert settings.log.level == "debug"

    def test_a_secret_of_a_higher_source_replaces_the_other_spelling_of_a_lower_one(
        self, file: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "other").write_text("another-unit-test-secret")
        plain = load_settings(file, environ={"VESTIBULE_PROVIDERS__CORP__CLIENT_SECRET": "secret-of-environ"})
        assert plain.providers["corp"].client_secret.get_secret_value() == "secret-of-environ"
        by_file = load_settings(
            file,
            environ={"VESTIBULE_PROVIDERS__CORP__CLIENT_SECRET": "secret-of-environ"},
            overrides={"providers": {"corp": {"client_secret_file": "other"}}},
        )
        assert by_file.providers["corp"].client_secret.get_secret_value() == "another-unit-test-secret"

    def test_the_process_environment_is_not_read_behind_ones_back(
        self, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("VESTIBULE_SERVER__BIND", "127.0.0.1:9999")
        assert load_settings(file, environ={}).server.bind == "127.0.0.1:8001"


class TestSecretsInFiles:
    def test_keys_are_lines_newest_first_and_blank_lines_do_not_count(self, file: Path) -> None:
        keys = [key.get_secret_value().encode() for key in load_settings(file, environ={}).secrets.keys]
        assert keys == [KEY, OLD_KEY]

    def test_a_relative_path_is_taken_from_the_folder_of_the_configuration(self, file: Path) -> None:
        assert load_settings(file, environ={}).providers["corp"].client_secret.get_secret_value() == "unit-test-secret"

    def test_an_absolute_path_is_taken_as_it_is(self, file: Path, tmp_path: Path) -> None:
        (tmp_path / "abs").write_text("absolute-unit-test-secret")
        settings = load_settings(file, environ={"VESTIBULE_PROVIDERS__CORP__CLIENT_SECRET_FILE": str(tmp_path / "abs")})
        assert settings.providers["corp"].client_secret.get_secret_value() == "absolute-unit-test-secret"

    def test_a_file_that_cannot_be_read_is_named(self, file: Path) -> None:
        (file.parent / "keys").unlink()
        (file.parent / "secrets" / "oidc").write_bytes(b"\xff\xfe")
        found = faults(file)
        assert found["secrets.keys_file"].message == "cannot be read: FileNotFoundError"
        assert found["providers.corp.client_secret_file"].message == "cannot be read: UnicodeDecodeError"

    def test_a_secret_given_twice_in_one_source_is_a_fault(self, file: Path) -> None:
        file.write_text(TOML.replace("keys_file", 'admin_token = "a"\nadmin_token_file = "keys"\nkeys_file'))
        assert faults(file)["secrets.admin_token_file"].message == "given beside admin_token"

    def test_a_secret_never_shows_in_the_settings(self, file: Path) -> None:
        shown = repr(load_settings(file, environ={}))
        assert KEY.decode() not in shown
        assert "unit-test-secret" not in shown


class TestFaults:
    def test_a_missing_file_says_what_to_run(self, tmp_path: Path) -> None:
        problem = faults(tmp_path / "nothing.toml")[""]
        assert (problem.message, problem.mend) == ("no such file", "run `vestibule init`")
        assert str(problem).startswith(str(tmp_path / "nothing.toml") + ": no such file")

    @pytest.mark.parametrize("content", [b"[server", b"\xff\xfe", b"a = 1\na = 2"])
    def test_a_file_that_is_no_toml_is_named(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "vestibule.toml"
        path.write_bytes(content)
        assert faults(path)[""].message.startswith("not readable as TOML: ")

    def test_a_folder_in_place_of_the_file_is_named(self, tmp_path: Path) -> None:
        assert faults(tmp_path)[""].message.startswith("not readable as TOML: ")

    def test_everything_wrong_is_told_at_once(self, file: Path) -> None:
        (file.parent / "keys").unlink()
        file.write_text(TOML + 'colour = "blue"\n[sever]\nx = 1\n[session]\nidle_seconds = "soon"\n')
        found = faults(file, {"VESTIBULE_COLOUR": "red", "VESTIBULE_SERVER_BIND": "x"})
        assert found.keys() >= {
            "secrets.keys_file",
            "routes.0.colour",
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

    def test_a_validators_own_words_are_kept(self, file: Path) -> None:
        problem = faults(file, {"VESTIBULE_PROVIDERS__CORP__SCOPES": '["profile"]'})["providers.corp.scopes"]
        assert problem.message.startswith('add "openid"')

    def test_an_unknown_key_in_the_environment_is_a_fault_too(self, file: Path) -> None:
        assert faults(file, {"VESTIBULE_SERVER__COLOUR": "red"})["server.colour"].message == "unknown key"

    @pytest.mark.parametrize("name", ["VESTIBULE_SECRETS__KEYS", "VESTIBULE_SERVER", "VESTIBULE_ROUTES"])
    def test_an_unreadable_variable_is_named_and_its_value_is_not(self, file: Path, name: str) -> None:
        found = faults(file, {name: "not-json-but-perhaps-a-secret"})
        table = name.split("__")[0]
        assert found[table].message == "cannot be read as JSON"
        assert "perhaps-a-secret" not in str(list(found.values()))

    @pytest.mark.parametrize(
        "name", ["VESTIBULE_KIT__URL", "VESTIBULE_JWT__ISSUER", "VESTIBULE_DEV_SECRET", "VESTIBULE_TEST_X", "PATH"]
    )
    def test_variables_of_the_kit_and_of_apis_are_left_alone(self, file: Path, name: str) -> None:
        assert load_settings(file, environ={name: "x"}).server.bind == "127.0.0.1:8001"

    @pytest.mark.parametrize("table", [5, "x", ["x"], True])
    @pytest.mark.parametrize("name", ["server", "secrets", "store", "providers", "kit_clients", "routes", "roles"])
    def test_a_table_of_another_type_is_a_fault_and_no_trace(self, name: str, table: object) -> None:
        with pytest.raises(ConfigurationError):
            parse_settings({name: table})

    def test_without_a_file_the_faults_name_the_settings(self) -> None:
        problems = faults(None)
        assert {"secrets.keys", "providers"} <= problems.keys()
        assert {problem.file for problem in problems.values()} == {"settings"}


def test_the_error_passes_through_context_managers_unchanged() -> None:
    """Python writes to an exception on its way: a frozen one turns into another error there."""

    @contextlib.contextmanager
    def somewhere() -> Iterator[None]:
        yield

    with pytest.raises(ConfigurationError) as error, somewhere():
        parse_settings({})
    assert str(error.value).count("\n") == len(error.value.problems) - 1


def test_settings_cannot_be_changed_once_read(file: Path) -> None:
    settings = load_settings(file, environ={})
    with pytest.raises(ValueError, match="frozen"):
        settings.server.bind = "0.0.0.0:1"  # type: ignore[misc]
    with pytest.raises(ValueError, match="frozen"):
        settings.log = settings.log  # type: ignore[misc]


def test_settings_can_be_built_in_code_without_any_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VESTIBULE_LOG__LEVEL", "error")
    provider = ProviderSettings(issuer=ISSUER, client_id=CLIENT_ID)
    settings = Settings(providers={"corp": provider})
    assert (settings.log.level, settings.is_development) == ("info", False)
