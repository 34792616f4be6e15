"""`vestibule init` writes a working configuration, protects secrets, and overwrites no file unless asked."""

from __future__ import annotations

import stat
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from bff.settings.loading import load_settings
from gateway.cli.initialise import COMMENTS, Wishes, build_tables, build_toml, initialise
from gateway.faults import UsageFault
from tests.gateway.commands import vestibule, vestibule_process

ISSUER = "https://idp.example.com/realms/corp"


@pytest.fixture
def pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the pages, in which the command runs."""
    folder = tmp_path / "pages"
    folder.mkdir()
    tmp_path.chmod(0o755)  # a page runs as another user where the front door may switch
    (folder / "My Dashboard.py").write_text("")
    (folder / "app.py").write_text("")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def folder(tmp_path: Path, pages: Path) -> Path:
    """The folder for the configuration. It does not exist yet, and is beside the pages."""
    return tmp_path / "settings" / "vestibule"


def wishes(
    *,
    streamlit: str = "app.py",
    api: str = "http://127.0.0.1:9000",
    public_url: str = "https://apps.example.com",
    **more: str,
) -> Wishes:
    return Wishes(issuer=ISSUER, client_id="vestibule", streamlit=streamlit, api=api, public_url=public_url, **more)


CASES = {
    "app and API behind https": wishes(),
    "an app alone": wishes(api=""),
    "an API alone": wishes(streamlit=""),
    "on this machine": wishes(public_url="http://localhost:8123"),
    "with the provider on this machine too": Wishes(
        issuer="http://127.0.0.1:9400", client_id="x", streamlit="app.py", public_url="http://localhost:8000"
    ),
    "below a path": wishes(public_url="https://apps.example.com/portal"),
    "a script with blanks in its name": wishes(streamlit="My Dashboard.py"),
    "words that TOML must quote": Wishes(issuer=ISSUER, client_id='a "b" \\ ü', streamlit="app.py"),
}


@pytest.mark.parametrize("wished", CASES.values(), ids=CASES.keys())
def test_the_written_configuration_passes_config_check_unchanged(wished: Wishes, folder: Path) -> None:
    wished = replace(wished, client_secret="the-one-from-the-provider")
    written = initialise(wished, folder=folder)
    (folder.parent / "elsewhere").mkdir()
    checked = vestibule("config", "check", "--config", str(written.file), folder=folder.parent / "elsewhere")
    assert (checked.returncode, checked.stdout) == (0, "ok\n")
    settings = load_settings(written.file, environ={})
    assert settings.providers[wished.provider_name].client_id == wished.client_id
    assert settings.server.public_url == wished.public_url


@pytest.mark.parametrize("command", [("config", "check"), ("doctor", "--login"), ("run",)])
def test_without_the_client_secret_the_only_remaining_step_is_named(command: tuple[str, ...], folder: Path) -> None:
    initialise(wishes(), folder=folder)
    assert (folder / "secrets" / "client-secret").read_text() == "\n"
    done = vestibule(*command, folder=folder)
    assert done.returncode == 2
    assert done.stderr == (
        "vestibule.toml: providers.keycloak.client_secret_file: secrets/client-secret is empty; "
        "put the secret that the provider issued into it\n"
    )


@pytest.mark.parametrize("wished", CASES.values(), ids=CASES.keys())
def test_the_file_with_comments_has_the_same_values_as_the_tables(wished: Wishes) -> None:
    assert tomllib.loads(build_toml(wished)) == build_tables(wished)
    assert build_toml(wished).count("#") > 5


def test_the_file_has_every_comment_once() -> None:
    lines = [line for comment in COMMENTS.values() for line in comment.splitlines()]
    texts = build_toml(wishes()), build_toml(replace(wishes(), issuer="https://idp.example.com"))
    counts = {line: {text.count(f"# {line}\n") for text in texts} for line in lines}
    of_one_provider = {COMMENTS["providers.profile"], COMMENTS["providers.roles_claim"]}
    assert counts == {line: {0, 1} if line in of_one_provider else {1} for line in lines}


@pytest.mark.parametrize(
    ("issuer", "profile"), [(ISSUER, "keycloak"), ("https://accounts.google.com", "google"), ("https://x.example", "")]
)
def test_the_provider_profile_is_recognised_by_the_address_of_the_issuer(issuer: str, profile: str) -> None:
    (table,) = build_tables(replace(wishes(), issuer=issuer))["providers"].values()
    assert (table.get("profile", ""), "roles_claim" in table) == (profile, not profile)


NAMES = {
    "https://login.microsoftonline.com/0d4f/v2.0": "entra",
    ISSUER: "keycloak",
    "https://dev-123.okta.com": "okta",
    "https://acme.example": "acme",
    "https://login.acme.example": "acme",
    "https://sso.id.acme.co.example/oidc": "acme",
    "https://Acme-Corp.example": "acme_corp",
    "https://id.example": "id",
    "http://127.0.0.1:9400": "idp",
    "http://[::1]:9400": "idp",
    "http://localhost:9400": "idp",
}


@pytest.mark.parametrize(("issuer", "name"), NAMES.items(), ids=list(NAMES))
def test_the_provider_is_named_by_what_its_issuer_says(issuer: str, name: str, folder: Path) -> None:
    wished = replace(wishes(public_url="http://localhost:8000"), issuer=issuer, client_secret="s" * 16)
    written = initialise(wished, folder=folder)
    assert list(load_settings(written.file, environ={}).providers) == [name]
    assert f"http://localhost:8000/auth/callback/{name}" in written.next_steps[0]


def test_an_option_names_the_provider(folder: Path, pages: Path) -> None:
    arguments = ("init", "--issuer", ISSUER, "--client-id", "x", "--streamlit", "app.py", "--provider", "staff")
    done = vestibule(*arguments, "--folder", str(folder), folder=pages)
    assert (done.returncode, done.stderr) == (0, "")
    assert "/auth/callback/staff" in done.stdout
    assert "[providers.staff]" in (folder / "vestibule.toml").read_text()


@pytest.mark.parametrize("name", ["Staff", "a b", "../x", "a.b"])
def test_a_name_that_no_table_can_have_is_refused(name: str, folder: Path) -> None:
    with pytest.raises(UsageFault, match="is no name"):
        initialise(wishes(provider=name), folder=folder)
    assert not folder.exists()


def test_the_app_can_call_the_api_through_a_kit_client(folder: Path) -> None:
    initialise(wishes(streamlit="My Dashboard.py", client_secret="the-one-from-the-provider"), folder=folder)
    settings = load_settings(folder / "vestibule.toml", environ={})
    assert settings.kit_clients["my_dashboard"].routes == ("api",), "a variable can name it: no -"
    page = settings.route("my_dashboard")
    assert page is not None
    assert (page.path, page.kit, page.kind) == ("/", "my_dashboard", "page")
    api = settings.route("api")
    assert api is not None
    assert (api.token, api.audience, api.strip_prefix) == ("assertion", "api", True)


def test_secrets_are_random_and_only_their_owner_can_read_them(folder: Path) -> None:
    initialise(wishes(client_secret="the-one-from-the-provider-" + "x" * 32), folder=folder)
    names = ("keys", "admin-token", "client-secret", "kit-app")
    files = [folder / "secrets" / name for name in names]
    assert [stat.S_IMODE(file.stat().st_mode) for file in (*files, folder / "vestibule.toml")] == [0o600] * 5
    assert [stat.S_IMODE(one.stat().st_mode) for one in (folder, folder / "secrets")] == [0o700] * 2
    values = {file.read_text() for file in files}
    assert len(values) == 4
    assert all(len(value.strip()) >= 32 for value in values)
    assert (folder / "secrets" / ".gitignore").read_text() == "*\n"
    assert not [value for value in values if value.strip() in (folder / "vestibule.toml").read_text()]


def test_nothing_is_overwritten_unless_forced(folder: Path) -> None:
    initialise(wishes(), folder=folder)
    before = {path: path.read_text() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(UsageFault, match=r"secrets/keys.*vestibule\.toml.*--force"):
        initialise(wishes(), folder=folder)
    assert before == {path: path.read_text() for path in folder.rglob("*") if path.is_file()}
    initialise(wishes(), folder=folder, force=True)
    assert (folder / "secrets" / "keys").read_text() != before[folder / "secrets" / "keys"]
    assert stat.S_IMODE((folder / "secrets" / "keys").stat().st_mode) == 0o600


def test_one_existing_secret_file_is_enough_to_refuse(folder: Path) -> None:
    (folder / "secrets").mkdir(parents=True)
    (folder / "secrets" / "keys").write_text("somebody's")
    with pytest.raises(UsageFault, match="secrets/keys"):
        initialise(wishes(), folder=folder)
    assert not (folder / "vestibule.toml").exists()


REFUSED = {
    "nothing behind it": (wishes(streamlit="", api=""), "nothing to put behind"),
    "no such script": (wishes(streamlit="missing.py"), "no script"),
    "plain http in public": (wishes(public_url="http://apps.example.com"), "server.public_url"),
    "a public url that is none": (wishes(public_url="apps.example.com"), "server.public_url"),
    "a port that is none": (wishes(public_url="http://localhost:port"), "server.public_url"),
    "an issuer that is none": (Wishes(issuer="corp", client_id="x", api="http://127.0.0.1:1"), "providers.idp.issuer"),
    "an API that is none": (wishes(api="127.0.0.1:9000"), "upstream"),
}


@pytest.mark.parametrize(("wished", "named"), REFUSED.values(), ids=REFUSED.keys())
def test_invalid_options_write_nothing(wished: Wishes, named: str, folder: Path) -> None:
    with pytest.raises(UsageFault, match=named):
        initialise(wished, folder=folder)
    assert not folder.parent.exists()


def test_the_next_steps_name_the_exact_redirect_uri_and_what_is_left_to_do(folder: Path) -> None:
    steps = "\n".join(initialise(wishes(public_url="https://apps.example.com/portal"), folder=folder).next_steps)
    assert "redirect URI https://apps.example.com/portal/auth/callback/keycloak" in steps
    assert "https://apps.example.com/portal/auth/logged-out" in steps
    assert str(folder / "secrets" / "client-secret") in steps
    assert "VESTIBULE_JWT__JWKS_URL=https://apps.example.com/portal/auth/jwks.json" in steps


def test_a_known_client_secret_is_written_and_not_asked_for_again(folder: Path) -> None:
    written = initialise(wishes(client_secret="the-one-from-the-provider"), folder=folder)
    assert (folder / "secrets" / "client-secret").read_text() == "the-one-from-the-provider\n"
    assert "client-secret" not in "\n".join(written.next_steps)


def test_the_command_reads_the_client_secret_from_standard_input(folder: Path, pages: Path) -> None:
    arguments = ("init", "--issuer", ISSUER, "--client-id", "x", "--streamlit", "app.py", "--client-secret-file", "-")
    done = vestibule_process(*arguments, "--folder", str(folder), folder=pages, given="from-standard-input\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert (folder / "secrets" / "client-secret").read_text() == "from-standard-input\n"
    assert "http://localhost:8000/auth/callback/keycloak" in done.stdout
    assert "from-standard-input" not in done.stdout + done.stderr
    assert f"Wrote {folder / 'vestibule.toml'} and {folder / 'secrets'}/" in done.stdout
    again = vestibule(*arguments, "--folder", str(folder), folder=pages, given="x")
    assert again.returncode == 2
    assert "--force" in again.stderr


def test_a_page_gets_its_full_path_and_runs_in_its_own_folder(folder: Path, pages: Path) -> None:
    initialise(wishes(client_secret="the-one-from-the-provider"), folder=folder)
    page = load_settings(folder / "vestibule.toml", environ={}).route("app")
    assert page is not None
    assert page.upstream == (f"streamlit:{pages / 'app.py'}",)
    assert page.streamlit.cwd == str(pages)


@pytest.mark.parametrize("place", [".", "secret", "deep/down", "../pages", "../link"])
def test_secrets_are_never_written_into_the_folder_of_the_pages(place: str, pages: Path) -> None:
    (pages.parent / "link").symlink_to(pages)
    with pytest.raises(UsageFault, match=r"whose code could read them.*--folder"):
        initialise(wishes(), folder=Path(place))
    assert sorted(path.name for path in pages.iterdir()) == ["My Dashboard.py", "app.py"]


def test_without_pages_any_folder_can_be_chosen(pages: Path) -> None:
    initialise(wishes(streamlit=""), folder=Path())
    assert (pages / "vestibule.toml").is_file()


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o1777])
def test_a_folder_that_others_may_write_to_is_refused(folder: Path, mode: int) -> None:
    folder.mkdir(parents=True)
    folder.chmod(mode)
    with pytest.raises(UsageFault, match=r"others may write to .*chmod 700"):
        initialise(wishes(), folder=folder)
    assert list(folder.iterdir()) == []


def test_a_folder_below_a_world_writable_one_is_refused_in_one_line(folder: Path) -> None:
    folder.parent.mkdir()
    folder.parent.chmod(0o777)
    with pytest.raises(UsageFault, match=f"others may write to {folder.parent}, "):
        initialise(wishes(), folder=folder)
    assert not folder.exists()


def test_the_command_writes_the_file_where_the_other_commands_search(pages: Path) -> None:
    """For root the default is /etc/vestibule. So this test names the folder that is the default for others."""
    variables = {"HOME": str(pages.parent / "home")}
    own = pages.parent / "home/.config/vestibule"
    arguments = ("init", "--issuer", ISSUER, "--client-id", "x", "--streamlit", "app.py", "--client-secret-file", "-")
    done = vestibule(*arguments, "--folder", str(own), folder=pages, variables=variables, given="given-by-the-provider")
    assert "Start it with: vestibule run\n" in done.stdout
    checked = vestibule("config", "check", folder=pages, variables=variables)
    assert (checked.returncode, checked.stderr.splitlines()[0]) == (0, f"configuration: {own / 'vestibule.toml'}")


def test_the_next_steps_name_the_file_when_the_commands_would_not_find_it(folder: Path) -> None:
    steps = initialise(wishes(), folder=folder, environ={"HOME": "/nowhere"}).next_steps
    assert steps[-1] == f"Start it with: vestibule run --config {folder / 'vestibule.toml'}"
