"""PX-16: a secret in a folder that a page may read is a fault before anything starts, wherever links lead."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.security.paged_door import Starter, command_as, environment, laid_out, vestibule

STARTER: Starter = "plain"


@pytest.fixture
def place() -> Iterator[Path]:
    with laid_out(starter=STARTER) as laid:
        yield laid


def tell(place: Path, command: str) -> subprocess.CompletedProcess[str]:
    """Run `vestibule …` to its end, as the plain user to whom `place` belongs."""
    if os.geteuid() == 0:
        owner = place.stat()
        for path in place.rglob("*"):
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
    whole = command_as(STARTER, vestibule(command, place), place=place)
    return subprocess.run(whole, env=environment(), capture_output=True, text=True, timeout=60)


def change(place: Path, old: str, new: str) -> None:
    file = place / "etc" / "vestibule.toml"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))


def key_in_the_pages_folder(place: Path) -> str:
    (place / "etc" / "keys").rename(place / "pages" / "alpha" / "keys")
    change(place, '"keys"', '"../pages/alpha/keys"')
    return "secrets.keys_file"


def key_behind_a_link(place: Path) -> str:
    (place / "pages" / "alpha" / "hidden").mkdir()
    (place / "etc" / "keys").rename(place / "pages" / "alpha" / "hidden" / "keys")
    (place / "etc" / "keys").symlink_to(place / "pages" / "alpha" / "hidden" / "keys")
    return "secrets.keys_file"


def folder_behind_a_link(place: Path) -> str:
    (place / "pages" / "alpha" / "data").symlink_to(place / "etc")
    change(place, "[routes.streamlit]", '[routes.streamlit]\nread = ["data"]')
    return "secrets.keys_file"


def another_pages_kit_secret(place: Path) -> str:
    (place / "etc" / "kit-beta").rename(place / "pages" / "alpha" / "kit-beta")
    change(place, '"kit-beta"', '"../pages/alpha/kit-beta"')
    return "kit_clients.beta.secret_file"


def configuration_with_a_secret_in_it(place: Path) -> str:
    secret = (place / "etc" / "admin-token").read_text().strip()
    change(place, 'admin_token_file = "admin-token"', f'admin_token = "{secret}"')
    (place / "etc" / "vestibule.toml").chmod(0o600)
    change(place, "[routes.streamlit]", f'[routes.streamlit]\nread = ["{place}/etc/vestibule.toml"]')
    return "a secret is written into it"


FAULTS = (
    key_in_the_pages_folder,
    key_behind_a_link,
    folder_behind_a_link,
    another_pages_kit_secret,
    configuration_with_a_secret_in_it,
)


@pytest.mark.parametrize("arrange", FAULTS, ids=[arrange.__name__ for arrange in FAULTS])
def test_px_16_the_front_door_does_not_start_when_a_page_can_reach_a_secret(place: Path, arrange: object) -> None:
    assert callable(arrange)
    key = arrange(place)
    for command in ("config check", "run"):
        done = tell(place, command)
        assert done.returncode == 2, done.stderr
        assert key in done.stderr
        assert "move the secret out of every folder of a page" in done.stderr
        assert "Traceback" not in done.stderr
    report = json.loads(tell(place, "doctor --json").stdout)
    faults = [one["message"] for one in report["findings"] if one["part"] == "routes.alpha.streamlit.sandbox"]
    assert any(key in message for message in faults)


def test_px_16_a_page_may_read_a_configuration_without_secrets(place: Path) -> None:
    change(place, "[routes.streamlit]", f'[routes.streamlit]\nread = ["{place}/etc/vestibule.toml"]')
    assert tell(place, "config check").returncode == 0


def test_px_16_check_and_doctor_say_how_each_page_is_separated(place: Path) -> None:
    done = tell(place, "config check")
    assert (done.returncode, done.stdout) == (0, "ok\n")
    for name in ("alpha", "beta"):
        assert f"page {name}: runs as " in done.stderr
        assert str(place / "pages" / name) in done.stderr
    report = json.loads(tell(place, "doctor --json").stdout)
    found = {one["part"]: one for one in report["findings"]}
    assert found["routes.alpha.streamlit.sandbox"]["level"] == "ok"


def test_px_16_check_and_doctor_say_when_a_page_is_not_separated(place: Path) -> None:
    change(place, "[routes.streamlit]", '[routes.streamlit]\nsandbox = "none"')
    done = tell(place, "config check")
    assert done.returncode == 0
    assert "page alpha: no sandbox" in done.stderr
    assert "can read every secret of the front door" in done.stderr
    report = json.loads(tell(place, "doctor --json").stdout)
    assert [one for one in report["findings"] if one["level"] == "warning" and one["part"].startswith("routes.alpha.")]
