"""Which access rights each kernel version gets, and that a rule denies all other paths."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gateway.sandbox.allowances import TOO_WIDE, defaults
from gateway.sandbox.landlock import GRANTS, Right, handled_rights, kernel_version, rights_of, scopes

NEWEST = 7
ROOT = Path(__file__).parents[3]
needs_landlock = pytest.mark.skipif(not kernel_version(), reason="this kernel has no Landlock")


@pytest.mark.parametrize(
    ("version", "unknown"),
    [
        (1, Right.REFER | Right.TRUNCATE | Right.IOCTL_DEV),
        (2, Right.TRUNCATE | Right.IOCTL_DEV),
        (3, Right.IOCTL_DEV),
        (4, Right.IOCTL_DEV),
        (5, Right(0)),
        (NEWEST, Right(0)),
        (99, Right(0)),
    ],
)
def test_a_kernel_gets_only_the_access_rights_that_its_version_knows(version: int, unknown: Right) -> None:
    assert handled_rights(version) & unknown == 0
    assert handled_rights(version) | unknown == handled_rights(NEWEST)
    for kind in GRANTS:
        assert rights_of(kind, version=version, is_folder=True) & unknown == 0


@pytest.mark.parametrize(("version", "expected"), [(1, 0), (5, 0), (6, 3), (7, 3)])
def test_signals_and_abstract_sockets_are_restricted_where_the_kernel_supports_it(version: int, expected: int) -> None:
    assert scopes(version) == expected


def test_the_right_to_read_does_not_include_the_right_to_change() -> None:
    changing = Right.WRITE_FILE | Right.TRUNCATE | Right.REMOVE_FILE | Right.MAKE_REG | Right.MAKE_SYM
    assert rights_of("read", version=NEWEST, is_folder=True) & changing == 0
    assert rights_of("list", version=NEWEST, is_folder=True) == Right.READ_DIR


def test_a_page_cannot_create_devices() -> None:
    for kind in GRANTS:
        assert rights_of(kind, version=NEWEST, is_folder=True) & (Right.MAKE_BLOCK | Right.MAKE_CHAR) == 0


def test_a_rule_for_a_file_has_no_rights_for_folders() -> None:
    assert rights_of("write", version=NEWEST, is_folder=False) & Right.READ_DIR == 0
    assert rights_of("list", version=NEWEST, is_folder=False) == 0


def test_the_default_rules_allow_no_folder_with_data_of_others() -> None:
    allowed = {Path(path) for path, _ in defaults()}
    assert not allowed & set(TOO_WIDE)
    assert not [path for path, kind in defaults() if kind == "write" and path != "/dev/shm"]
    for secret in ("/etc/shadow", "/etc/ssl/private", "/etc/sudoers", "/root", "/run/secrets", "/dev/mem", "/dev/pts"):
        assert not [path for path in allowed if path == Path(secret) or path in Path(secret).parents], secret


def test_devices_of_graphics_cards_are_allowed_where_they_exist(tmp_path: Path) -> None:
    (tmp_path / "nvidia0").touch()
    (tmp_path / "sda").touch()
    found = dict(defaults(devices=tmp_path))
    assert found[str(tmp_path / "nvidia0")] == "device"
    assert str(tmp_path / "sda") not in found
    assert "/sys/class/drm" in found


@needs_landlock
@pytest.mark.parametrize("version", range(1, kernel_version() + 1))
def test_every_landlock_version_up_to_that_of_the_kernel_protects_a_file(tmp_path: Path, version: int) -> None:
    (tmp_path / "shown").mkdir()
    (tmp_path / "shown" / "file").write_text("shown")
    (tmp_path / "hidden").write_text("hidden")
    code = (
        "import sys\nfrom gateway.sandbox import landlock, privileges\nprivileges.forbid_new_privileges()\n"
        f"landlock.restrict([({str(tmp_path / 'shown')!r}, 'read'), ('/no/such/path', 'read')], version={version})\n"
        f"print(open({str(tmp_path / 'shown' / 'file')!r}).read())\n"
        f"try:\n    print(open({str(tmp_path / 'hidden')!r}).read())\nexcept PermissionError:\n    print('refused')\n"
        f"try:\n    open({str(tmp_path / 'shown' / 'file')!r}, 'a')\nexcept PermissionError:\n    print('refused')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["shown", "refused", "refused"]
