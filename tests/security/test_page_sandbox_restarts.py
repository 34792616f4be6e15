"""PX-16: processes, files and keyrings that a page leaves or inherits give it no more rights."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.sandbox.privileges import KEYCTL
from tests.gateway.running_processes import is_alive, wait_until, wait_until_gone
from tests.security.paged_door import SECRETS, Starter, command_as, environment, laid_out, may_start_as, running

pytestmark = pytest.mark.timeout(240)
STARTERS: tuple[Starter, ...] = ("root", "plain", "switching")
SWITCHING: tuple[Starter, ...] = ("root", "switching")
LEAVE_THE_GROUP = """
import subprocess, sys
program = [sys.executable, "-c", "import time; time.sleep(60)"]
nothing = subprocess.DEVNULL
answer = subprocess.Popen(program, start_new_session=True, stdin=nothing, stdout=nothing, stderr=nothing).pid
"""
ADD_KEY, SESSION_KEYRING, REVOKE, READ = 248, -3, 3, 11


@pytest.fixture
def starter(request: pytest.FixtureRequest) -> Starter:
    starter: Starter = request.param
    if reason := may_start_as(starter):
        pytest.skip(reason)
    return starter


def started_as(starters: tuple[Starter, ...]) -> pytest.MarkDecorator:
    ids = [f"door-started-as-{name}" for name in starters]
    return pytest.mark.parametrize("starter", starters, ids=ids, indirect=True)


def configure(place: Path, more: str) -> None:
    """Add `more` to the settings of alpha's page."""
    file = place / "etc" / "vestibule.toml"
    head, found, rest = file.read_text().partition("[routes.streamlit]\n")
    assert found
    file.write_text(head + found + more + rest)


@started_as(SWITCHING)
def test_px_16_a_process_that_left_the_process_group_of_a_page_ends_with_the_page(starter: Starter) -> None:
    with laid_out(starter=starter) as place, running(place, starter=starter) as door:
        left = door.run_in("alpha", LEAVE_THE_GROUP)
        of_neighbour = door.run_in("beta", LEAVE_THE_GROUP)
        os.kill(door.page("alpha"), signal.SIGKILL)
        wait_until_gone([left], seconds=15)
        assert is_alive(of_neighbour)
        door.stop()
        wait_until_gone([of_neighbour], seconds=15)


@started_as(STARTERS)
def test_px_16_a_link_that_replaces_the_folder_of_a_page_is_not_followed(starter: Starter) -> None:
    """The page may change `data`, so it can put a link to the secrets where its next start expects `data/models`."""
    with laid_out(starter=starter) as place:
        data = place / "pages" / "data"
        (data / "models").mkdir(parents=True)
        for folder in (data, data / "models"):
            folder.chmod(0o777)
        configure(place, f'write = ["{data}"]\nread = ["{data}/models"]\n')
        with running(place, starter=starter) as door:
            code = (
                f"import os\nos.rename({str(data / 'models')!r}, {str(data / 'old')!r})\n"
                f"os.symlink({str(place / 'etc')!r}, {str(data / 'models')!r})\nanswer = 1\n"
            )
            assert door.run_in("alpha", code) == 1
            os.kill(door.page("alpha"), signal.SIGKILL)
            refusal = f"a link is in the way: {data / 'models'}"
            wait_until(lambda: refusal in door.log.read_text(), seconds=20)


def own_python(place: Path) -> Path:
    """A virtual environment in `conf`, a folder of the user who starts the front door."""
    folder = place / "conf" / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    packages = next(entry for entry in sys.path if entry.endswith("site-packages"))
    site = next(folder.glob("lib/python3*/site-packages"))
    (site / "others.pth").write_text(packages + "\n")
    return folder / "bin" / "python"


def check_as_owner(place: Path, *, file: Path, python: Path = Path(sys.executable)) -> subprocess.CompletedProcess[str]:
    """`vestibule config check` by the plain user to whom all of `place` belongs."""
    if os.geteuid() == 0:
        owner = place.stat()
        for path in place.rglob("*"):
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
    program = (str(python), "-m", "gateway.cli.main", "config", "check", "-c", str(file))
    command = command_as("plain", program, place=place)
    return subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("what", ["configuration", "Python"])
def test_px_16_a_page_cannot_change_files_that_the_next_start_runs_or_trusts(what: str) -> None:
    with laid_out(starter="plain") as place:
        (place / "conf").mkdir()
        configure(place, f'write = ["{place}/conf"]\n')
        python, file = Path(sys.executable), place / "etc" / "vestibule.toml"
        if what == "Python":
            python = own_python(place)
        else:
            text = file.read_text()
            for name in SECRETS:
                text = text.replace(f'"{name}"', f'"{place}/etc/{name}"')
            file = place / "conf" / "vestibule.toml"
            file.write_text(text)
        done = check_as_owner(place, file=file, python=python)
        assert done.returncode == 2, done.stderr
        assert f"routes.alpha.streamlit.write: the page may change {place}/conf" in done.stderr
        assert what in done.stderr
        assert "name a folder that holds nothing but what the page writes" in done.stderr


def test_px_16_a_page_cannot_change_a_link_that_leads_to_a_secret() -> None:
    with laid_out(starter="plain") as place:
        (place / "data").mkdir()
        configure(place, f'write = ["{place}/data"]\n')
        keys = place / "etc" / "keys"
        keys.rename(place / "own" / "keys")
        (place / "data" / "keys").symlink_to(place / "own" / "keys")
        keys.symlink_to(place / "data" / "keys")
        done = check_as_owner(place, file=place / "etc" / "vestibule.toml")
        assert done.returncode == 2, done.stderr
        assert "secrets.keys_file" in done.stderr


@pytest.fixture
def key() -> Iterator[int]:
    """The number of a key in the session keyring of the user who runs this test. The front door inherits it."""
    if os.uname().machine != "x86_64":
        pytest.skip("the number of this call is that of x86_64")
    libc = ctypes.CDLL(None, use_errno=True)
    number = libc.syscall(ADD_KEY, b"user", b"vestibule-test", b"canary", ctypes.c_size_t(6), SESSION_KEYRING)
    if number < 0:
        pytest.skip("this system has no keyrings for programs")
    yield number
    libc.syscall(KEYCTL["x86_64"], REVOKE, number)


@started_as(STARTERS)
def test_px_16_a_page_does_not_get_the_kernel_keyring_of_the_user_who_started_the_front_door(
    starter: Starter, key: int
) -> None:
    code = (
        "import ctypes\nfound = ctypes.create_string_buffer(40)\n"
        f"length = ctypes.CDLL(None).syscall({KEYCTL['x86_64']}, {READ}, {key}, found, ctypes.c_size_t(40))\n"
        "answer = found.value.decode() if length > 0 else ''\n"
    )
    with laid_out(starter=starter) as place, running(place, starter=starter) as door:
        assert door.run_in("alpha", code) == ""
