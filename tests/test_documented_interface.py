"""README and docs name every path and command that exists, and no others."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from fastapi import FastAPI
from starlette.routing import Route

from bff import contract
from bff.assembly import assemble
from bff.install import install
from bff.settings.loading import parse_settings
from bff.web.old_names import create_old_names_app
from gateway.app import RoutedTargets
from gateway.cli.main import app as command_line
from tests.markdown import blocks_of, prose_of, rows_of, sections_of
from tests.repository import ROOT, repository_files
from tests.test_documented_snippets import REST_OF_THE_FILE

AUTH_PATH = re.compile(r"/auth/[^\s`'\"<>()\[\],;|\\]*")
OLD_PATH = re.compile(r"(?<![\w.…-])/oauth2/[^\s`'\"<>()\[\],;|\\]*")
CODE_SPAN = re.compile(r"`([^`\n]+)`")
PLACEHOLDER = re.compile(r"\{\w+\}")
OPTIONS_OF_OTHER_PROGRAMS = {
    "--alpha-config": "oauth2-proxy",
    "--import-realm": "Keycloak",
    "--no-proxy-headers": "Uvicorn",
    "--server.enableXsrfProtection": "Streamlit",
    "--server.trustedUserHeaders": "Streamlit",
}


def pages() -> dict[Path, str]:
    """The pages for readers: README and docs. The changelog also names what is gone."""
    paths = [path for path in repository_files() if path.suffix == ".md" and path.parts[0] in ("README.md", "docs")]
    return {path: (ROOT / path).read_text(encoding="utf-8") for path in paths}


# -- paths below /auth -----------------------------------------------------------------------------------------------


def served_paths() -> dict[str, set[str]]:
    """Path below `/auth` → methods, as an installed front door serves them."""
    app = FastAPI(openapi_url=None)
    install(app, parse_settings(REST_OF_THE_FILE))
    return {route.path: set(route.methods or ()) for route in app.routes if isinstance(route, Route)}


def paths_in(page: str) -> set[str]:
    """Every `/auth/…` that the page writes, without its query and the punctuation behind it."""
    return {match.partition("?")[0].partition("#")[0].rstrip(".:…*_") for match in AUTH_PATH.findall(page)}


def exists(path: str, served: dict[str, set[str]]) -> bool:
    """True if `path` is served. A path that ends with a slash means everything below it."""
    if path.endswith("/"):
        return any(template.startswith(path) for template in served)
    patterns = ("[^/]+".join(map(re.escape, PLACEHOLDER.split(template))) for template in served)
    return any(re.fullmatch(pattern, path) for pattern in patterns)


def documented_path_table() -> dict[str, set[str]]:
    sections = dict(sections_of(pages()[Path("docs/api-reference.md")]))
    return {row[0].strip("`"): set(row[1].split(", ")) for row in rows_of(sections["Paths"])}


def test_every_documented_path_below_auth_is_served() -> None:
    served = served_paths() | {"/auth/verify": set(), "/auth/verify/{mode}": set()}  # on a listener of its own
    faults = [
        f"{page}: {path}" for page, text in pages().items() for path in paths_in(text) if not exists(path, served)
    ]
    assert not faults, "no such path: " + ", ".join(faults)


def test_every_served_path_is_in_the_table_of_paths_with_its_methods() -> None:
    served = {
        PLACEHOLDER.sub(lambda name: "NAME" if name[0] == "{provider}" else "ID", path): methods
        for path, methods in served_paths().items()
    }
    assert documented_path_table() == served


def test_every_old_name_is_in_the_table_of_old_names_with_its_methods() -> None:
    settings = parse_settings({**REST_OF_THE_FILE, "compat": {"oauth2_proxy": True}})
    targets = RoutedTargets(settings)
    app = create_old_names_app(assemble(settings), targets, demands=targets.demands_of_every_route)
    served = {route.path: set(route.methods or ()) for route in app.routes if isinstance(route, Route)}
    documented = {row[0].strip("`"): set(row[1].split(", ")) for row in old_path_rows()}
    probes = {"/oauth2/auth": {"any"}, "/ping": {"GET", "HEAD"}, "/ready": {"GET", "HEAD"}}
    assert documented == served | probes  # the probes are in tests/security/test_old_names.py


def old_path_rows() -> Iterator[list[str]]:
    return rows_of(dict(sections_of(pages()[Path("docs/api-reference.md")]))["Paths of oauth2-proxy"])


def test_every_old_name_in_the_pages_is_served() -> None:
    known = {row[0].strip("`") for row in old_path_rows()} | {"/oauth2/", "/oauth2"}
    found = {(page, path.rstrip(".:…*_")) for page, text in pages().items() for path in OLD_PATH.findall(text)}
    faults = [f"{page}: {path}" for page, path in found if path.partition("?")[0] not in known]
    assert not faults, "no such path: " + ", ".join(faults)


def test_every_path_of_the_contract_is_served() -> None:
    served = served_paths()
    named = {name: value for name, value in vars(contract).items() if name.startswith("PATH_")}
    assert named.pop("PATH_VERIFY") not in served  # its own listener serves it: tests/security/test_forward_auth.py
    missing = [
        name
        for name, value in named.items()
        if not any(path == f"/auth{value}" or path.startswith(f"/auth{value}/{{") for path in served)
    ]
    assert not missing, f"bff/contract.py names paths that nothing serves: {', '.join(missing)}"


def test_a_documented_path_that_is_not_served_is_detected() -> None:
    found = paths_in("`/auth/login?x=1`, `https://a.example/auth/nowhere`. `/auth/kit/state/*` and /auth/callback/x.")
    assert found == {"/auth/login", "/auth/nowhere", "/auth/kit/state/", "/auth/callback/x"}
    assert [path for path in found if not exists(path, served_paths())] == ["/auth/nowhere"]


# -- the command -----------------------------------------------------------------------------------------------------


def options_by_command() -> dict[str, set[str]]:
    """Subcommand (`keys new`) → its visible options; "" is the command itself."""
    return dict(_commands(typer.main.get_command(command_line), ""))


def _commands(command: object, name: str) -> Iterator[tuple[str, set[str]]]:
    visible = [parameter for parameter in getattr(command, "params", []) if not getattr(parameter, "hidden", False)]
    inner: dict[str, object] = getattr(command, "commands", {})
    if not inner or not name:
        yield name, {option for parameter in visible for option in parameter.opts if option.startswith("-")}
    for key, below in inner.items():
        yield from _commands(below, f"{name} {key}".strip())


def command_lines_in(page: str) -> Iterator[list[str]]:
    """The words behind `vestibule`, wherever the page shows a command: in backticks and in blocks of a shell."""
    lines = [match for match in CODE_SPAN.findall(prose_of(page)) if match.startswith("vestibule ")]
    for block in blocks_of(page):
        if block.language in ("sh", "console"):
            lines += [line.strip().removeprefix("$ ") for line in block.text.replace("\\\n", " ").splitlines()]
    for line in lines:
        words = shlex.split(line, comments=True)
        if words and words[0].rpartition("/")[2] == "vestibule":
            yield words[1:]


def fault_of(words: list[str], known: dict[str, set[str]]) -> str:
    """What is wrong with a documented command line; "" when it exists."""
    named = [word for word in words[:2] if re.fullmatch(r"[a-z][a-z0-9-]*", word)]
    name = next((" ".join(named[:n]) for n in (2, 1) if len(named) >= n and " ".join(named[:n]) in known), None)
    if name is None:
        groups = {command.partition(" ")[0] for command in known}
        placeholder = words[:1] == ["COMMAND"] or (words and words[0].startswith("-"))
        return "" if placeholder or words in [[group] for group in groups] else f"no subcommand {' '.join(words[:2])}"
    given = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
    unknown = given - known[name] - known[""] - {"--help"}
    return f"vestibule {name} has no {', '.join(sorted(unknown))}" if unknown else ""


@pytest.mark.parametrize("path", pages())
def test_every_documented_command_exists_with_its_options(path: Path) -> None:
    known = options_by_command()
    faults = [fault for words in command_lines_in(pages()[path]) if (fault := fault_of(words, known))]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("path", pages())
def test_every_documented_option_belongs_to_a_command(path: Path) -> None:
    known = {option for options in options_by_command().values() for option in options}
    spans = [re.split(r"[\s=]", span)[0] for span in CODE_SPAN.findall(prose_of(pages()[path]))]
    unknown = [
        option for option in spans if option.startswith("--") and option not in known | {*OPTIONS_OF_OTHER_PROGRAMS}
    ]
    assert not unknown, f"{path}: no command has {', '.join(unknown)}"


def test_the_page_of_commands_has_every_subcommand_with_its_options() -> None:
    documented = {
        match[1]: {option for row in rows_of(text) for option in CODE_SPAN.findall(row[0])}
        for heading, text in sections_of(pages()[Path("docs/commands.md")])
        if (match := re.fullmatch(r"`vestibule ([a-z0-9 -]+)`", heading))
    }
    known = {name: options - {"--help"} for name, options in options_by_command().items() if name}
    assert documented == known


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("doctor --login", ""),
        ("sessions revoke --sub 7c1e", ""),
        ("doctor --logon", "vestibule doctor has no --logon"),
        ("repair", "no subcommand repair"),
        ("keys renew FILE", "no subcommand keys renew"),
    ],
    ids=["right option", "right subcommand of a group", "wrong option", "wrong subcommand", "wrong word in a group"],
)
def test_wrong_documented_command_lines_are_detected(line: str, fault: str) -> None:
    assert fault_of(line.split(), options_by_command()) == fault
