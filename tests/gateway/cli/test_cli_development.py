"""The set-up that `vestibule demo` and `vestibule dev` share: people, settings, and who gets which variables."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.cli.demo import FOLDER, PEOPLE
from gateway.cli.development import (
    Person,
    Scene,
    api_variables,
    build_settings,
    parse_people,
    provider_child,
    remote_hints,
    validate_host,
    welcome,
)
from gateway.cli.doctor.checks import registrations
from gateway.faults import UsageFault
from tests.gateway.commands import vestibule


def scene(**changes: object) -> Scene:
    given = {"port": 8000, "provider_port": 9400, "app": Path("/somewhere/app.py"), "app_id": "app", "api_port": 9001}
    return Scene(**(given | changes))  # type: ignore[arg-type]  # a factory of keywords


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], [Person("dev")]),
        (["alice:analyst"], [Person("alice", ("analyst",))]),
        (["alice:analyst+admin"], [Person("alice", ("analyst", "admin"))]),
        (["alice:analyst", "bob"], [Person("alice", ("analyst",)), Person("bob")]),
        (["alice:analyst, bob:viewer"], [Person("alice", ("analyst",)), Person("bob", ("viewer",))]),
        (["ada@example.org:"], [Person("ada@example.org")]),
    ],
)
def test_people_are_read_from_the_command_line(given: list[str], expected: list[Person]) -> None:
    assert list(parse_people(given)) == expected


@pytest.mark.parametrize(
    "given", [[""], ["a b"], [":analyst"], ["alice:an alyst"], ["alice:analyst; boss"], ["alice", "alice:x"], ["a,,b"]]
)
def test_invalid_people_on_the_command_line_are_refused(given: list[str]) -> None:
    with pytest.raises(UsageFault, match="--as"):
        parse_people(given)


def test_the_error_for_an_invalid_name_says_which_names_are_allowed() -> None:
    with pytest.raises(UsageFault, match="letters and digits of ASCII"):
        parse_people(["Zoë"])


def test_a_development_person_has_the_claims_that_apps_use() -> None:
    claims = Person("ada.lovelace@example.org", ("analyst",)).claims()
    assert claims["sub"] == "ada.lovelace@example.org"
    assert (claims["name"], claims["preferred_username"]) == ("Ada Lovelace", "ada.lovelace")
    assert (claims["email"], claims["email_verified"]) == ("ada.lovelace@example.org", True)
    assert (claims["roles"], claims["groups"]) == (["analyst"], ["everybody"])
    assert Person("bob").claims()["email"] == "bob@example.com"


def test_the_provider_and_the_front_door_are_two_sites_for_a_browser() -> None:
    settings = build_settings(scene())
    assert settings.server.public_url == "http://localhost:8000"
    assert settings.providers["mock"].issuer == "http://127.0.0.1:8000"
    assert settings.providers["mock"].backchannel_url == "http://127.0.0.1:9400"
    assert settings.is_development


def test_the_front_door_serves_the_provider_as_a_public_route_without_cookies_or_identity() -> None:
    route = build_settings(scene()).route("mock")
    assert route is not None
    assert (route.host, route.auth, route.token, route.identity_headers) == ("127.0.0.1:8000", "public", "none", "none")


@pytest.mark.parametrize(("host", "bind"), [("localhost", "localhost:8000"), ("0.0.0.0", "0.0.0.0:8000")])
def test_the_front_door_listens_at_the_given_address_and_has_the_name_localhost(host: str, bind: str) -> None:
    validate_host(host)
    server = build_settings(scene(host=host)).server
    assert (server.bind, server.public_url) == (bind, "http://localhost:8000")


@pytest.mark.parametrize("command", [("dev", "app.py"), ("demo",)], ids=["dev", "demo"])
def test_an_unsupported_address_to_listen_on_is_refused(tmp_path: Path, command: tuple[str, ...]) -> None:
    (tmp_path / "app.py").write_text("")
    done = vestibule(*command, "--host", "192.168.0.9", folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("--host 192.168.0.9: write localhost")


def test_the_start_message_has_one_command_with_one_port_for_another_machine() -> None:
    session = {"USER": "ann", "SSH_CONNECTION": "10.0.0.2 50000 10.0.0.9 22"}
    assert "ssh -L 8000:localhost:8000 ann@10.0.0.9" in remote_hints(scene(), environ=session)[0]
    assert "ssh -L 8000:localhost:8000 ann@this-machine" in remote_hints(scene(), environ={"USER": "ann"})[0]
    assert "can sign in as anybody" not in "".join(remote_hints(scene(), environ=session))
    assert "can sign in as anybody" in "".join(remote_hints(scene(host="0.0.0.0"), environ=session))


def test_secrets_are_new_for_every_run() -> None:
    one, two = build_settings(scene()), build_settings(scene())
    assert one.secrets.keys != two.secrets.keys
    assert one.secrets.admin_token != two.secrets.admin_token
    assert one.kit_clients["app"].secret != two.kit_clients["app"].secret


def test_the_api_gets_an_assertion_and_the_app_may_call_the_api() -> None:
    settings = build_settings(scene(audience="models-api", api_prefix="/backend/"))
    api = settings.route("api")
    assert api is not None
    assert (api.path, api.strip_prefix, api.token, api.audience, api.csrf) == (
        "/backend/",
        True,
        "assertion",
        "models-api",
        "fetch",
    )
    assert settings.kit_clients["app"].routes == ("api",)
    assert settings.kit_clients["app"].audiences == ("models-api",)


def test_without_an_api_there_is_no_route_to_one() -> None:
    settings = build_settings(scene(api_port=0))
    assert [route.id for route in settings.routes] == ["app", "mock"]
    assert settings.kit_clients["app"].routes == ()


def test_the_api_fetches_keys_with_an_internal_host_that_the_front_door_accepts() -> None:
    variables = api_variables(scene(audience="models-api"))
    assert variables == {
        "VESTIBULE_JWT__ISSUER": "http://localhost:8000",
        "VESTIBULE_JWT__AUDIENCE": "models-api",
        "VESTIBULE_JWT__JWKS_URL": "http://127.0.0.1:8000/auth/jwks.json",
    }
    assert "127.0.0.1:8000" in build_settings(scene()).server.internal_hosts


def test_the_fake_provider_knows_the_people_and_gets_no_variable_of_the_shell() -> None:
    child = provider_child(scene(), PEOPLE, environ={"PATH": "/bin", "SECRET": "canary"})
    handed = json.loads(child.handed)
    assert [person["sub"] for person in handed["people"]] == ["alice", "bob"]
    assert handed["people"][0]["roles"] == ["analyst", "admin"]
    assert "SECRET" not in child.environment


def test_the_fake_provider_and_the_front_door_have_the_same_secret_and_addresses() -> None:
    given = scene()
    wanted = next(registrations(build_settings(given)))
    client = json.loads(provider_child(given, PEOPLE, environ={}).handed)["client"]
    assert client["client_id"] == wanted.client_id
    assert client["redirect_uris"] == [wanted.redirect_uri]
    assert client["post_logout_redirect_uris"] == [wanted.post_logout_redirect_uri]
    assert client["backchannel_logout_uri"] == wanted.backchannel_logout_uri
    assert client["secret"] == build_settings(given).providers["mock"].client_secret.get_secret_value()


def test_the_secret_of_the_fake_provider_is_in_no_command_line_and_no_variable() -> None:
    given = scene()
    child = provider_child(given, PEOPLE, environ={"PATH": "/bin"})
    assert given.client_secret not in repr((given, child, child.program, dict(child.environment)))
    assert given.client_secret.encode() in child.handed


def test_the_start_message_has_one_address_the_people_and_how_to_stop() -> None:
    text = welcome(scene(), PEOPLE, title="The demonstration", hints=["Try this."])
    assert text.count("http") == 1
    assert "http://localhost:8000" in text
    assert "alice (analyst, admin)" in text
    assert "bob (viewer)" in text
    assert "Ctrl-C" in text


def test_the_start_message_says_when_the_api_did_not_start() -> None:
    text = welcome(scene(), PEOPLE, title="app.py", hints=[], trouble=["The API main:ap is not running: no ap"])
    assert "app.py is ready, but its API is not: http://localhost:8000" in text
    assert "The API main:ap is not running: no ap" in text


def test_the_page_runs_in_the_folder_of_its_script() -> None:
    route = build_settings(scene(app=Path("/somewhere/deep/app.py"))).route("app")
    assert route is not None
    assert route.streamlit.cwd == "/somewhere/deep"


def test_the_fake_provider_knows_the_address_of_the_application() -> None:
    client = json.loads(provider_child(scene(app_title="Rookery"), PEOPLE, environ={}).handed)["client"]
    assert (client["name"], client["uri"]) == ("Rookery", "http://localhost:8000")


@pytest.mark.parametrize("option", ["--read", "--write"])
def test_a_path_that_does_not_exist_is_refused_at_the_start(tmp_path: Path, option: str) -> None:
    (tmp_path / "app.py").write_text("")
    done = vestibule("dev", "app.py", option, "/no/such/folder", folder=tmp_path)
    assert (done.returncode, done.stderr) == (
        2,
        f"{option} /no/such/folder: there is no such file or folder; make it, or correct the path\n",
    )


def test_the_demo_is_found_next_to_the_packages() -> None:
    assert (FOLDER / "app.py").is_file()
    assert (FOLDER / "api.py").is_file()
