"""PX-16: the default rights of a page are enough for what pages usually do."""

from __future__ import annotations

import errno
import importlib.util
import os
from collections.abc import Iterator

import pytest

from tests.security.paged_door import PagedDoor, Starter, laid_out, may_start_as, running

pytestmark = pytest.mark.timeout(240)
STARTERS: tuple[Starter, ...] = ("root", "plain")

WORKS = {
    "pandas": """
import pandas, numpy
answer = int(pandas.DataFrame({'x': numpy.arange(5)}).x.sum()) == 10
""",
    "parquet": """
import pandas, io
f = io.BytesIO()
pandas.DataFrame({'x': [1]}).to_parquet(f)
answer = f.tell() > 0
""",
    "chart": """
import altair
answer = 'mark' in altair.Chart({'values': []}).mark_bar().to_dict()
""",
    "program": """
import subprocess
answer = '__init__.py' not in subprocess.check_output(['ls', '-a'], text=True)
""",
    "shell": """
import subprocess
answer = subprocess.check_output('echo $HOME | wc -l', shell=True, text=True).strip() == '1'
""",
    "python": r"""
import subprocess, sys
printed = subprocess.check_output([sys.executable, '-c', 'import pandas; print(1)'])
answer = printed == b'1\n'
""",
    "temporary file": """
import tempfile
with tempfile.NamedTemporaryFile() as file:
    file.write(b'x')
with tempfile.TemporaryDirectory() as folder:
    open(folder + '/x', 'w').write('x')
answer = True
""",
    "home": """
from pathlib import Path
file = Path.home() / '.cache' / 'x'
file.parent.mkdir(exist_ok=True)
answer = file.write_text('x') == 1
""",
    "time zone": """
import datetime, zoneinfo
summer = datetime.datetime(2026, 7, 1, tzinfo=zoneinfo.ZoneInfo('Europe/Berlin'))
answer = summer.utcoffset().seconds == 7200
""",
    "user": """
import getpass
answer = bool(getpass.getuser())
""",
    "random": """
import os, secrets
answer = len(open('/dev/urandom', 'rb').read(8) + os.urandom(8)) == 16
""",
    "null": """
import subprocess
null = subprocess.DEVNULL
answer = subprocess.call(['true'], stdout=null, stdin=null) == 0
""",
    "shared memory": """
from multiprocessing import shared_memory
block = shared_memory.SharedMemory(create=True, size=64)
block.buf[0] = 7
answer = block.buf[0] == 7
block.close()
block.unlink()
""",
    "processes": """
import concurrent.futures, multiprocessing, math
fork = multiprocessing.get_context('fork')
with concurrent.futures.ProcessPoolExecutor(2, mp_context=fork) as pool:
    answer = list(pool.map(math.sqrt, [4, 9])) == [2, 3]
""",
    "processors": """
import os
answer = os.cpu_count() >= 1 and bool(os.listdir('/sys/devices/system/cpu')) and bool(open('/proc/cpuinfo').read())
""",
    "own process": """
answer = len(open('/proc/self/environ').read()) > 0 and 'VmRSS' in open('/proc/self/status').read()
""",
    "names": """
import socket
answer = bool(socket.getaddrinfo('localhost', 80))
""",
    "certificates": """
import ssl
file = ssl.get_default_verify_paths().cafile
answer = (not file or bool(open(file).read(1))) and ssl.create_default_context() is not None
""",
    "network": """
import os, httpx
port = os.environ['VESTIBULE_KIT__URL'].rsplit(':', 1)[1]
answer = httpx.get(f'http://127.0.0.1:{port}/auth/jwks.json').status_code == 200
""",
    "server of its own": """
import socket
with socket.socket() as one, socket.create_server(('127.0.0.1', 0)) as two:
    one.connect(two.getsockname())
    answer = True
""",
    "socket of its own": """
import socket, os
with socket.socket(socket.AF_UNIX) as one, socket.socket(socket.AF_UNIX) as two:
    one.bind(os.environ['TMPDIR'] + '/s')
    one.listen()
    two.connect(os.environ['TMPDIR'] + '/s')
    answer = True
os.remove(os.environ['TMPDIR'] + '/s')
""",
    "database": """
import os, sqlite3
base = sqlite3.connect(os.environ['HOME'] + '/x.db')
base.execute('create table if not exists x (y)')
base.commit()
answer = True
""",
    "own files": """
import os
answer = 'scope' in open(os.path.join(os.getcwd(), 'app.py')).read()
""",
    "matplotlib": """
import matplotlib
matplotlib.use('agg')
from matplotlib import pyplot
figure = pyplot.figure()
figure.gca().plot([1, 2])
figure.savefig(__import__('io').BytesIO())
answer = True
""",
    "torch": """
import torch
answer = float(torch.ones(3).sum()) == 3.0
""",
}
OPTIONAL = {"matplotlib": "matplotlib", "torch": "torch", "parquet": "pyarrow"}


@pytest.fixture(scope="module", params=STARTERS, ids=[f"door-started-as-{name}" for name in STARTERS])
def door(request: pytest.FixtureRequest) -> Iterator[PagedDoor]:
    starter: Starter = request.param
    if reason := may_start_as(starter):
        pytest.skip(reason)
    with laid_out(starter=starter) as place, running(place, starter=starter) as started:
        yield started


@pytest.mark.parametrize("what", WORKS)
def test_px_16_a_page_can_use_ordinary_parts_of_the_system(door: PagedDoor, what: str) -> None:
    if what in OPTIONAL and importlib.util.find_spec(OPTIONAL[what]) is None:
        pytest.skip(f"{OPTIONAL[what]} is not installed")
    assert door.run_in("alpha", WORKS[what]) is True


def test_px_16_a_page_reaches_exactly_the_paths_in_read_and_write() -> None:
    starter: Starter = "plain"
    more = 'read = ["../../shared"]\nwrite = ["../../kept/one", "../../kept/file"]'
    with laid_out(starter=starter, more=more) as place:
        for folder in ("shared", "kept/one", "kept/two"):
            (place / folder).mkdir(parents=True)
        (place / "shared" / "table.csv").write_text("x\n1\n")
        (place / "kept" / "file").write_text("")
        for path in (place / "kept").rglob("*"):
            if os.geteuid() == 0:
                os.chown(path, place.stat().st_uid, place.stat().st_gid)
        with running(place, starter=starter) as door:
            shared, one, two = place / "shared", place / "kept" / "one", place / "kept" / "two"
            assert door.run_in("alpha", f"answer = open('{shared}/table.csv').read()") == "x\n1\n"
            assert door.run_in("alpha", f"answer = open('{one}/new', 'w').write('x')") == 1
            assert door.run_in("alpha", f"answer = open('{place}/kept/file', 'w').write('x')") == 1
            for refused in (f"{shared}/new", f"{two}/new"):
                attempt = (
                    f"try:\n    answer = bool(open('{refused}', 'w'))\nexcept OSError as exc:\n    answer = exc.errno"
                )
                assert door.run_in("alpha", attempt) == errno.EACCES
