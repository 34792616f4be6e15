"""PX-16: code in a page's server cannot reach secrets of the front door or of another page."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.gateway.running_processes import command_line_of, descendants, wait_until_gone
from tests.security.paged_door import SECRETS, PagedDoor, Starter, laid_out, may_start_as, running, tried

pytestmark = pytest.mark.timeout(240)
STARTERS: tuple[Starter, ...] = ("root", "plain", "switching")


@pytest.fixture(scope="module", params=STARTERS, ids=[f"door-started-as-{name}" for name in STARTERS])
def door(request: pytest.FixtureRequest) -> Iterator[PagedDoor]:
    starter: Starter = request.param
    if reason := may_start_as(starter):
        pytest.skip(reason)
    with laid_out(starter=starter) as place, running(place, starter=starter) as started:
        yield started


def refused(door: PagedDoor, lines: Sequence[str], *, page: str = "alpha") -> None:
    """Each of `lines` is refused to the code of `page`."""
    answers = door.run_in(page, tried(lines))
    came_through = [line for line, (outcome, _) in zip(lines, answers, strict=True) if outcome != "refused"]
    assert not came_through, answers


def test_px_16_a_page_cannot_read_a_secret_of_the_front_door(door: PagedDoor) -> None:
    files = [door.place / "etc" / name for name in (*SECRETS, "vestibule.toml")]
    refused(door, [f"open({str(file)!r}).read()" for file in files] + [f"os.listdir({str(door.place / 'etc')!r})"])


def test_px_16_a_page_cannot_read_files_outside_its_folders(door: PagedDoor) -> None:
    own, sibling = door.place / "own", door.place / "pages" / "beta"
    files = [own / "id_ed25519", own / "notes", sibling / "app.py", door.log, Path("/etc/shadow"), Path("/etc/fstab")]
    refused(door, [f"open({str(file)!r}).read()" for file in files] + ["os.listdir('/tmp')", "os.listdir('/etc')"])


@pytest.mark.parametrize("target", ["supervisor", "worker", "sibling"])
def test_px_16_a_page_cannot_inspect_other_processes(door: PagedDoor, target: str) -> None:
    pid = {"supervisor": door.supervisor, "worker": door.worker, "sibling": door.page("beta")}[target]
    parts = ("environ", "mem", "maps", "auxv", "io")
    lines = [f"open('/proc/{pid}/{part}', 'rb').read(64)" for part in parts]
    lines += [f"os.readlink('/proc/{pid}/{part}')" for part in ("cwd", "root", "exe", "fd/1")]
    attach = "__import__('ctypes').CDLL(None).ptrace(16, {0}, 0, 0)"  # PTRACE_ATTACH
    [(outcome, result)] = door.run_in("alpha", tried([attach.format(pid)]))
    assert (outcome, result) == ("done", "-1")
    refused(door, lines)


@pytest.mark.parametrize("target", ["supervisor", "worker", "sibling"])
def test_px_16_a_page_cannot_send_signals_to_other_processes(door: PagedDoor, target: str) -> None:
    pid = {"supervisor": door.supervisor, "worker": door.worker, "sibling": door.page("beta")}[target]
    refused(door, [f"os.kill({pid}, 0)"])


def test_px_16_a_page_can_change_files_only_in_its_private_folder(door: PagedDoor) -> None:
    outside = (door.place / "pages/alpha/new", door.place / "pages/beta/new", Path("/tmp/vestibule-test-new"))
    lines = [f"open({str(path)!r}, 'w')" for path in outside]
    lines += [f"os.remove({str(door.place / 'pages/alpha/app.py')!r})", f"os.mkdir({str(door.place / 'new')!r})"]
    lines += [f"os.rename({str(door.place / 'pages/alpha/app.py')!r}, os.environ['HOME'] + '/app.py')"]
    lines += [f"os.link({str(door.place / 'etc/keys')!r}, os.environ['HOME'] + '/keys')"]
    refused(door, lines)


def test_px_16_a_page_cannot_use_the_private_folder_of_another_page(door: PagedDoor) -> None:
    home = door.run_in("beta", "import os; answer = os.environ['HOME']")
    assert door.run_in("beta", "import os; open(os.environ['HOME'] + '/mine', 'w').write('x'); answer = 1")
    refused(door, [f"open({home + '/mine'!r}).read()", f"os.listdir({home!r})", f"open({home + '/new'!r}, 'w')"])


def test_px_16_a_page_is_not_root_and_has_no_capabilities(door: PagedDoor) -> None:
    status = door.run_in("alpha", "answer = open('/proc/self/status').read()")
    facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    uids, gids = set(facts["Uid"].split()), set(facts["Gid"].split())
    assert len(uids) == len(gids) == 1
    assert "0" not in uids | gids
    assert facts["NoNewPrivs"] == "1"
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(facts[name], 16) == 0, name
    if door.starter == "root":
        assert int(facts["CapBnd"], 16) == 0
    if os.geteuid() == 0:
        assert facts["Groups"].strip() == ""


def test_px_16_pages_run_as_other_users_where_the_front_door_can_switch_users(door: PagedDoor) -> None:
    alpha, beta = (door.run_in(name, "import os; answer = os.getuid()") for name in ("alpha", "beta"))
    supervisor = os.stat(f"/proc/{door.supervisor}/task").st_uid
    if door.starter == "plain":
        assert alpha == beta
    else:
        assert len({alpha, beta, supervisor}) == 3


def test_px_16_only_the_supervisor_can_switch_users_and_send_signals_to_them(door: PagedDoor) -> None:
    switching = 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 19 | 1 << 21  # kill, setgid, setuid, setpcap, ptrace, admin
    for pid in descendants(door.supervisor):
        facts = Path(f"/proc/{pid}/status").read_text()
        for name in ("CapEff", "CapPrm", "CapInh", "CapAmb"):
            held = int(facts.split(f"{name}:")[1].split()[0], 16)
            assert held & switching == 0, (command_line_of(pid), name)


def test_px_16_a_page_has_no_open_file_of_the_front_door(door: PagedDoor) -> None:
    """Its own standard input, output and error, and the tether. The page itself opened everything else."""
    code = (
        "import os\nanswer = {}\n"
        "for name in os.listdir('/proc/self/fd'):\n"
        "    try:\n        answer[name] = os.readlink(f'/proc/self/fd/{name}')\n    except OSError:\n        pass\n"
    )
    held = door.run_in("alpha", code)
    of_door = (
        {
            os.readlink(f"/proc/{pid}/fd/{name}")
            for pid in (door.supervisor, door.worker)
            for name in os.listdir(f"/proc/{pid}/fd")
        }
        if os.geteuid() == 0
        else set()
    )
    shared = {number: target for number, target in held.items() if target in of_door and "[" in target}
    shared = {number: target for number, target in shared.items() if not target.startswith("anon_inode:")}
    assert all(target.startswith("pipe:") for target in shared.values()), shared
    assert len(shared) <= 3, shared


def test_px_16_another_user_cannot_use_a_private_socket_of_the_front_door(door: PagedDoor) -> None:
    """For example a Redis socket of mode 700. Landlock does not stop connections, as docs/threat-model.md says."""
    if door.starter == "plain":
        pytest.skip("the page is the same user, which the threat model tells apart")
    import socket

    path = door.place / "own" / "redis.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        path.chmod(0o700)
        listener.listen()
        os.chown(path, os.stat(door.place).st_uid, os.stat(door.place).st_gid)
        refused(door, [f"socket.socket(socket.AF_UNIX).connect({str(path)!r})"])
    path.unlink()


def test_px_16_the_log_has_the_real_folder_and_user_of_each_page(door: PagedDoor) -> None:
    said = [line for line in door.log.read_text().splitlines() if "page sandbox" in line]
    assert len(said) == 2
    for name, line in zip(("alpha", "beta"), said, strict=True):
        assert str(door.place / "pages" / name) in line
        uid = door.run_in(name, "import os; answer = os.getuid()")
        assert str(uid) in line


@pytest.mark.parametrize("starter", STARTERS, ids=[f"door-started-as-{name}" for name in STARTERS])
def test_px_16_pages_of_a_killed_front_door_end_and_their_files_are_removed(starter: Starter) -> None:
    if reason := may_start_as(starter):
        pytest.skip(reason)
    with laid_out(starter=starter) as place:
        with running(place, starter=starter) as door:
            private = Path(door.run_in("alpha", "import os; answer = os.environ['HOME']")).parent.parent
            everything = descendants(door.supervisor)
            door.process.kill()
            door.process.wait(5)
            wait_until_gone(everything, seconds=8)
        assert private.is_dir(), "nobody was left to remove it"
        with running(place, starter=starter) as door:
            assert not private.exists(), "the next one removes it"
            own = Path(door.run_in("alpha", "import os; answer = os.environ['HOME']")).parent.parent
            assert own.is_dir()
        assert not own.exists(), "one that ends by itself leaves nothing"


def test_px_16_without_the_sandbox_the_same_attack_succeeds() -> None:
    """What the tests above would see without a sandbox. This is the control that they can fail."""
    starter: Starter = "plain" if may_start_as("root") else "root"
    with laid_out(starter=starter, more='sandbox = "none"') as place, running(place, starter=starter) as door:
        keys = (place / "etc" / "keys").read_text()
        assert door.run_in("alpha", f"answer = open({str(place / 'etc' / 'keys')!r}).read()") == keys
        environ = door.run_in("alpha", f"answer = open('/proc/{door.page('beta')}/environ').read()")
        assert (place / "etc" / "kit-beta").read_text().strip() in environ
        assert 'sandbox = \\"none\\"' in door.log.read_text()
