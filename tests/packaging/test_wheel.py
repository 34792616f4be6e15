"""The built wheel, installed with one extra at a time: what the extra promises works, and nothing else is installed."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from bff.testing import FakeProvider
from tests.packaging.environments import build_wheel, make_environment

CHECK_A_TOKEN = """
import asyncio, json, sys
from bff.bearer import JWTBearer, RequireRoles, StandardClaims, TokenVerifier

async def main() -> dict:
    token = sys.argv[1]
    caller = await JWTBearer.from_env().verify(token)
    plain = TokenVerifier.from_env().verify_blocking(token)
    return {"sub": caller.sub, "roles": list(caller.roles), "same": plain == caller}

result = asyncio.run(main())
loaded = {name.partition(".")[0] for name in sys.modules}
heavy = {"redis", "typer", "authlib", "structlog", "uvicorn", "streamlit", "pydantic_settings"}
result["heavy"] = sorted(loaded & heavy)
print(json.dumps(result))
"""
CHECK_A_TOKEN_WITHOUT_A_FRAMEWORK = """
import json, sys
from bff.api.verifier import TokenVerifier

caller = TokenVerifier.from_env().verify_blocking(sys.argv[1])
print(json.dumps({"sub": caller.sub, "web": sorted({"fastapi", "starlette"} & set(sys.modules))}))
"""
USE_THE_KIT = """
import json, sys
import streamlit_kit, streamlit_kit.testing

loaded = {name.partition(".")[0] for name in sys.modules}
print(json.dumps({"kit": hasattr(streamlit_kit, "prepare_client"),
                  "heavy": sorted(loaded & {"redis", "typer", "authlib", "fastapi", "uvicorn"})}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


def run(python: Path, code: str, *arguments: str, environ: dict[str, str] | None = None) -> dict[str, object]:
    done = subprocess.run(
        [python, "-c", code, *arguments], env=environ or {}, capture_output=True, text=True, timeout=60, cwd="/"
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def test_an_api_can_check_a_token_with_only_the_extra_api(
    wheel: Path, tmp_path: Path, fake_provider: FakeProvider
) -> None:
    python = make_environment(tmp_path / "api", wheel, extras=["api"])
    token = fake_provider.access_token("alice", audience="api")
    answer = run(python, CHECK_A_TOKEN, token, environ=fake_provider.variables())
    assert answer == {"sub": "alice", "roles": ["analyst", "admin"], "same": True, "heavy": []}


def test_a_token_can_be_checked_without_any_web_framework(
    wheel: Path, tmp_path: Path, fake_provider: FakeProvider
) -> None:
    python = make_environment(tmp_path / "base", wheel)
    token = fake_provider.access_token("alice", audience="api")
    answer = run(python, CHECK_A_TOKEN_WITHOUT_A_FRAMEWORK, token, environ=fake_provider.variables())
    assert answer == {"sub": "alice", "web": []}


def test_the_kit_works_with_only_the_extra_streamlit(wheel: Path, tmp_path: Path) -> None:
    python = make_environment(tmp_path / "kit", wheel, extras=["streamlit"])
    assert run(python, USE_THE_KIT) == {"kit": True, "heavy": []}


def test_the_front_door_starts_with_only_the_extra_server(wheel: Path, tmp_path: Path) -> None:
    python = make_environment(tmp_path / "server", wheel, extras=["server"])
    code = "import gateway.app, gateway.cli.main, gateway.processes.worker; print('{}')"
    assert run(python, code) == {}


def test_the_wheel_contains_type_information_pages_and_scripts(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for package in ("bff", "gateway", "streamlit_kit"):
        assert f"{package}/py.typed" in names
    assert {"bff/web/pages/base.html", "bff/web/pages/guard.js"} <= names
    assert not [name for name in names if name.startswith(("tests/", "deploy/"))]


def test_a_type_checker_uses_the_types_of_the_installed_wheel(wheel: Path, tmp_path: Path) -> None:
    """mypy finds the types by `py.typed`, and sees the wrong use below."""
    python = make_environment(tmp_path / "typed", wheel, extras=["api"])
    program = tmp_path / "typed_use.py"
    program.write_text(
        "from typing import assert_type\n"
        "from bff.bearer import JWTBearer, StandardClaims\n"
        "async def check(bearer: JWTBearer) -> None:\n"
        '    assert_type(await bearer.verify("x"), StandardClaims)\n'
        "    await bearer.verify(5)\n"
    )
    command = [sys.executable, "-m", "mypy", "--strict", f"--python-executable={python}", "--cache-dir=/dev/null"]
    done = subprocess.run([*command, program.name], cwd=tmp_path, capture_output=True, text=True, timeout=110)
    assert done.stdout.splitlines()[0].startswith("typed_use.py:5: error: Argument 1"), done.stdout
    assert "Found 1 error" in done.stdout
