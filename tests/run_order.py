"""Which tests run together in one process of a parallel run, and which start first.

A process takes one group after the other, and a group is a file unless `TOGETHER` says otherwise. Files that share
something costly (a demo, a provider, replicas) are one group, so it is started once. Long groups start first: one that
started last would go on alone while the other processes have nothing to do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

TOGETHER: Mapping[str, tuple[str, ...]] = {
    "the demo in a browser": ("tests/e2e/test_demo_in_a_browser.py", "tests/e2e/test_provider_in_a_browser.py"),
    "replicas": ("tests/replicas/",),
    "the certified provider": ("tests/certified/",),
    "the repository": (
        "tests/test_house_rules.py",
        "tests/test_layering.py",
        "tests/test_security_requirements.py",
    ),
}
"""The group of files whose path starts so."""

APART = re.compile(r"\[.*?(door-started-as-\w+)")
"""Cases with another door of their own may run in another process than the rest of their file."""

FIRST = (
    "tests/applications/",
    "tests/e2e/test_demo_in_a_browser.py",
    "tests/security/test_page_sandbox",
    "tests/replicas/",
    "tests/security/test_secrets_in_reach.py",
    "tests/gateway/processes/test_supervisor",
    "tests/security/test_sandbox_defaults.py",
    "tests/e2e/",
    "tests/bff/stores/test_redis",
    "tests/certified/",
    "tests/streamlit_kit/test_browser.py",
    "tests/gateway/upstream/test_html_in_a_browser.py",
    "tests/gateway/cli/",
    "tests/packaging/",
)
"""What takes longest, by the start of its path, longest first."""


def group_of(nodeid: str) -> str:
    """Return the name of the group that the test belongs to."""
    file = nodeid.partition("::")[0]
    for name, paths in TOGETHER.items():
        if file.startswith(paths):
            return name
    started = APART.search(nodeid)
    return f"{file} {started[1]}" if started else file


def rank(nodeid: str) -> int:
    """Return the place of the test's file in `FIRST`; files that are not there come last."""
    for place, path in enumerate(FIRST):
        if nodeid.startswith(path):
            return place
    return len(FIRST)
