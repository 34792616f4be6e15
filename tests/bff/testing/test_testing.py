"""The test tools for authors of APIs: callers, a provider and a clock. They do not work outside a test."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI

from bff.bearer import JWTBearer, RequireRoles, RequireScopes, StandardClaims
from bff.install import CurrentSession, install
from bff.running_test import running_test
from bff.settings.loading import parse_settings
from bff.testing import FakeClock, FakeProvider, NotUnderTest, bearer_for
from tests.bff.installed_plugin import with_plugin
from tests.bff.serving import serving
from tests.fakes import CookieClient, bind_socket

ISSUER = "https://idp.example.com"


@pytest.fixture(autouse=True)
def plugin() -> Iterator[None]:
    """What the plugin does around a test, even if it is not installed in this environment."""
    with running_test():
        yield


def bearer_of(**over: Any) -> JWTBearer:
    return JWTBearer(**{"issuer": ISSUER, "audience": "api", "jwks_url": "http://127.0.0.1:9/keys"} | over)


def api_with(bearer: JWTBearer) -> FastAPI:
    """Routes on the application, on a router, and in an application mounted in it."""
    app, router, inner = FastAPI(), APIRouter(prefix="/router"), FastAPI()

    @app.get("/me")
    async def me(caller: Annotated[StandardClaims, Depends(bearer)]) -> dict[str, Any]:
        return {"sub": caller.sub, "roles": caller.roles, "groups": caller.groups, "email": caller.email}

    @router.get("/analysts", dependencies=[Depends(RequireRoles(bearer, "analyst", claim="realm_access.roles"))])
    async def analysts() -> str:
        return "analysts"

    @inner.get("/models", dependencies=[Depends(RequireScopes(bearer, "models:read"))])
    async def models() -> str:
        return "models"

    app.include_router(router)
    app.mount("/inner", inner)
    return app


async def ask(app: FastAPI, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api") as http:
        return await http.get(path, headers=headers)


async def test_a_caller_is_signed_in_without_a_network() -> None:
    app = api_with(bearer_of())
    headers = bearer_for(app, sub="ada", roles=["analyst"], groups=["science"])
    expected = {"sub": "ada", "roles": ["analyst"], "groups": ["science"], "email": "ada@example.com"}
    assert (await ask(app, "/me", headers)).json() == expected


async def test_the_checks_of_the_api_still_apply_in_tests() -> None:
    app = api_with(bearer_of())
    headers = bearer_for(app)
    assert (await ask(app, "/me")).status_code == 401
    assert (await ask(app, "/me", {"Authorization": "Bearer x.y.z"})).status_code == 401
    assert (await ask(app, "/me", bearer_for(app, claims={"aud": "another"}))).status_code == 401
    assert (await ask(app, "/me", bearer_for(app, seconds=-60))).status_code == 401
    assert (await ask(app, "/router/analysts", headers)).status_code == 403
    assert (await ask(app, "/inner/models", headers)).status_code == 403


async def test_roles_and_scopes_are_in_the_claims_that_the_api_reads() -> None:
    app = api_with(bearer_of(roles_claim="https://example.com/roles"))
    headers = bearer_for(app, roles=["analyst"], scopes=["models:read"])
    assert (await ask(app, "/me", headers)).json()["roles"] == ["analyst"]
    assert (await ask(app, "/router/analysts", headers)).json() == "analysts"
    assert (await ask(app, "/inner/models", headers)).json() == "models"


async def test_the_clock_of_the_api_is_used() -> None:
    clock = FakeClock()
    app = api_with(bearer_of(clock=clock))
    headers = bearer_for(app, seconds=60)
    assert (await ask(app, "/me", headers)).status_code == 200
    clock.advance(71)
    assert (await ask(app, "/me", headers)).json()["detail"]["error_description"] == "bearer_exp"


async def test_after_the_test_the_api_trusts_only_its_issuer() -> None:
    app = api_with(bearer_of())
    with running_test():
        headers = bearer_for(app)
        assert (await ask(app, "/me", headers)).status_code == 200
    assert app.dependency_overrides == {}
    assert (await ask(app, "/me", headers)).status_code == 401


async def test_a_caller_of_one_api_is_refused_by_another() -> None:
    one, other = api_with(bearer_of()), api_with(bearer_of())
    headers = bearer_for(one)
    assert (await ask(other, "/me", headers)).status_code == 401


def test_an_api_without_a_bearer_check_is_named_in_the_error() -> None:
    with pytest.raises(LookupError, match="no route"):
        bearer_for(FastAPI())


def test_with_several_issuers_one_must_be_chosen() -> None:
    people, machines = bearer_of(), bearer_of(issuer="https://machines.example.com")
    app = api_with(people)
    app.include_router(api_with(machines).router, prefix="/machines")
    with pytest.raises(LookupError, match="bearer="):
        bearer_for(app)
    assert bearer_for(app, bearer=machines)["Authorization"].startswith("Bearer ")
    assert list(app.dependency_overrides) == [machines]


OUTSIDE = """
import sys
from fastapi import Depends, FastAPI
from bff.bearer import JWTBearer
from bff.testing import bearer_for

app = FastAPI(dependencies=[Depends(JWTBearer("https://idp.example.com", "api", jwks_url="https://idp.example.com/k"))])
app.get("/")(lambda: "")
bearer_for(app)
"""


def test_after_the_test_no_caller_is_signed_in() -> None:
    done = subprocess.run([sys.executable, "-c", OUTSIDE], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"{NotUnderTest.__name__}: bff.testing works inside a pytest test only" in done.stderr


OWN_TESTS = """
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient
from bff.bearer import JWTBearer
from bff.testing import bearer_for

bearer = JWTBearer("https://idp.example.com", "api", jwks_url="http://127.0.0.1:9/keys")
app = FastAPI()
kept = {}

@app.get("/", dependencies=[Depends(bearer)])
async def page() -> str:
    return "in"

def test_signed_in(fake_clock):
    kept.update(bearer_for(app))
    assert TestClient(app).get("/", headers=kept).json() == "in"
    assert fake_clock() == fake_clock()

def test_nothing_is_left_of_the_test_before(fake_provider):
    assert app.dependency_overrides == {}
    assert TestClient(app).get("/", headers=kept).status_code == 401
    assert fake_provider.issuer.startswith("http://127.0.0.1:")
"""


def test_the_pytest_plugin_is_installed_with_the_package(tmp_path: Path) -> None:
    (tmp_path / "test_own.py").write_text(OWN_TESTS)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_own.py"],
        cwd=tmp_path,
        env=os.environ | with_plugin(tmp_path / "site"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


def test_the_pytest_plugin_imports_no_server_library() -> None:
    """Somebody with only the kit has neither FastAPI nor cryptography, and must be able to run tests."""
    look = "import bff.pytest_plugin, sys; print({'fastapi', 'httpx', 'jwt', 'cryptography'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


WITHOUT_PYTEST = """
import sys
sys.modules["pytest"] = None
from bff.testing import FakeProvider
print(FakeProvider().issuer, {"uvicorn", "jinja2", "multipart", "redis", "typer"} & set(sys.modules))
"""


def test_the_provider_needs_neither_pytest_nor_a_server_package() -> None:
    """It runs without pytest in `vestibule demo`, and without Uvicorn and Jinja in the tests of an API."""
    done = subprocess.run([sys.executable, "-c", WITHOUT_PYTEST], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("http://127.0.0.1:")
    assert done.stdout.strip().endswith("set()")


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    with FakeProvider() as running:
        yield running


@pytest.fixture
def door(provider: FakeProvider) -> Iterator[str]:
    """An application with the front door in it, at the small provider."""
    sock = bind_socket("127.0.0.1")
    url = f"http://localhost:{sock.getsockname()[1]}"
    app = FastAPI()
    settings = parse_settings(
        {
            "server": {"public_url": url, "environment": "development"},
            "secrets": {"keys": ["unit-test-key-0123456789-abcdefghijklmnop"]},
            "providers": {"corp": provider.settings()},
        }
    )
    install(app, settings)

    @app.get("/me")
    async def me(session: CurrentSession) -> dict[str, Any]:
        return {"sub": session.identity.sub, "roles": session.identity.roles, "token": session.tokens.access_token}

    with serving(app, sock=sock):
        yield url


async def test_the_fake_provider_signs_a_person_in_and_out_at_the_front_door(door: str, provider: FakeProvider) -> None:
    with CookieClient() as browser:
        me = browser.walk(browser.get(door + "/me"))[-1].json()
        assert (me["sub"], me["roles"]) == ("alice", ["analyst", "admin"])
        token = await JWTBearer.from_env(provider.variables()).verify(me["token"])
        assert (token.sub, sorted(token.scopes)) == ("alice", ["email", "openid", "profile"])
        out = browser.walk(browser.post(door + "/auth/logout"))
        assert out[-1].url.path == "/auth/logged-out"
        provider.next_person = "bob"
        assert browser.walk(browser.get(door + "/me"))[-1].json()["sub"] == "bob"


def test_a_session_that_ends_at_the_fake_provider_ends_at_the_front_door(door: str, provider: FakeProvider) -> None:
    provider.client.backchannel_logout_uri = f"{door}/auth/backchannel-logout/corp"
    with CookieClient() as browser:
        assert browser.walk(browser.get(door + "/me"))[-1].json()["sub"] == "alice"
        assert browser.fetch(door + "/auth/session").status_code == 200
        assert provider.end_sessions("alice") == [
            "The session of Alice has ended. Vestibule was told (back-channel logout, status 200)."
        ]
        assert browser.fetch(door + "/auth/session").status_code == 401
