"""Examples of README and docs work: TOML is a configuration we accept, Python compiles and imports what exists."""

from __future__ import annotations

import ast
import importlib
import tomllib
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from bff.settings.loading import ConfigurationError, parse_settings
from bff.settings.tables import SECRET_FIELDS
from tests.markdown import Block, blocks_of
from tests.repository import ROOT, repository_files

PACKAGES = ("bff", "gateway", "streamlit_kit")
A_SECRET = "0123456789abcdefghijklmnopqrstuvwxyzABCDEF"
A_VALUE = {"keys": [A_SECRET], "url": "redis://localhost:6379/0"}
# What a fragment needs from the rest of the file: secrets, one provider.
REST_OF_THE_FILE: dict[str, Any] = {
    "server": {"public_url": "https://apps.example.com"},
    "secrets": {"keys": [A_SECRET]},
    "providers": {"corp": {"issuer": "https://idp.example.com", "client_id": "vestibule", "client_secret": A_SECRET}},
}


def blocks(language: str) -> list[Any]:
    pages = [path for path in repository_files() if path.suffix == ".md"]
    return [
        pytest.param(path, block, id=f"{path}:{block.line}")
        for path in pages
        for block in blocks_of((ROOT / path).read_text(encoding="utf-8"))
        if block.language == language and not block.skipped
    ]


def with_secrets(tables: Mapping[str, Any]) -> dict[str, Any]:
    """`tables` with each `*_file` of a secret replaced by a secret: the reader's files are not here."""
    filled = deepcopy(dict(tables))
    for place, keys in SECRET_FIELDS.items():
        head, _, rest = place.partition(".")
        table = filled.get(head, {})
        for inner in table.values() if rest else table if isinstance(table, list) else [table]:
            for key in keys:
                if inner.pop(f"{key}_file", None):
                    inner[key] = A_VALUE.get(key, A_SECRET)
    return filled


@pytest.mark.parametrize(("path", "block"), blocks("toml"))
def test_documented_configuration_is_accepted(path: Path, block: Block) -> None:
    try:
        parse_settings(
            REST_OF_THE_FILE, source=f"{path}:{block.line}", overrides=with_secrets(tomllib.loads(block.text))
        )
    except (ConfigurationError, tomllib.TOMLDecodeError) as exc:
        pytest.fail(str(exc), pytrace=False)


@pytest.mark.parametrize(("path", "block"), blocks("python"))
def test_documented_python_code_compiles_and_its_imports_exist(path: Path, block: Block) -> None:
    source = f"{path}:{block.line}"
    tree = compile(block.text, source, "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    compile(tree, source, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in PACKAGES:
            module = importlib.import_module(node.module or "")
            missing = [alias.name for alias in node.names if not hasattr(module, alias.name)]
            assert not missing, f"{source}: {node.module} has no {', '.join(missing)}"


def test_an_example_with_a_misspelt_key_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="unknown key"):
        parse_settings(REST_OF_THE_FILE, overrides=with_secrets({"server": {"public_ur1": "https://a.example"}}))


def test_the_file_that_examples_are_added_to_is_valid() -> None:
    assert parse_settings(REST_OF_THE_FILE).server.public_url == "https://apps.example.com"
