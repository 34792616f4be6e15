"""A damaged file of the old configuration is refused in plain words, or read; nothing else happens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.cli.migrate.assembling import build_tables, build_toml
from gateway.cli.migrate.sources import read_sources
from gateway.cli.migrate.translation import translate
from gateway.faults import UsageFault
from tests.gateway.cli.migrate.old_configurations import SECRET
from tests.gateway.cli.migrate.test_migrate import ALPHA
from tests.gateway.cli.migrate.test_sources import KINDS

CORE = 'email_domains = "*"\nredirect_url = "https://apps.example.com/oauth2/callback"\n'
SIGNS = "{}[]()\"'\\$%:=,-#\n \t&*!|>?@`~^0aZé"
WRONG: tuple[Any, ...] = (None, 1, -1.5, True, "", "x", "http://[x", "^/(.*)", "${X}", [], ["x"], {}, {"a": "b"})


def try_to_move(*files: Path) -> str:
    """Read, translate and assemble; what a person gets to see. A fault must be one for people."""
    try:
        reading = read_sources(files, environ={}, with_environ=False)
        translation = translate(reading, folder=files[0].parent, trusted_proxies=("127.0.0.1",))
        said = build_toml(translation.draft, build_tables(translation.draft))
    except UsageFault as refused:
        said = refused.message
    assert said
    return said


def damaged(tree: Any, draw: st.DrawFn) -> Any:
    """Put a value of the wrong kind somewhere into `tree`."""
    if isinstance(tree, dict) and tree and draw(st.booleans()):
        key = draw(st.sampled_from(sorted(tree)))
        return {**tree, key: damaged(tree[key], draw)}
    if isinstance(tree, list) and tree and draw(st.booleans()):
        at = draw(st.integers(0, len(tree) - 1))
        return [*tree[:at], damaged(tree[at], draw), *tree[at + 1 :]]
    return draw(st.sampled_from(WRONG))


@st.composite
def damaged_alpha(draw: st.DrawFn) -> Any:
    tree: Any = ALPHA
    for _ in range(draw(st.integers(1, 4))):
        tree = damaged(tree, draw)
    return tree


@given(tree=damaged_alpha())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_alpha_configuration_with_values_of_the_wrong_kind_is_refused_or_read(tree: Any, tmp_path: Path) -> None:
    (tmp_path / "alpha.yaml").write_text(json.dumps(tree))
    (tmp_path / "core.cfg").write_text(CORE)
    assert SECRET not in try_to_move(tmp_path / "alpha.yaml", tmp_path / "core.cfg")


@given(
    kind=st.sampled_from(sorted(KINDS)),
    cuts=st.lists(st.tuples(st.integers(0, 900), st.integers(0, 3), st.text(SIGNS, max_size=2)), max_size=5),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_with_damaged_lines_is_refused_or_read(
    kind: str, cuts: list[tuple[int, int, str]], tmp_path: Path
) -> None:
    name, text = KINDS[kind]
    for at, length, new in cuts:
        place = at % (len(text) + 1)
        text = text[:place] + new + text[place + length :]
    (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "more.env").write_text("A=b\n")
    (tmp_path / "core.cfg").write_text(CORE)
    try_to_move(tmp_path / name, tmp_path / "core.cfg")
