"""The command line: exit codes, clear words for every fault, and secrets that stay secret.

Five tests start the command as a process: what the entry point passes on is the same for every command.
"""

from __future__ import annotations

import itertools
import json
import secrets
import socket
import stat
import tomllib
from pathlib import Path

import pytest

from bff.settings.loading import parse_settings
from gateway.cli.configuration_file import find_configuration, folder_for_new, with_port
from tests.gateway.commands import vestibule, vestibule_process

KEY = secrets.token_urlsafe(32)
GOOD = f"""
[server]
public_url = "http://localhost:8000"
environment = "development"
[secrets]
keys = ["{KEY}"]
admin_token = "canary-admin-token"
[store]
url = "redis://user:canary-password@127.0.0.1:6379/0"
[providers.corp]
issuer = "https://idp.example.com"
client_id = "x"
client_secret = "canary-client-secret"
[kit_clients.pages]
secret = "canary-kit-secret-of-pages"
[[routes]]
id = "pages"
path = "/"
upstream = "streamlit:app.py"
kit = "pages"
[routes.streamlit]
cwd = "pages"
[routes.streamlit.env]
MODEL_KEY = "canary-variable"
[routes.require]
claims = {{ "https://example.com/department" = "physics" }}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.chmod(0o755)  # a page runs as another user where the front door may switch
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "app.py").write_text("")
    (tmp_path / "vestibule.toml").write_text(GOOD)
    (tmp_path / "vestibule.toml").chmod(0o600)  # it holds secrets
    return tmp_path


def test_without_a_command_all_commands_are_listed(tmp_path: Path) -> None:
    done = vestibule_process("--help", folder=tmp_path)
    assert done.returncode == 0
    for command in ("run", "demo", "dev", "init", "keys", "config", "doctor", "--version"):
        assert command in done.stdout


def test_the_version_is_one_word_or_the_reason_why_it_is_unknown(tmp_path: Path) -> None:
    done = vestibule("--version", folder=tmp_path)
    assert done.returncode == 0
    assert done.stdout.strip() in ("0.1.0", "not installed: running from its source")


@pytest.mark.parametrize("arguments", [("nonsense",), ("run", "--nonsense"), ("run", "--port", "70000"), ("dev",)])
def test_a_wrong_command_line_exits_with_2(arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = vestibule(*arguments, folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr


def test_config_check_accepts_a_valid_file(folder: Path) -> None:
    done = vestibule("config", "check", folder=folder)
    said = f"configuration: {folder / 'vestibule.toml'}"
    assert (done.returncode, done.stdout) == (0, "ok\n")
    assert about_settings(done.stderr) == [said]


def about_settings(stderr: str) -> list[str]:
    """Return the output without the lines about the page's sandbox, which depend on the machine."""
    return [line for line in stderr.splitlines() if not line.startswith(("page pages:", "warning: page pages:"))]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (("streamlit:app.py", "streamlit:ap.py"), "routes.pages.upstream: no script"),
        (('cwd = "pages"', 'cwd = "pags"'), "routes.pages.streamlit.cwd: no folder"),
        (('cwd = "pages"', 'cwd = "pages"\nread = ["/no/such"]'), "routes.pages.streamlit.read: no file or folder"),
        (('cwd = "pages"', 'cwd = "pages"\nwrite = ["/no/such"]'), "routes.pages.streamlit.write: no file or folder"),
    ],
    ids=["script", "folder", "path to read", "path to write"],
)
def test_config_check_reports_missing_files_and_folders_of_a_page(
    folder: Path, change: tuple[str, str], fault: str
) -> None:
    (folder / "vestibule.toml").write_text(GOOD.replace(*change))
    done = vestibule("config", "check", folder=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].startswith(fault)


def test_config_check_names_all_problems_at_once_with_file_key_and_fix(folder: Path) -> None:
    bad = GOOD.replace("public_url", "pubic_url").replace('kit = "pages"', 'kit = "nobody"') + "nonsense = 1\n"
    (folder / "vestibule.toml").write_text(bad.replace(KEY, "short"))
    done = vestibule_process("config", "check", folder=folder)
    lines = done.stderr.splitlines()
    assert done.returncode == 2
    assert done.stdout == ""
    assert [line for line in lines if line.startswith("vestibule.toml: server.pubic_url: unknown key; ")]
    assert [
        line
        for line in lines
        if line.startswith("vestibule.toml: routes[0].require.nonsense (route pages): unknown key; ")
    ]
    assert "short" not in [word.strip("'\"") for line in lines for word in line.split() if "keys" not in line]


def test_config_check_warns_about_secret_files_that_others_can_read(folder: Path) -> None:
    (folder / "keys").write_text(KEY)
    (folder / "keys").chmod(0o644)
    (folder / "vestibule.toml").write_text(GOOD.replace(f'keys = ["{KEY}"]', 'keys_file = "keys"'))
    done = vestibule("config", "check", folder=folder)
    assert (done.returncode, done.stdout) == (0, "ok\n")
    said = f"configuration: {folder / 'vestibule.toml'}"
    assert about_settings(done.stderr) == [
        said,
        "warning: vestibule.toml: secrets.keys_file: "
        f"everybody on this machine may read {folder / 'keys'}; chmod 600 {folder / 'keys'}",
    ]
    (folder / "keys").chmod(0o600)
    assert about_settings(vestibule("config", "check", folder=folder).stderr) == [said]


def test_config_check_warns_about_identity_headers_that_a_route_passes_on(folder: Path) -> None:
    listed = GOOD.replace('kit = "pages"', 'kit = "pages"\nforward_headers = ["accept", "X-Scope-OrgID"]')
    (folder / "vestibule.toml").write_text(listed)
    done = vestibule("config", "check", folder=folder)
    assert (done.returncode, done.stdout) == (0, "ok\n")
    assert "\nwarning: vestibule.toml: routes[0].forward_headers (route pages): lets clients send " in done.stderr
    assert "x-scope-orgid" in done.stderr


def test_the_error_for_a_port_in_use_shows_the_command_with_another_port(folder: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        arguments = ("demo", "--port", str(other.getsockname()[1]), "--port-option", "PORT=")
        done = vestibule_process(*arguments, folder=folder)
    assert done.returncode == 1
    assert "choose another with PORT=" in done.stderr


@pytest.mark.parametrize("command", [("config", "check"), ("config", "show"), ("doctor",), ("run",)])
def test_every_command_that_needs_a_configuration_reports_a_missing_one(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    done = vestibule(*command, folder=tmp_path, variables={"HOME": str(tmp_path / "home")})
    own = tmp_path / "home/.config/vestibule/vestibule.toml"
    assert done.returncode == 2
    assert done.stderr == (
        f"no configuration: looked for vestibule.toml, {own}, /etc/vestibule/vestibule.toml; "
        "run `vestibule init`, or name a file with --config\n"
    )


@pytest.mark.parametrize("content", [b"[server", b"\xff\xfe", b"server = 1\n"], ids=["broken", "binary", "no table"])
def test_a_file_that_is_not_a_configuration_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_bytes(content)
    done = vestibule("config", "check", "--config", "other.toml", folder=tmp_path)
    assert done.returncode == 2
    assert "other.toml" in done.stderr


def test_an_unknown_variable_is_an_error(folder: Path) -> None:
    done = vestibule("config", "check", folder=folder, variables={"VESTIBULE_SEVER__BIND": "x"})
    assert done.returncode == 2
    assert "VESTIBULE_SEVER__BIND" in done.stderr


def test_config_show_prints_toml_with_every_secret_masked(folder: Path) -> None:
    done = vestibule("config", "show", folder=folder)
    shown = tomllib.loads(done.stdout)
    assert done.returncode == 0
    assert "canary" not in done.stdout
    assert KEY not in done.stdout
    assert shown["secrets"]["keys"] == ["********"]
    assert shown["store"]["url"] == "redis://user:********@127.0.0.1:6379/0"
    assert shown["routes"][0]["streamlit"]["env"] == {"MODEL_KEY": "********"}
    assert shown["routes"][0]["require"]["claims"] == {"https://example.com/department": "physics"}
    assert shown["session"]["idle_seconds"] == 3600


def test_config_show_as_json_has_the_same_content(folder: Path) -> None:
    as_json = json.loads(vestibule("config", "show", "--json", folder=folder).stdout)
    as_toml = tomllib.loads(vestibule("config", "show", folder=folder).stdout)
    assert _without_nothing(as_json) == as_toml


def _without_nothing(value: object) -> object:
    """TOML has no null: what is None in JSON is absent there."""
    if isinstance(value, dict):
        return {key: _without_nothing(inner) for key, inner in value.items() if inner is not None}
    return [_without_nothing(inner) for inner in value] if isinstance(value, list) else value


def test_the_environment_overrides_the_file(folder: Path) -> None:
    done = vestibule("config", "show", folder=folder, variables={"VESTIBULE_SESSION__IDLE_SECONDS": "120"})
    assert tomllib.loads(done.stdout)["session"]["idle_seconds"] == 120


def test_a_variable_can_name_the_configuration_file(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    variables = {"VESTIBULE_CONFIG": str(folder / "vestibule.toml")}
    assert vestibule_process("config", "check", folder=elsewhere, variables=variables).stdout == "ok\n"


def test_variables_alone_are_enough_where_there_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("gateway.cli.configuration_file.SYSTEM_FOLDER", tmp_path / "etc")
    assert find_configuration(None, environ={}) == Path("vestibule.toml")
    assert find_configuration(None, environ={"VESTIBULE_PROVIDERS__CORP__ISSUER": "x"}) is None
    (tmp_path / "vestibule.toml").touch()
    assert find_configuration(None, environ={"VESTIBULE_PROVIDERS__CORP__ISSUER": "x"}) == Path("vestibule.toml")


def test_the_file_is_searched_in_this_folder_then_in_the_users_settings_then_in_the_systems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, home, xdg, system = (tmp_path / name for name in ("here", "home", "xdg", "etc"))
    files = [here / "vestibule.toml", home / ".config/vestibule/vestibule.toml", system / "vestibule.toml"]
    for file in (*files, xdg / "vestibule/vestibule.toml"):
        file.parent.mkdir(parents=True)
        file.touch()
    monkeypatch.chdir(here)
    monkeypatch.setattr("gateway.cli.configuration_file.SYSTEM_FOLDER", system)
    environ = {"HOME": str(home)}

    def found(**more: str) -> Path | None:
        return find_configuration(None, environ=environ | more)

    assert find_configuration(Path("given"), environ=environ | {"VESTIBULE_CONFIG": "named"}) == Path("given")
    assert found(VESTIBULE_CONFIG="named") == Path("named")
    assert found() == Path("vestibule.toml")
    files[0].unlink()
    assert found() == files[1]
    assert found(XDG_CONFIG_HOME=str(xdg)) == xdg / "vestibule/vestibule.toml"
    assert found(XDG_CONFIG_HOME="relative") == files[1]
    files[1].unlink()
    assert found(VESTIBULE_PROVIDERS__CORP__ISSUER="x") == files[2]
    files[2].unlink()
    assert found() == Path("vestibule.toml")


@pytest.mark.parametrize(
    "command", [("config", "check"), ("config", "show"), ("config", "show", "--json")], ids=" ".join
)
def test_a_command_prints_which_file_it_read(folder: Path, command: tuple[str, ...]) -> None:
    done = vestibule(*command, folder=folder)
    assert about_settings(done.stderr) == [f"configuration: {folder / 'vestibule.toml'}"]
    assert "configuration:" not in done.stdout


def test_a_new_file_is_written_to_the_users_settings_and_for_root_to_the_systems() -> None:
    home = {"HOME": "/srv/ann"}
    assert folder_for_new(home, is_root=True) == Path("/etc/vestibule")
    assert folder_for_new(home, is_root=False) == Path("/srv/ann/.config/vestibule")
    assert folder_for_new({"XDG_CONFIG_HOME": "/srv/ann/own"}, is_root=False) == Path("/srv/ann/own/vestibule")
    assert folder_for_new({}, is_root=False) == Path("/etc/vestibule"), "a service's user has no home"


def test_keys_new_writes_a_file_only_for_its_owner_and_does_not_overwrite_it(tmp_path: Path) -> None:
    assert vestibule("keys", "new", "keys", folder=tmp_path).returncode == 0
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o600
    first = (tmp_path / "keys").read_text()
    assert len(first.strip()) >= 43
    again = vestibule("keys", "new", "keys", folder=tmp_path)
    assert again.returncode == 2
    assert "keys is there already" in again.stderr
    assert (tmp_path / "keys").read_text() == first


def test_keys_new_can_print_the_key(tmp_path: Path) -> None:
    one, two = (vestibule("keys", "new", "-", folder=tmp_path).stdout.strip() for _ in range(2))
    assert len(one) >= 43
    assert one != two
    assert list(tmp_path.iterdir()) == []


def test_keys_new_reports_when_it_cannot_write(tmp_path: Path) -> None:
    done = vestibule("keys", "new", "nowhere/keys", folder=tmp_path)
    assert done.returncode == 2
    assert "cannot be written" in done.stderr


def test_keys_rotate_puts_a_new_key_in_front_and_keeps_three(tmp_path: Path) -> None:
    vestibule("keys", "new", "keys", folder=tmp_path)
    seen = [(tmp_path / "keys").read_text().split()]
    for _ in range(3):
        done = vestibule("keys", "rotate", "keys", folder=tmp_path)
        assert done.returncode == 0
        assert "until you restart it" in done.stdout
        assert "systemctl restart vestibule" in done.stdout
        seen.append((tmp_path / "keys").read_text().split())
    assert [len(keys) for keys in seen] == [1, 2, 3, 3]
    assert all(later[1:] == earlier[:2] for earlier, later in itertools.pairwise(seen))
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["keys"], "nothing is left beside the file"


@pytest.mark.parametrize("content", [None, "", "short\n"], ids=["missing", "empty", "too short"])
def test_keys_rotate_refuses_a_file_that_is_not_a_key_file(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "keys").write_text(content)
    done = vestibule("keys", "rotate", "keys", folder=tmp_path)
    assert done.returncode == 2
    assert "keys" in done.stderr
    assert content is None or (tmp_path / "keys").read_text() == content


def test_run_with_a_port_in_use_prints_one_line_and_exits_with_1(folder: Path) -> None:
    (folder / "pages" / "app.py").touch()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = vestibule_process("run", "--port", str(port), folder=folder)
    assert done.returncode == 1
    assert (
        done.stderr
        == f"port {port} on 127.0.0.1 is taken by another program; choose another with --port or server.bind\n"
    )


def test_run_without_the_script_of_the_app_prints_one_line_and_exits_with_2(folder: Path) -> None:
    (folder / "pages" / "app.py").unlink()
    done = vestibule("run", folder=folder)
    assert done.returncode == 2
    assert "routes.pages.upstream: no script" in done.stderr


def test_dev_and_demo_name_what_is_wrong_with_their_arguments(tmp_path: Path) -> None:
    (tmp_path / "app.py").touch()
    for arguments, named in (
        (("dev", "missing.py"), "no script missing.py"),
        (("dev", "app.py", "--api", "main"), "module:application"),
        (("dev", "app.py", "--as", "a b"), "--as 'a b'"),
        (("dev", "app.py", "--as", "ann", "--as", "ann:x"), "given twice"),
        (("dev", "app.py", "--api", "main:app", "--api-prefix", "api"), "--api-prefix"),
        (("dev", "app.py", "--api", "main:app", "--api-prefix", "/auth/x"), "lies under /auth"),
        (("demo", "--folder", "."), "no api.py"),
    ):
        done = vestibule(*arguments, folder=tmp_path)
        assert done.returncode == 2, arguments
        assert named in done.stderr


def test_the_port_option_changes_a_local_public_url_and_not_a_real_one() -> None:
    tables = tomllib.loads(GOOD)
    local = parse_settings(tables)
    assert with_port(local, 9000) == {"server": {"bind": "127.0.0.1:9000", "public_url": "http://localhost:9000"}}
    tables["server"] = {"public_url": "https://apps.example.com", "bind": "[::1]:8000"}
    assert with_port(parse_settings(tables), 9000) == {"server": {"bind": "[::1]:9000"}}
