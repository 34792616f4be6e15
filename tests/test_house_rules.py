"""Rules for the code that a machine can check: sizes, names, swallowed errors, silenced checks."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

from tests.repository import ROOT, repository_files

PACKAGES = ("bff", "gateway", "streamlit_kit")
MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 50
EMPTY_NAMES = frozenset({"utils", "util", "helpers", "helper", "common", "core", "base", "manager", "misc"})
SILENCED = re.compile(r"#\s*(?:type:\s*ignore|noqa|pragma)\b")
REASON = re.compile(
    r"#\s*(?:type:\s*ignore\[[\w, -]+\]|noqa:\s*[A-Z]+\d+(?:,\s*[A-Z]+\d+)*|pragma:[\w ]+)\W+(?=(?:\w+\W+){1,}\w+)"
)
BROAD = frozenset({"Exception", "BaseException"})


def python_files(*folders: str) -> list[Path]:
    return [path for path in repository_files() if path.suffix == ".py" and path.parts[0] in folders]


def read(path: Path) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def long_functions(source: str) -> list[tuple[str, int, int]]:
    """(name, line, length) of functions over the limit, counted from `def` to the last line."""
    return [
        (node.name, node.lineno, length)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or node.lineno) - node.lineno + 1) > MAX_FUNCTION_LINES
    ]


def swallowed_errors(source: str) -> list[int]:
    """Lines of bare `except:` and of broad handlers that do nothing."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or (_is_broad(node.type) and _is_empty(node.body)))
    ]


def _is_broad(kind: ast.expr) -> bool:
    kinds = kind.elts if isinstance(kind, ast.Tuple) else [kind]
    return any(isinstance(one, ast.Name) and one.id in BROAD for one in kinds)


def _is_empty(body: list[ast.stmt]) -> bool:
    return all(isinstance(node, ast.Pass) or _is_constant(node) for node in body)


def _is_constant(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def unexplained_silences(source: str) -> list[int]:
    """Lines whose `type: ignore`, `noqa` or `pragma` names no rule, or does not say why in at least two words."""
    comments = [
        token
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT and SILENCED.search(token.string)
    ]
    return [token.start[0] for token in comments if not REASON.search(token.string)]


def positional_booleans(source: str) -> list[tuple[str, int]]:
    """Functions with a positional bool parameter: a reader of the call cannot see what `True` means."""
    return [
        (node.name, node.lineno)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and any(isinstance(a.annotation, ast.Name) and a.annotation.id == "bool" for a in node.args.args)
        and not node.decorator_list
    ]


def test_modules_are_not_too_long() -> None:
    lengths = {path: read(path).count("\n") for path in python_files(*PACKAGES, "tests")}
    long = [f"{path} has {length} lines" for path, length in lengths.items() if length > MAX_MODULE_LINES]
    assert not long, f"over {MAX_MODULE_LINES} lines, so two subjects:\n" + "\n".join(long)


def test_functions_are_not_too_long() -> None:
    long = [
        f"{path}:{line} {name} has {length} lines"
        for path in python_files(*PACKAGES)
        for name, line, length in long_functions(read(path))
    ]
    assert not long, f"over {MAX_FUNCTION_LINES} lines:\n" + "\n".join(long)


def test_modules_have_no_vague_names() -> None:
    empty = [
        str(path)
        for path in python_files(*PACKAGES, "tests", "deploy")
        if set(path.with_suffix("").parts) & EMPTY_NAMES
    ]
    assert not empty, "names that say nothing: " + ", ".join(empty)


def test_no_error_is_swallowed() -> None:
    faults = [
        f"{path}:{line}" for path in python_files(*PACKAGES, "tests", "deploy") for line in swallowed_errors(read(path))
    ]
    assert not faults, "naked or silent except:\n" + "\n".join(faults)


def test_every_silenced_check_has_a_reason() -> None:
    faults = [
        f"{path}:{line}"
        for path in python_files(*PACKAGES, "tests", "deploy")
        for line in unexplained_silences(read(path))
    ]
    assert not faults, "name the rule and the reason (`# noqa: F401 - re-exported for …`):\n" + "\n".join(faults)


def test_boolean_arguments_are_passed_by_name() -> None:
    faults = [
        f"{path}:{line} {name}" for path in python_files(*PACKAGES) for name, line in positional_booleans(read(path))
    ]
    assert not faults, "make the bool keyword-only:\n" + "\n".join(faults)


def test_a_function_over_the_limit_is_detected() -> None:
    body = "    x = 1\n" * MAX_FUNCTION_LINES
    assert long_functions(f"def f():\n{body}") == [("f", 1, MAX_FUNCTION_LINES + 1)]
    assert long_functions(f"async def f():\n{body}")
    assert not long_functions("def f():\n" + "    x = 1\n" * (MAX_FUNCTION_LINES - 1))


@pytest.mark.parametrize(
    "handler", ["except:\n    log()", "except Exception:\n    pass", "except (OSError, BaseException):\n    ..."]
)
def test_a_swallowed_error_is_detected(handler: str) -> None:
    assert swallowed_errors(f"try:\n    f()\n{handler}\n") == [3]


@pytest.mark.parametrize("handler", ["except Exception:\n    log()", "except OSError:\n    pass"])
def test_a_handled_error_is_accepted(handler: str) -> None:
    assert not swallowed_errors(f"try:\n    f()\n{handler}\n")


@pytest.mark.parametrize("comment", ["type: ignore", "type: ignore[arg-type]", "noqa", "noqa: F401", "noqa: F401 - x"])
def test_a_silenced_check_without_a_reason_is_detected(comment: str) -> None:
    assert unexplained_silences(f"x = 1  # {comment}\n") == [1]


@pytest.mark.parametrize(
    "comment",
    [
        "type: ignore[arg-type]  # stubs lack the keyword",
        "noqa: F401 - re-exported for pages",
        "noqa: B018, E501  the point is",
    ],
)
def test_a_silenced_check_with_a_reason_is_accepted(comment: str) -> None:
    assert not unexplained_silences(f"x = 1  # {comment}\n")


def test_a_positional_boolean_is_detected() -> None:
    assert positional_booleans("def f(a: int, b: bool) -> None: ...") == [("f", 1)]
    assert not positional_booleans("def f(a: int, *, b: bool) -> None: ...")
