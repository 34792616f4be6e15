"""How a page is separated, depending on the rights of the front door and on the kernel."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bff.settings.tables import StreamlitChild
from gateway.faults import UsageFault
from gateway.sandbox.accounts import FIRST, LAST, Account, find_account, free_account, may
from gateway.sandbox.interpreters import folders_of, own_folders
from gateway.sandbox.means import Means, look
from gateway.sandbox.plan import Plan
from gateway.sandbox.reach import Allowed, Secret, faults
from gateway.sandbox.separation import Page, Surroundings, separate
from gateway.sandbox.ways import Impossible, find_ways

NOTHING = Means(uid=1000)
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can try what another user reaches")
with_landlock = pytest.mark.skipif(not look().landlock, reason="this kernel has no Landlock")


@pytest.fixture
def folder() -> Iterator[Path]:
    """With the page in it; every user gets there."""
    place = Path(tempfile.mkdtemp(prefix="vestibule-test-", dir="/tmp"))
    place.chmod(0o755)
    (place / "app.py").write_text("import streamlit as st\n")
    yield place
    shutil.rmtree(place)


def page(folder: Path, **child: object) -> Page:
    return Page(
        key="routes.pages",
        name="pages",
        settings=StreamlitChild.model_validate(child),
        python=sys.executable,
        has_own_python=True,
        script=folder / "app.py",
        folder=folder,
        environment={},
    )


def around(means: Means, *, secrets: tuple[Secret, ...] = (), development: bool = False) -> Surroundings:
    return Surroundings(means=means, secrets=secrets, base="/tmp/vestibule-pages-none", development=development)


def test_production_refuses_to_start_when_pages_cannot_be_separated(folder: Path) -> None:
    with pytest.raises(UsageFault, match=r"routes\.pages\.streamlit: there is no Landlock.*sandbox = \"none\""):
        separate(page(folder), around(NOTHING), taken=set())


def test_development_starts_with_a_warning_when_pages_cannot_be_separated(folder: Path) -> None:
    found = separate(page(folder), around(NOTHING, development=True), taken=set())
    assert found.plan is None
    assert "can read every secret" in found.warning
    assert "production would not start" in found.warning


@pytest.mark.parametrize("development", [True, False], ids=["development", "production"])
def test_a_page_with_sandbox_none_runs_without_separation_and_with_a_warning(folder: Path, development: bool) -> None:
    found = separate(page(folder, sandbox="none"), around(look(), development=development), taken=set())
    assert found.plan is None or not found.plan.landlock
    assert found.plan is None or (found.plan.capabilities, found.plan.uid) == (0, -1)
    assert 'sandbox = "none"' in found.warning


def test_no_page_runs_as_root_in_production(folder: Path) -> None:
    with pytest.raises(UsageFault, match="a page must not run as root"):
        separate(page(folder), around(Means(uid=0, landlock=7)), taken=set())


def test_a_user_that_cannot_be_used_is_an_error_in_every_mode(folder: Path) -> None:
    with pytest.raises(UsageFault, match=r"streamlit\.user: this process may not become 60999.*CAP_SETUID"):
        separate(page(folder, user="60999"), around(NOTHING, development=True), taken=set())
    with pytest.raises(UsageFault, match=r"streamlit\.user: no user nobody-is-called-so on this machine"):
        separate(page(folder, user="nobody-is-called-so"), around(NOTHING), taken=set())


@pytest.mark.parametrize("wide", ["/", "/etc", "/tmp", "/home", "/var", "/proc/../etc"])
@pytest.mark.parametrize("key", ["read", "write"])
def test_a_folder_that_is_too_wide_for_a_page_is_refused(folder: Path, wide: str, key: str) -> None:
    with pytest.raises(UsageFault, match=rf"routes\.pages\.streamlit\.{key}: .* is too wide for a page"):
        separate(page(folder, **{key: (wide,)}), around(look()), taken=set())


@pytest.mark.parametrize("development", [True, False], ids=["development", "production"])
def test_a_secret_in_the_folder_of_the_page_is_an_error(folder: Path, development: bool) -> None:
    (folder / "secrets").mkdir()
    (folder / "secrets" / "keys").write_text("x")
    secret = Secret(folder / "secrets" / "keys", "secrets.keys_file")
    with pytest.raises(UsageFault, match=r"routes\.pages\.upstream: .*keys \(secrets\.keys_file\) lies in it"):
        separate(page(folder), around(look(), secrets=(secret,), development=development), taken=set())


def test_links_are_followed_before_a_secret_counts_as_unreachable(folder: Path) -> None:
    outside = folder / "outside"
    outside.mkdir()
    (outside / "keys").write_text("x")
    inside = folder / "page"
    inside.mkdir()
    (inside / "linked-folder").symlink_to(outside)
    (outside / "linked-key").symlink_to(inside / "real-key")
    (inside / "real-key").write_text("x")
    allowed = [Allowed(inside, "upstream")]
    assert list(faults(allowed, [Secret(outside / "keys", "k")])) == []
    assert list(faults(allowed, [Secret(outside / "linked-key", "k")]))
    assert list(faults([Allowed(inside / "linked-folder", "streamlit.read")], [Secret(outside / "keys", "k")]))
    assert list(faults(allowed, [Secret(inside / "linked-folder" / "keys", "k")]))


@as_root
def test_a_world_readable_secret_is_an_error_where_landlock_does_not_hide_it(folder: Path) -> None:
    elsewhere = folder / "etc"
    elsewhere.mkdir()
    (elsewhere / "keys").write_text("x")
    (folder / "page").mkdir()
    (folder / "page" / "app.py").write_text("")
    secret = Secret(elsewhere / "keys", "secrets.keys_file")
    without = replace(look(), landlock=0)
    with pytest.raises(UsageFault, match=r"the page could still read .*keys"):
        separate(page(folder / "page"), around(without, secrets=(secret,)), taken=set())
    (elsewhere / "keys").chmod(0o600)
    found = separate(page(folder / "page"), around(without, secrets=(secret,)), taken=set())
    assert "without Landlock" in found.says


@as_root
def test_each_page_gets_a_user_id_that_no_account_uses(folder: Path) -> None:
    taken: set[int] = set()
    plans = [separate(page(folder), around(look()), taken=taken).plan for _ in range(2)]
    users = [plan.uid for plan in plans if plan]
    assert len({*users, os.geteuid()}) == 3
    assert all(FIRST <= uid <= LAST for uid in users)


@as_root
def test_production_names_the_folder_that_the_user_of_the_page_cannot_enter(folder: Path) -> None:
    (folder / "closed").mkdir(mode=0o700)
    (folder / "closed" / "page").mkdir(mode=0o755)
    (folder / "closed" / "page" / "app.py").write_text("")
    unable = replace(look(), may_mount=False)
    with pytest.raises(UsageFault, match=r"cannot get to .*: /.* is closed to it; .*chmod o\+x"):
        separate(page(folder / "closed" / "page"), around(unable), taken=set())


@as_root
@with_landlock
def test_development_keeps_its_own_user_when_another_user_cannot_reach_the_page(folder: Path) -> None:
    folder.chmod(0o700)
    found = separate(page(folder), around(look(), development=True), taken=set())
    assert found.plan is not None
    assert (found.plan.switches, bool(found.plan.landlock)) == (False, True)
    assert "production would refuse to start" in found.warning


@as_root
def test_a_folder_that_a_page_may_write_must_be_writable_for_its_user(folder: Path) -> None:
    (folder / "data").mkdir(mode=0o755)
    with pytest.raises(UsageFault, match=r"may not change .*data \(streamlit\.write\)"):
        separate(page(folder, write=("data",)), around(look()), taken=set())
    os.chown(folder / "data", 60_699, 60_699)
    found = separate(page(folder, write=("data",), user="60699"), around(look()), taken=set())
    assert found.plan is not None
    assert found.plan.uid == 60_699
    assert "user 60699" in found.says


def test_a_python_that_cannot_start_is_named(folder: Path) -> None:
    broken = folder / "python"
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)
    means = replace(look(), may_mount=look().may_mount)
    if not (means.landlock or means.may_switch):
        pytest.skip("no means to keep a page apart here")
    with pytest.raises(UsageFault, match=r"its Python .* does not start there"):
        separate(replace(page(folder), python=str(broken), has_own_python=False), around(means), taken=set())


def test_a_plan_reaches_the_launcher_unchanged() -> None:
    plan = Plan(uid=5, gid=6, rules=(("/usr", "read"),), closed=("/root",), binds=(("/a", "/b"),), private="/tmp/x")
    assert Plan.from_json(plan.to_json()) == plan


def test_a_python_is_found_with_its_environment_and_its_installation() -> None:
    found = {folder.resolve() for folder in folders_of(sys.executable)}
    assert {Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve()} <= found
    assert found <= {folder.resolve() for folder in own_folders()}


def test_a_folder_that_only_has_a_bin_folder_is_not_a_python(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3").symlink_to(os.path.realpath(sys.executable))
    assert tmp_path not in folders_of(str(tmp_path / "bin" / "python3"))


def test_a_virtual_environment_that_refers_to_itself_is_followed_once(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3").touch()
    (tmp_path / "pyvenv.cfg").write_text(f"home = {tmp_path / 'bin'}\n")
    assert folders_of(str(tmp_path / "bin" / "python3")) == [tmp_path]


def test_file_modes_decide_what_a_user_may_do(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    owner = file.stat()
    mine, of_group = Account(owner.st_uid, 1), Account(owner.st_uid + 1, owner.st_gid)
    stranger = Account(owner.st_uid + 1, owner.st_gid + 1)
    file.chmod(0o640)
    assert [may(who, file, 4) for who in (mine, of_group, stranger)] == [True, True, False]
    assert [may(who, file, 6) for who in (mine, of_group, stranger)] == [True, False, False]
    file.chmod(0o004)
    assert [may(who, file, 4) for who in (mine, of_group, stranger)] == [False, False, True]


def test_a_missing_file_needs_no_access_check() -> None:
    assert find_ways([Allowed(Path("/no/such/folder"), "x")], Account(60_999, 60_999), may_mount=False) == ((), ())


def test_a_closed_folder_is_reported_as_unreachable(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with pytest.raises(Impossible, match="may not read"):
        find_ways([Allowed(tmp_path, "upstream")], Account(60_999, 60_999), may_mount=True)


def test_accounts_are_found_by_name_and_by_number() -> None:
    assert find_account("root") == Account(0, 0, "root")
    assert find_account("60999") == Account(60_999, 60_999)
    assert find_account("nobody-is-called-so") is None
    chosen = free_account(taken={FIRST})
    assert chosen is None or chosen.uid > FIRST


def test_only_one_front_door_can_choose_a_user_id() -> None:
    """Two front doors that start at the same time do not yet see processes of each other's pages."""
    first = free_account(taken=())
    if first is None:
        pytest.skip("this system has no such users")
    program = "from gateway.sandbox.accounts import free_account; print(free_account(taken=()).uid)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(done.stdout) != first.uid
