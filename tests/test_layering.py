"""Rooms import downwards only: docs/design.md draws the rooms, this file holds the order."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("bff", "gateway", "streamlit_kit")

# From the ground up, one row after the other. A room is a folder, or a module that lies at the top of a package. A room
# may import itself and the rooms of rows above its own; so there are no circles, and rooms of one row know nothing of
# each other. A new room gets its place here.
ROWS: tuple[tuple[str, ...], ...] = (
    ("bff.contract", "bff.errors", "bff.forward_proxies", "bff.running_test", "bff.secret_files"),
    ("bff.oidc",),
    ("bff.fetch", "bff.settings"),
    ("bff.browser", "bff.access", "bff.provider", "bff.stores", "bff.audit", "bff.api"),
    ("bff.sessions", "bff.bearer"),
    ("bff.login", "bff.kit", "bff.testing"),
    ("bff.assembly", "bff.pytest_plugin"),
    ("bff.web",),
    ("bff.install",),
    ("gateway.faults", "gateway.masked_paths", "gateway.targets", "gateway.problems"),
    ("gateway.logs",),
    ("gateway.headers",),
    ("gateway.upstream", "gateway.access", "gateway.documents", "gateway.access_log"),
    ("gateway.serving", "gateway.streamlit", "gateway.launcher", "gateway.probe"),
    ("gateway.relay", "gateway.sandbox"),
    ("gateway.admission", "gateway.old_names", "gateway.processes"),
    ("gateway.pipeline",),
    ("gateway.app",),
    ("gateway.management", "gateway.forward_auth"),
    ("gateway.cli",),
    ("streamlit_kit",),
)

# No network, no clock, no environment: time comes in as `now`, randomness as an argument.
PURE = (
    "bff.contract",
    "bff.errors",
    "bff.oidc",
    "bff.access",
    "bff.browser",
    "bff.settings.public_urls",
    "bff.settings.rules",
    "bff.api.settings",
    "bff.api.tokens",
    "bff.provider.identity",
    "gateway.headers",
    "gateway.targets",
    "gateway.access.paths",
    "gateway.access.places",
    "gateway.access.routes",
    "gateway.serving.head_rules",
    "gateway.documents",
    "gateway.probe.token",
    "gateway.forward_auth.original",
    "gateway.forward_auth.answers",
    "gateway.streamlit.messages",
    "gateway.streamlit.paths",
)
IMPURE_LIBRARIES = frozenset({"httpx", "redis", "fastapi", "starlette", "asyncio", "os", "time"})

# What `pip install vestibule[streamlit]` brings: a page's process has no server libraries.
KIT_LIBRARIES = frozenset({"httpx", "jwt", "cryptography", "pydantic", "streamlit"})
# What `pip install vestibule[api]` brings: an API needs neither the server's settings nor its store.
API_LIBRARIES = KIT_LIBRARIES - {"streamlit"} | {"fastapi", "starlette"}
VAGUE_NAMES = frozenset({"utils", "util", "helpers", "helper", "common", "core", "base", "manager", "misc"})


@dataclass(frozen=True, slots=True)
class Import:
    """`module` imports `target` (dotted, absolute), in line `line`."""

    module: str
    target: str
    line: int


def modules_of(root: Path) -> dict[str, Path]:
    """Dotted name → file, for every module of the packages; a package's own name is its `__init__`."""
    found: dict[str, Path] = {}
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports_in(module: str, source: str, *, is_package: bool, known: frozenset[str]) -> Iterator[Import]:
    """Every import of `source`, at any depth; `from bff import contract` counts as `bff.contract`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(module, alias.name, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(module, node, is_package=is_package)
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                yield Import(module, inner if inner in known else base, node.lineno)


def _absolute(module: str, node: ast.ImportFrom, *, is_package: bool) -> str:
    if not node.level:
        return node.module or ""
    parts = module.split(".")
    up = node.level - 1 if is_package else node.level
    return ".".join([*parts[: len(parts) - up], *([node.module] if node.module else [])])


def all_imports() -> list[Import]:
    modules = modules_of(ROOT)
    known = frozenset(modules)
    return [
        found
        for module, path in modules.items()
        for found in imports_in(
            module, path.read_text(encoding="utf-8"), is_package=path.name == "__init__.py", known=known
        )
    ]


def is_within(module: str, places: tuple[str, ...]) -> bool:
    return any(module == place or module.startswith(place + ".") for place in places)


def row_of(module: str) -> int | None:
    """Index into ROWS. The packages `bff` and `gateway` themselves are empty and are below everything."""
    if module in ("bff", "gateway"):
        return -1
    return next((index for index, rooms in enumerate(ROWS) if is_within(module, rooms)), None)


def room_of(module: str) -> str:
    return next((room for rooms in ROWS for room in rooms if is_within(module, (room,))), "")


def wrong_imports(imports: list[Import]) -> list[str]:
    """One sentence per import of a room that is not below the importing one."""
    faults = []
    for found in imports:
        here, there = row_of(found.module), row_of(found.target)
        if here is None or there is None or room_of(found.module) == room_of(found.target):
            continue
        if there >= here:
            faults.append(f"{found.module}:{found.line} imports {found.target}, which is not below it")
    return faults


def foreign_imports(imports: list[Import]) -> list[str]:
    """Imports across packages that are not allowed in any row."""
    faults = []
    for found in imports:
        package, target = found.module.split(".")[0], found.target.split(".")[0]
        allowed = {
            "bff": target not in ("gateway", "streamlit_kit"),
            "gateway": target != "streamlit_kit",
            "streamlit_kit": target != "gateway" and (target != "bff" or found.target == "bff.contract"),
        }[package]
        if not allowed or target in ("tests", "deploy"):
            faults.append(f"{found.module}:{found.line} imports {found.target}")
    return faults


def impure_imports(imports: list[Import]) -> list[str]:
    return [
        f"{found.module}:{found.line} is pure and imports {found.target}"
        for found in imports
        if is_within(found.module, PURE) and found.target.split(".")[0] in IMPURE_LIBRARIES
    ]


def heavy_imports(imports: list[Import], *, modules: tuple[str, ...], libraries: frozenset[str]) -> list[str]:
    """Imports of `modules` that an installation with only these `libraries` does not have."""
    faults = []
    for found in imports:
        library = found.target.split(".")[0]
        if not is_within(found.module, modules) or library in sys.stdlib_module_names or library in PACKAGES:
            continue
        if library not in libraries:
            faults.append(f"{found.module}:{found.line} imports {library}")
    return faults


def pulled_in_by(module: str, imports: list[Import]) -> frozenset[str]:
    """`module` and every module of ours that an import of it loads."""
    loaded: set[str] = set()
    waiting = {module}
    while waiting:
        loaded |= waiting
        waiting = {found.target for found in imports if found.module in waiting} - loaded
    return frozenset(name for name in loaded if name.split(".")[0] in PACKAGES)


def streamlit_internals(imports: list[Import]) -> list[str]:
    """`streamlit.runtime` and similar modules may change with any release, so only one module uses them."""
    return [
        f"{found.module}:{found.line} imports {found.target}: only streamlit_kit._streamlit may"
        for found in imports
        if found.module.startswith("streamlit_kit.")
        and found.module != "streamlit_kit._streamlit"
        and is_within(found.target, ("streamlit.runtime", "streamlit.web", "streamlit.proto", "streamlit.elements"))
    ]


def parse(module: str, source: str) -> list[Import]:
    known = frozenset(
        {"bff.contract", "bff.login", "bff.login.sign_in", "bff.oidc.tokens", "gateway.app", "gateway.cli.main"}
    )
    return list(imports_in(module, source, is_package=False, known=known))


def test_every_module_belongs_to_a_room() -> None:
    homeless = [name for name in modules_of(ROOT) if row_of(name) is None]
    assert not homeless, f"no room for {', '.join(homeless)}: add it to ROWS in tests/test_layering.py"


def test_every_room_exists() -> None:
    names = modules_of(ROOT)
    missing = [room for rooms in ROWS for room in rooms if room not in names]
    assert not missing


def test_rooms_import_only_rooms_below_them() -> None:
    faults = wrong_imports(all_imports())
    assert not faults, "\n".join(faults)


def test_packages_import_only_allowed_packages() -> None:
    faults = foreign_imports(all_imports())
    assert not faults, "\n".join(faults)


def test_pure_modules_have_no_network_clock_or_environment() -> None:
    faults = impure_imports(all_imports())
    assert not faults, "\n".join(faults)


def test_the_kit_imports_only_packages_of_its_installation() -> None:
    faults = heavy_imports(all_imports(), modules=("streamlit_kit",), libraries=KIT_LIBRARIES)
    assert not faults, "\n".join(faults)


def test_token_checks_import_only_packages_of_the_api_installation() -> None:
    imports = all_imports()
    modules = pulled_in_by("bff.bearer", imports)
    assert "bff.settings" not in {room_of(module) for module in modules}
    faults = [fault for name in modules for fault in heavy_imports(imports, modules=(name,), libraries=API_LIBRARIES)]
    assert not faults, "\n".join(faults)


def test_the_contract_imports_only_the_standard_library() -> None:
    faults = heavy_imports(all_imports(), modules=("bff.contract",), libraries=frozenset())
    assert not faults, "\n".join(faults)


def test_undocumented_parts_of_streamlit_are_used_in_one_module() -> None:
    faults = streamlit_internals(all_imports())
    assert not faults, "\n".join(faults)


def test_no_module_has_a_vague_name() -> None:
    vague = [name for name in modules_of(ROOT) if name.rpartition(".")[2] in VAGUE_NAMES]
    assert not vague


def test_a_wrong_import_is_detected_in_every_spelling() -> None:
    for source in (
        "import bff.login.sign_in",
        "from bff import login",
        "from bff.login.sign_in import start_login",
        "from ..login import start_login",
        "def late():\n    from bff.login.sign_in import start_login",
    ):
        assert wrong_imports(parse("bff.oidc.tokens", source)), source


def test_a_room_may_not_import_a_room_of_the_same_row() -> None:
    assert wrong_imports(parse("bff.login.sign_in", "import bff.kit.credentials"))
    assert not wrong_imports(parse("bff.login.sign_in", "import bff.login.transactions"))


def test_an_import_of_a_lower_room_is_accepted() -> None:
    assert not wrong_imports(
        parse("bff.login.sign_in", "from bff.oidc import tokens\nfrom bff.contract import Identity")
    )
    assert not wrong_imports(parse("gateway.cli.main", "from gateway.app import create_app"))


def test_an_import_of_a_forbidden_package_is_detected() -> None:
    assert foreign_imports(parse("bff.login.sign_in", "import gateway.app"))
    assert foreign_imports(parse("streamlit_kit.client", "from bff.errors import AuthError"))
    assert not foreign_imports(parse("streamlit_kit.client", "from bff import contract"))
    assert impure_imports(parse("bff.oidc.tokens", "import time"))
    heavy = parse("streamlit_kit.client", "import redis.asyncio")
    assert heavy_imports(heavy, modules=("streamlit_kit",), libraries=KIT_LIBRARIES)
    assert streamlit_internals(parse("streamlit_kit.client", "from streamlit.runtime import get_instance"))


def test_an_unknown_module_belongs_to_no_room() -> None:
    assert row_of("bff.helper") is None
    assert row_of("bff.oidc.anything") == row_of("bff.oidc")
