"""The recipes of docs/web-apps.md, started as they are written: an application shows who signed in at the door."""

from __future__ import annotations

import re
import shlex
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.applications.programs import running_command
from tests.applications.tabs import PATIENCE
from tests.fakes import FakeProvider
from tests.front_door import RunningDoor
from tests.markdown import Block, blocks_of
from tests.ports import free_port
from tests.repository import ROOT

PAGE: Final = (ROOT / "docs" / "web-apps.md").read_text(encoding="utf-8")
DOCUMENTED_HOST: Final = "apps.example.com"
ENVIRONMENTS: Final[Mapping[str, str]] = {
    "Gradio": "gradio",
    "Panel": "panel",
    "Dash": "dash",
    "NiceGUI": "dash",
    "marimo": "dash",
    "Shiny for Python": "shiny",
    "JupyterLab": "jupyterlab",
    "MLflow": "mlflow",
    "Streamlit, started by hand": "",
}
"""The environment of each recipe; "" is that of these tests."""
STARTS: Final[Mapping[str, str]] = {"Panel": "app"}
"""What comes after the route's path, where that is not the page itself."""
BY_TEXT: Final = frozenset({"What an application gets", "Grafana", "Airflow"})


@dataclass(frozen=True, slots=True)
class Recipe:
    route: Mapping[str, Any]
    files: Mapping[str, str]
    command: tuple[str, ...]
    port: int


def blocks_below(heading: str) -> list[Block]:
    """The blocks between a heading of the second level and the next one."""
    parts = re.split(r"^## ", PAGE, flags=re.MULTILINE)
    return list(blocks_of(next(part for part in parts if part.startswith(heading + "\n"))))


def files_of(blocks: list[Block]) -> dict[str, str]:
    named = ((re.match(r"# (\w+\.py)\n", block.text), block.text) for block in blocks if block.language == "python")
    return {match[1]: text for match, text in named if match}


def recipe_of(heading: str) -> Recipe:
    blocks = blocks_below(heading)
    route = tomllib.loads(next(block.text for block in blocks if block.language == "toml"))["routes"][0]
    command = next(block.text for block in blocks if block.language == "sh")
    return Recipe(
        route=route,
        files=files_of(blocks_below("What an application gets")) | files_of(blocks),
        command=tuple(shlex.split(command)),
        port=int(str(route["upstream"]).rpartition(":")[2]),
    )


@contextmanager
def running_recipe(recipe: Recipe, python: Path, folder: Path, *, public: str) -> Iterator[str]:
    """Start the recipe on a free port instead of its own, behind `public` instead of the documented host."""
    port = free_port()

    def here(text: str) -> str:
        moved = re.sub(rf"\b{recipe.port}\b", str(port), text)
        return moved.replace(f"https://{DOCUMENTED_HOST}", f"http://{public}").replace(DOCUMENTED_HOST, public)

    for name, text in recipe.files.items():
        (folder / name).write_text(here(text))
    environ = {
        "VESTIBULE_JWT__ISSUER": f"http://{public}",
        "VESTIBULE_JWT__AUDIENCE": str(recipe.route.get("audience", "")),
        "VESTIBULE_JWT__JWKS_URL": f"http://{public}/auth/jwks.json",
    }
    words = list(recipe.command)
    while "=" in words[0]:
        name, _, value = words.pop(0).partition("=")
        environ[name] = value
    assert words[0] == "python"
    command = [str(python), *(here(word) for word in words[1:])]
    if "jupyterlab" in words:
        command.append("--allow-root")  # the tests may run as root
    with running_command(command, folder, public=public, environ=environ, port=port) as address:
        yield address


def shows_the_person(heading: str, tab: Page) -> None:
    if heading == "JupyterLab":
        expect(tab.locator(".jp-Launcher")).to_be_visible(timeout=PATIENCE)
        me = tab.evaluate("() => fetch('/jupyter/api/me').then((answer) => answer.json())")
        assert (me["identity"]["username"], me["identity"]["name"]) == ("alice", "Alice Example")
    elif heading == "MLflow":
        expect(tab.get_by_text("Experiments").first).to_be_visible(timeout=PATIENCE)
    else:
        expect(tab.get_by_text("Hello Alice")).to_be_visible(timeout=PATIENCE)


@pytest.mark.long
@pytest.mark.component("chromium")
@pytest.mark.timeout(900)
@pytest.mark.parametrize("heading", ENVIRONMENTS)
def test_a_recipe_works_as_it_is_written(
    heading: str,
    python_with: Callable[[str], Path],
    chromium: Browser,
    provider: FakeProvider,
    tmp_path: Path,
) -> None:
    recipe, port = recipe_of(heading), free_port()
    environment = ENVIRONMENTS[heading]
    with ExitStack() as stack:
        python = python_with(environment) if environment else Path(sys.executable)
        address = stack.enter_context(running_recipe(recipe, python, tmp_path, public=f"localhost:{port}"))
        door = RunningDoor({"corp": provider}, [{**recipe.route, "upstream": address}], port=port).start()
        stack.callback(door.stop)
        context = stack.enter_context(chromium.new_context())
        tab = context.new_page()
        start = f"{recipe.route['path']}{STARTS.get(heading, '')}"
        tab.goto(door.url + (start if heading in STARTS else start.rstrip("/") + "?chart=3"))
        tab.locator("#person-alice").click()
        shows_the_person(heading, tab)
        assert tab.url.startswith(door.url + start)


def test_every_recipe_of_the_page_is_started() -> None:
    headings = re.findall(r"^## (.+)$", PAGE, flags=re.MULTILINE)
    assert set(headings) == ENVIRONMENTS.keys() | BY_TEXT
