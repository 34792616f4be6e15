from __future__ import annotations

from pathlib import Path

import pytest

from streamlit_kit import KitMisconfigured
from streamlit_kit.settings import read_settings
from streamlit_kit.transport import create_http_client

GOOD = {
    "VESTIBULE_KIT__URL": "http://127.0.0.1:8000/",
    "VESTIBULE_KIT__CLIENT": "dashboards",
    "VESTIBULE_KIT__SECRET": "environment-secret",
}


def test_three_variables_are_enough() -> None:
    settings = read_settings(GOOD)
    assert settings.auth_url == "http://127.0.0.1:8000/auth"
    assert settings.credential == "dashboards:environment-secret"
    assert settings.public_base == "http://127.0.0.1:8000"
    assert not settings.public_url
    assert not settings.routes


def test_all_settings_can_be_set(tmp_path: Path) -> None:
    secret, authority = tmp_path / "secret", tmp_path / "ca.pem"
    secret.write_text("file-secret\n")
    authority.write_text("")
    settings = read_settings(
        {
            "VESTIBULE_KIT__URL": "http://vestibule:8000",
            "VESTIBULE_KIT__CLIENT": "dashboards",
            "VESTIBULE_KIT__SECRET_FILE": str(secret),
            "VESTIBULE_KIT__CA_FILE": str(authority),
            "VESTIBULE_KIT__ROUTES": '{"api": "/api/", "admin": "/admin"}',
            "VESTIBULE_KIT__AUTH_PATH": "/sso/auth",
            "VESTIBULE_KIT__PUBLIC_URL": "https://apps.example.com/base/",
            "VESTIBULE_KIT__NO_ROUTES": "Start it with --api.",
        }
    )
    assert settings.secret == "file-secret"
    assert settings.no_routes == "Start it with --api."
    assert settings.routes == {"api": "/api/", "admin": "/admin"}
    assert settings.auth_url == "http://vestibule:8000/sso/auth"
    assert settings.public_auth_path == "/base/sso/auth"


def test_without_a_front_door_the_message_says_what_to_set_and_what_to_run() -> None:
    with pytest.raises(KitMisconfigured) as caught:
        read_settings({})
    for word in ("VESTIBULE_KIT__URL", "VESTIBULE_KIT__CLIENT", "VESTIBULE_KIT__SECRET", "vestibule dev"):
        assert word in caught.value.message


def test_all_errors_are_reported_at_once_without_a_secret() -> None:
    with pytest.raises(KitMisconfigured) as caught:
        read_settings(
            GOOD
            | {
                "VESTIBULE_KIT__CLIENT": "Not A Name",
                "VESTIBULE_KIT__SECRET": "two\nlines-of-secret",
                "VESTIBULE_KIT__ROUTES": "{",
                "VESTIBULE_KIT__CA_FILE": "missing.pem",
            }
        )
    message = caught.value.message
    for word in (
        "VESTIBULE_KIT__CLIENT",
        "VESTIBULE_KIT__ROUTES",
        "VESTIBULE_KIT__CA_FILE",
        "secret of the kit client",
    ):
        assert word in message
    assert "lines-of-secret" not in message


@pytest.mark.parametrize(
    "change",
    [
        {"VESTIBULE_KIT__URL": "ftp://door.example"},
        {"VESTIBULE_KIT__URL": "door.example"},
        {"VESTIBULE_KIT__URL": "https://user:word@door.example"},
        {"VESTIBULE_KIT__URL": "https://door.example/?x=1"},
        {"VESTIBULE_KIT__URL": "https://door.example/#x"},
        {"VESTIBULE_KIT__URL": "https://"},
        {"VESTIBULE_KIT__URL": "https://door.example:port"},
        {"VESTIBULE_KIT__PUBLIC_URL": "javascript:alert(1)"},
        {"VESTIBULE_KIT__CLIENT": ""},
        {"VESTIBULE_KIT__CLIENT": "a:b"},
        {"VESTIBULE_KIT__SECRET": ""},
        {"VESTIBULE_KIT__SECRET": "with space"},
        {"VESTIBULE_KIT__SECRET_FILE": "also-a-file"},
        {"VESTIBULE_KIT__SECRET": "", "VESTIBULE_KIT__SECRET_FILE": "no-such-file"},
        {"VESTIBULE_KIT__AUTH_PATH": "auth"},
        {"VESTIBULE_KIT__AUTH_PATH": "/../auth"},
        {"VESTIBULE_KIT__ROUTES": "[]"},
        {"VESTIBULE_KIT__ROUTES": '{"api": "https://evil.example/"}'},
        {"VESTIBULE_KIT__ROUTES": '{"api": 3}'},
        {"VESTIBULE_KIT__CA_FILE": "missing.pem"},
    ],
)
def test_an_invalid_setting_is_refused(change: dict[str, str]) -> None:
    with pytest.raises(KitMisconfigured):
        read_settings(GOOD | change)


def test_a_ca_file_without_a_certificate_is_a_configuration_error(tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    authority.write_text("not a certificate")
    settings = read_settings(GOOD | {"VESTIBULE_KIT__CA_FILE": str(authority)})
    with pytest.raises(KitMisconfigured, match="CA_FILE"):
        create_http_client(settings)


def test_the_secret_is_not_in_the_repr_of_the_settings() -> None:
    assert "environment-secret" not in repr(read_settings(GOOD))
