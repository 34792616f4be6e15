"""The documentation says what the code does: it has every setting, error code and dependency, and its links work."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args
from urllib.parse import unquote

import pytest
from pydantic import BaseModel, SecretStr

from bff import errors
from bff.audit import ERROR, EVENTS, WARN
from bff.settings.tables import SECRET_FIELDS, Settings
from tests.markdown import anchors_of, links_of, rows_of, sections_of
from tests.repository import ROOT, repository_files

CONFIGURATION = ROOT / "docs" / "configuration.md"
TABLE_NAME = re.compile(r"`\[+([\w.]+)\]+`")
CODE = re.compile(r"[a-z][a-z0-9_]*")
REQUIRED = object()


def pages() -> list[Path]:
    return [path for path in repository_files() if path.suffix == ".md"]


def read(path: Path) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


# -- settings --------------------------------------------------------------------------------------------------------


def models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from models_in(argument)


def setting_tables(model: type[BaseModel], place: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """(name as docs/configuration.md writes it, model) of every table: `server`, `server.tls`, `providers.NAME`."""
    for name, field in model.model_fields.items():
        for inner in models_in(field.annotation):
            is_named = "dict[" in str(field.annotation)
            path = f"{place}{name}.NAME" if is_named else f"{place}{name}"
            yield path, inner
            yield from setting_tables(inner, f"{path}.")


TABLES = dict(setting_tables(Settings))


def documented_tables() -> dict[str, dict[str, str]]:
    """Table → key → default, as docs/configuration.md has them."""
    found: dict[str, dict[str, str]] = {}
    for heading, text in sections_of(read(CONFIGURATION)):
        keys = {row[0].strip("`"): row[2] for row in rows_of(text) if len(row) == 4}
        for name in TABLE_NAME.findall(heading):
            found.setdefault(name, {}).update(keys)
    return found


def plain(value: object) -> object:
    """A default value, as it would be read from TOML."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return [plain(item) for item in value] if isinstance(value, tuple) else value


def default_in(cell: str) -> object:
    if cell in ("required", "none"):
        return REQUIRED if cell == "required" else None
    return tomllib.loads(f"value = {cell.strip('`')}")["value"]


def own_keys(model: type[BaseModel]) -> list[str]:
    return [name for name, field in model.model_fields.items() if not list(models_in(field.annotation))]


def secret_keys(table: str) -> tuple[str, ...]:
    return SECRET_FIELDS.get(table.replace(".NAME", ".*"), ())


@pytest.mark.parametrize("table", TABLES)
def test_every_setting_is_documented_with_its_default(table: str) -> None:
    documented, model = documented_tables().get(table, {}), TABLES[table]
    faults = []
    for key in own_keys(model):
        field = model.model_fields[key]
        if key not in documented:
            faults.append(f"[{table}] {key} is missing in docs/configuration.md")
            continue
        actual: Any = REQUIRED if field.is_required() else plain(field.get_default(call_default_factory=True))
        if default_in(documented[key]) != actual:
            faults.append(f"[{table}] {key}: documented default {documented[key]}, actual {actual!r}")
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("table", TABLES)
def test_every_documented_setting_exists(table: str) -> None:
    known = {*own_keys(TABLES[table]), *(f"{key}_file" for key in secret_keys(table))}
    assert set(documented_tables().get(table, {})) <= known


def test_the_file_form_of_every_secret_is_documented() -> None:
    documented = documented_tables()
    missing = [
        f"[{table}] {key}_file"
        for table in TABLES
        for key in secret_keys(table)
        if f"{key}_file" not in documented.get(table, {})
    ]
    assert not missing, f"docs/configuration.md lacks {', '.join(missing)}"


def test_every_documented_table_exists() -> None:
    assert set(documented_tables()) == set(TABLES)


# -- error codes -----------------------------------------------------------------------------------------------------


def error_classes(trees: list[ast.Module]) -> set[str]:
    """Names of `AuthError` and of every class below it, wherever in the sources it is defined."""
    names = {
        name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, errors.AuthError)
    }
    classes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    while more := {node.name for node in classes if {_last_name(base) for base in node.bases} & names} - names:
        names |= more
    return names


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def codes_in(tree: ast.Module, classes: set[str], prefixes: set[str]) -> Iterator[str]:
    """Codes that stand in the source: given to an error class, or as `code=` to anything, or as `default_code`.

    `f"{prefix}_aud"` stands for one code per prefix of `prefixes`.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            given = [keyword.value for keyword in node.keywords if keyword.arg == "code"]
            given += node.args[:1] if _last_name(node.func) in classes else []
            yield from (code for expression in given for code in _literals(expression, prefixes))
        elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(_last_name(target) == "default_code" for target in targets):
                yield from _literals(node.value, prefixes)


def _literals(expression: ast.expr, prefixes: set[str]) -> Iterator[str]:
    """The strings that an expression can be: a constant, both branches of a conditional, a prefix and its rule."""
    match expression:
        case ast.Constant(value=str(text)) if text:
            yield text
        case ast.IfExp():
            yield from _literals(expression.body, prefixes)
            yield from _literals(expression.orelse, prefixes)
        case ast.JoinedStr(values=[ast.FormattedValue(value=ast.Name(id="prefix")), ast.Constant(value=str(rule))]):
            yield from (prefix + rule for prefix in sorted(prefixes))
        case _:
            return


def prefixes_in(trees: list[ast.Module]) -> set[str]:
    """What modules call the tokens they read: `PREFIX = "id_token"`."""
    return {
        node.value.value
        for tree in trees
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
        and any(_last_name(target) == "PREFIX" for target in node.targets)
    }


def all_codes() -> dict[str, str]:
    """Code → first file that uses it."""
    files = [path for path in repository_files() if path.suffix == ".py" and path.parts[0] in ("bff", "gateway")]
    trees = {path: ast.parse(read(path)) for path in files}
    classes, prefixes = error_classes(list(trees.values())), prefixes_in(list(trees.values()))
    codes: dict[str, str] = {}
    for path, tree in trees.items():
        for code in codes_in(tree, classes, prefixes):
            codes.setdefault(code, str(path))
    return codes


def test_every_error_code_is_documented() -> None:
    anchors = anchors_of(read(ROOT / "docs" / "errors.md"))
    missing = [f"{code} ({path})" for code, path in sorted(all_codes().items()) if code not in anchors]
    assert not missing, "docs/errors.md lacks an anchor for\n" + "\n".join(missing)


def test_error_codes_have_the_same_form() -> None:
    assert [code for code in all_codes() if not CODE.fullmatch(code)] == []


def test_error_codes_are_found_in_every_way_of_raising_them() -> None:
    tree = ast.parse(
        "PREFIX = 'id_token'\n"
        "class Odd(errors.Forbidden):\n    default_code: str = 'one'\n"
        "raise Odd('two' if x else 'three')\n"
        "raise errors.NotFound(code='four', message='not a code')\n"
        "raise Odd(f'{prefix}_aud')\n"
        "parse_object(body, code='five')\n"
        "raise ValueError('not a code')\n"
    )
    found = codes_in(tree, error_classes([tree]), prefixes_in([tree]))
    assert sorted(found) == ["five", "four", "id_token_aud", "one", "three", "two"]


# -- audit events ----------------------------------------------------------------------------------------------------


def test_every_audit_event_is_documented_with_its_level() -> None:
    sections = dict(sections_of(read(Path("docs/audit-log.md"))))
    documented = {row[0].strip("`"): row[1] for row in rows_of(sections["Events"])}
    levels = {event: "error" if event in ERROR else "warning" if event in WARN else "info" for event in EVENTS}
    assert documented == levels


# -- dependencies, links ---------------------------------------------------------------------------------------------


def test_every_dependency_is_explained_in_a_sentence() -> None:
    project = tomllib.loads(read(ROOT / "pyproject.toml"))["project"]
    wanted = [
        *project["dependencies"],
        *(name for extra in project["optional-dependencies"].values() for name in extra),
    ]
    names = {match[0].lower() for text in wanted if (match := re.match(r"[\w.-]+", text))} - {"vestibule"}
    documented = {row[0].strip("`").lower() for row in rows_of(read(ROOT / "docs" / "dependencies.md"))}
    assert names == documented


def broken_links(path: Path, page: str) -> list[str]:
    """Links of `page` to files or headings of this repository that are not there."""
    broken = []
    for link in sorted(links_of(page)):
        if re.match(r"[a-z][a-z0-9+.-]*:|//", link):
            continue
        name, _, anchor = unquote(link).partition("#")
        target = (ROOT / path).parent / name
        anchors = (
            anchors_of(target.read_text(encoding="utf-8") if name else page) if anchor and target.exists() else set()
        )
        if not target.exists() or (anchor and anchor not in anchors):
            broken.append(f"{path}: {link}")
    return broken


@pytest.mark.parametrize("path", pages())
def test_every_link_has_an_existing_target(path: Path) -> None:
    broken = broken_links(path, read(path))
    assert not broken, "\n".join(broken)


def test_every_page_is_in_the_index() -> None:
    index = links_of(read(ROOT / "docs" / "index.md"))
    missing = [path.name for path in pages() if path.parent == Path("docs") and path.name not in {*index, "index.md"}]
    assert not missing, f"docs/index.md lacks {', '.join(missing)}"


def test_a_broken_link_is_detected() -> None:
    links = "[a](nowhere.md) [b](index.md#no-such-heading) [c](#a-heading) [d](#another) ![e](images/none.png)"
    page = f"# A heading\n{links} `[f](code.md)`"
    assert broken_links(Path("docs/index.md"), page) == [
        "docs/index.md: #another",
        "docs/index.md: images/none.png",
        "docs/index.md: index.md#no-such-heading",
        "docs/index.md: nowhere.md",
    ]
