"""What every test may ask for. Scoped fixtures live beside the tests that use them."""

from __future__ import annotations

import gc
import importlib
import os
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests import authorities, case_ids, components, ports, prompt_servers, run_order

ARTEFACTS = Path(__file__).parent / "artefacts"
TESTS = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
"""The one profile of Hypothesis: nothing in it measures time, since other programs use the machine as well."""
PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "FTP_PROXY")


def pytest_configure(config: pytest.Config) -> None:
    """Make the run independent of its surroundings: no settings, no secrets, no proxies from the caller's shell,
    and none of the certificate authorities of this machine.

    Here and not in a fixture, so that test modules and the programs they start see a clean environment as well.
    Compiled modules are kept, whatever the shell says: else each of these programs compiles all of them again.
    """
    sys.dont_write_bytecode = False
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    trusted = ExitStack()
    trusted.enter_context(authorities.nobody_trusted())
    config.add_cleanup(trusted.close)
    prompt_servers.end_promptly()
    settings.register_profile("tests", TESTS)
    settings.load_profile("tests")
    for name in list(os.environ):
        if name.upper().startswith("VESTIBULE_") or name.upper() in PROXY_VARIABLES:
            del os.environ[name]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long groups of tests come first, and a group stays together (tests/run_order.py)."""
    items.sort(key=lambda item: run_order.rank(item.nodeid))


def pytest_collection_finish() -> None:
    """What was collected stays until the end, so the garbage collector need not look at it again and again."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object | None:
    """`--dist loadfile` gives each process a whole group of tests (tests/run_order.py), by default one file."""
    if config.getoption("dist") != "loadfile":
        return None
    scheduling: Any = importlib.import_module("xdist.scheduler").LoadFileScheduling(config, log)
    scheduling._split_scope = run_order.group_of
    made: object = scheduling
    return made


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Return an id in words for a case without an id. A value that cannot be described is an error at once."""
    try:
        return case_ids.id_of(argname, val)
    except case_ids.NeedsAnId as error:
        pytest.fail(str(error), pytrace=False)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """`@pytest.mark.component("redis-server")`: run this test only where that program is."""
    for marker in item.iter_markers("component"):
        for package in marker.args:
            components.require(package)


@pytest.fixture(scope="session")
def component() -> Callable[[str], Path]:
    """`component("redis-server")` is the path of that program; without it the test is skipped, with CI=true failed."""
    return components.require


@pytest.fixture(scope="session")
def artefacts() -> Path:
    """Folder for screenshots and logs that outlive the run; git ignores it."""
    ARTEFACTS.mkdir(exist_ok=True)
    return ARTEFACTS


@pytest.fixture
def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on."""
    return ports.free_port()
