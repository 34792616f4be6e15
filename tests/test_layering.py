"""Imports point downwards: docs/design.md draws the layers, this file holds them."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("bff", "gateway", "streamlit_kit")

# From the ground up. A module may import modules of its own layer and of those above it in this table, so `gateway`
# imports `bff` and never the other way round. A package stands for all modules in it, unless one is named by itself.
# A new module gets its line here: the lowest layer whose imports suffice it.
LAYERS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("names", ("bff.contract", "bff.errors")),
    (
        "settings",
        (
            "bff.settings.tables",
            "bff.settings.rules",
            "bff.settings.warnings",
            "bff.settings.open_routes",
            "bff.settings.claim_header_names",
            "bff.settings.faults",
            "bff.settings.environment",
            "bff.secret_files",
            "bff.settings.secrets",
            "bff.settings.loading",
            "bff.settings.public_urls",
        ),
    ),
    (
        "protocol",
        (
            "bff.browser.addresses",
            "bff.oidc",
            "bff.api.settings",
            "bff.api.tokens",
            "bff.oidc.claims",
            "bff.browser.cookies",
            "bff.browser.csrf",
            "bff.api.development_tokens",
            "bff.browser.devices",
            "bff.provider.identity",
            "bff.browser.request_facts",
            "bff.access.requirements",
            "bff.browser.return_to",
            "bff.oidc.verified_email",
            "bff.access.roles",
            "bff.running_test",
            "bff.browser.service_workers",
        ),
    ),
    ("record and keys", ("bff.sessions.record", "bff.sessions.keyring")),
    ("adapters", ("bff.provider.client", "bff.fetch.http", "bff.fetch.keys", "bff.stores", "bff.audit")),
    (
        "use-cases",
        (
            "bff.sessions.lifecycle",
            "bff.sessions.refresh",
            "bff.login.transactions",
            "bff.login.sign_in",
            "bff.provider.claims",
            "bff.web.login_requests",
            "bff.sessions.assertion",
            "bff.kit.one_time_codes",
            "bff.kit.credentials",
            "bff.kit.page_state",
            "bff.sessions.upstream_tokens",
            "bff.assembly",
        ),
    ),
    (
        "sign-in over HTTP",
        (
            "bff.web.account",
            "bff.web.answers",
            "bff.web.handlers",
            "bff.web.kit",
            "bff.web.provider",
            "bff.web.session",
            "bff.web.sign_in",
            "bff.web.app",
            "bff.web.pages",
            "bff.web.problems",
            "bff.kit_endpoints",
            "bff.api.api_keys",
            "bff.bearer",
            "bff.install",
            "bff.pytest_plugin",
            "bff.testing",
            "bff.api.trusted_proxy",
            "bff.api.upstream_secret",
        ),
    ),
    (
        "rules of the gateway",
        (
            "gateway.headers.cookies",
            "gateway.access.cors",
            "gateway.documents.selection",
            "gateway.headers.foreign_identity",
            "gateway.headers.forwarded",
            "gateway.headers.warnings",
            "gateway.headers.request",
            "gateway.headers.identity",
            "gateway.masked_paths",
            "gateway.access.paths",
            "bff.access.policy",
            "gateway.headers.caching",
            "gateway.serving.head_rules",
            "gateway.headers.origin_wide",
            "gateway.headers.response",
            "gateway.access.routes",
            "gateway.documents.script_policy",
            "gateway.streamlit.messages",
            "gateway.streamlit.paths",
            "gateway.documents.head_tag",
            "gateway.targets",
            "gateway.documents.text_encodings",
            "gateway.access.worker_scripts",
        ),
    ),
    (
        "gateway",
        (
            "gateway.access_log",
            "gateway.processes.child_output",
            "gateway.processes.children",
            "gateway.serving.connections",
            "gateway.access.credentials",
            "gateway.headers.dropped",
            "gateway.faults",
            "gateway.forward_auth",
            "gateway.serving.gentle_transport",
            "gateway.serving.http",
            "gateway.serving.websocket",
            "gateway.launcher",
            "gateway.relay.live_connections",
            "gateway.logs",
            "gateway.access.machine_callers",
            "gateway.relay.outgoing",
            "gateway.pipeline",
            "gateway.problems",
            "gateway.processes.readiness",
            "gateway.relay.relaying",
            "gateway.access.request",
            "gateway.serving.server",
            "gateway.access.session_cache",
            "gateway.relay.session_script",
            "gateway.sandbox",
            "gateway.headers.spoofing",
            "gateway.processes.settings_text",
            "gateway.streamlit.sessions",
            "gateway.streamlit.socket",
            "gateway.processes.tether",
            "gateway.upstream",
            "gateway.upstream.choice",
        ),
    ),
    ("application", ("gateway.app",)),
    (
        "processes",
        (
            "gateway.management.admin",
            "gateway.processes.plan",
            "gateway.processes.listeners",
            "gateway.processes.managed_apps",
            "gateway.management.app",
            "gateway.processes.supervisor",
            "gateway.testing",
            "gateway.processes.worker",
        ),
    ),
    (
        "command",
        (
            "gateway.cli.demo",
            "gateway.cli.dev",
            "gateway.cli.dev_api",
            "gateway.cli.development",
            "gateway.cli.doctor.checks",
            "gateway.cli.doctor.trial",
            "gateway.cli.doctor.fixes",
            "gateway.cli.doctor.login",
            "gateway.cli.doctor.claims",
            "gateway.cli.initialise",
            "gateway.cli.key_files",
            "gateway.cli.main",
            "gateway.cli.sessions",
            "gateway.cli.configuration_file",
        ),
    ),
)

# No network, no clock, no environment: time comes in as `now`, randomness as an argument.
PURE = (
    "bff.contract",
    "bff.errors",
    "bff.settings.public_urls",
    "bff.oidc",
    "bff.api.settings",
    "bff.api.tokens",
    "bff.oidc.claims",
    "bff.browser.cookies",
    "bff.browser.csrf",
    "bff.browser.devices",
    "bff.provider.identity",
    "bff.access.requirements",
    "bff.browser.return_to",
    "bff.access.roles",
    "bff.browser.service_workers",
    "bff.oidc.verified_email",
    "gateway.headers.cookies",
    "gateway.documents.selection",
    "gateway.headers.foreign_identity",
    "gateway.headers.forwarded",
    "gateway.headers.warnings",
    "gateway.headers.request",
    "gateway.headers.identity",
    "gateway.masked_paths",
    "gateway.access.paths",
    "bff.access.policy",
    "gateway.serving.head_rules",
    "gateway.headers.origin_wide",
    "gateway.headers.response",
    "gateway.access.routes",
    "gateway.documents.script_policy",
    "gateway.streamlit.messages",
    "gateway.streamlit.paths",
    "gateway.documents.head_tag",
    "gateway.documents.text_encodings",
    "gateway.access.worker_scripts",
)
IMPURE_LIBRARIES = frozenset({"httpx", "redis", "fastapi", "starlette", "asyncio", "os", "time"})

# What `pip install vestibule[streamlit]` brings: a page's process has no server libraries.
KIT_LIBRARIES = frozenset({"httpx", "jwt", "cryptography", "pydantic", "streamlit"})


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


def layer_of(module: str) -> int | None:
    """Index into LAYERS by the longest matching name; the bare packages `bff` and `gateway` lie below everything."""
    if module in PACKAGES:
        return -1
    matches = [
        (len(place), index)
        for index, (_, places) in enumerate(LAYERS)
        for place in places
        if is_within(module, (place,))
    ]
    return max(matches)[1] if matches else None


def upward_imports(imports: list[Import]) -> list[str]:
    """One sentence per import that points upwards between modules of `bff` and `gateway`."""
    faults = []
    for found in imports:
        here, there = layer_of(found.module), layer_of(found.target)
        if here is not None and there is not None and there > here:
            name = LAYERS[here][0] if here >= 0 else "a package's __init__"
            faults.append(
                f"{found.module}:{found.line} ({name}) imports {found.target}, which is above it ({LAYERS[there][0]})"
            )
    return faults


def foreign_imports(imports: list[Import]) -> list[str]:
    """Imports across packages that are not allowed whatever their layer."""
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


def heavy_kit_imports(imports: list[Import]) -> list[str]:
    faults = []
    for found in imports:
        library = found.target.split(".")[0]
        if library in sys.stdlib_module_names or library in PACKAGES:
            continue
        if found.module.startswith("streamlit_kit") and library not in KIT_LIBRARIES:
            faults.append(f"{found.module}:{found.line} imports {library}, which the kit's installation does not bring")
        if found.module == "bff.contract":
            faults.append(f"bff.contract:{found.line} imports {library}: it has the standard library only")
    return faults


def streamlit_internals(imports: list[Import]) -> list[str]:
    """`streamlit.runtime` and the like may change with any release: one room knows them."""
    return [
        f"{found.module}:{found.line} imports {found.target}: only streamlit_kit._streamlit may"
        for found in imports
        if found.module.startswith("streamlit_kit.")
        and found.module != "streamlit_kit._streamlit"
        and is_within(found.target, ("streamlit.runtime", "streamlit.web", "streamlit.proto", "streamlit.elements"))
    ]


def parse(module: str, source: str) -> list[Import]:
    known = frozenset({"bff.contract", "bff.login.sign_in", "bff.oidc.tokens", "gateway.app", "gateway.cli.main"})
    return list(imports_in(module, source, is_package=False, known=known))


def test_every_module_has_a_layer() -> None:
    homeless = [name for name in modules_of(ROOT) if not name.startswith("streamlit_kit") and layer_of(name) is None]
    assert not homeless, f"no layer for {', '.join(homeless)}: add each to LAYERS in tests/test_layering.py"


def test_no_layer_imports_one_above_it() -> None:
    faults = upward_imports(all_imports())
    assert not faults, "\n".join(faults)


def test_packages_keep_to_themselves() -> None:
    faults = foreign_imports(all_imports())
    assert not faults, "\n".join(faults)


def test_pure_modules_have_no_network_clock_or_environment() -> None:
    faults = impure_imports(all_imports())
    assert not faults, "\n".join(faults)


def test_the_kit_needs_only_what_its_installation_brings() -> None:
    faults = heavy_kit_imports(all_imports())
    assert not faults, "\n".join(faults)


def test_undocumented_streamlit_is_touched_in_one_module() -> None:
    faults = streamlit_internals(all_imports())
    assert not faults, "\n".join(faults)


def test_an_upward_import_is_seen_in_every_spelling() -> None:
    for source in (
        "import bff.login.sign_in",
        "from bff import login",
        "from bff.login.sign_in import start_login",
        "from ..login import start_login",
        "def late():\n    from bff.login.sign_in import start_login",
    ):
        assert upward_imports(parse("bff.oidc.tokens", source)), source


def test_a_downward_import_is_fine() -> None:
    assert not upward_imports(parse("bff.login.sign_in", "from bff.oidc import tokens\nfrom .contract import Identity"))
    assert not upward_imports(parse("gateway.cli.main", "from gateway.app import create_app"))


def test_forbidden_neighbours_are_seen() -> None:
    assert foreign_imports(parse("bff.login.sign_in", "import gateway.app"))
    assert foreign_imports(parse("streamlit_kit.client", "from bff.errors import AuthError"))
    assert not foreign_imports(parse("streamlit_kit.client", "from bff import contract"))
    assert impure_imports(parse("bff.oidc.tokens", "import time"))
    assert heavy_kit_imports(parse("streamlit_kit.client", "import redis.asyncio"))
    assert heavy_kit_imports(parse("bff.contract", "import pydantic"))
    assert streamlit_internals(parse("streamlit_kit.client", "from streamlit.runtime import get_instance"))


def test_an_unknown_module_has_no_layer() -> None:
    assert layer_of("bff.helper") is None
    assert layer_of("bff.oidc.anything") == layer_of("bff.oidc")
