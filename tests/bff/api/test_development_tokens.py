"""`VESTIBULE_DEV_SECRET`: development tokens open an API on this machine only."""

import subprocess
import sys
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI

from bff.api.development_tokens import is_from_loopback
from bff.bearer import JWTBearer, JWTBearerMisconfigured, StandardClaims, mint_development_token
from bff.contract import DEV_AUDIENCE, DEV_ISSUER
from bff.errors import InvalidToken
from tests.bff.factories import jwt_of
from tests.bff.serving import serving

SECRET = "a-development-secret-of-more-than-32-bytes"
ENVIRON = {"VESTIBULE_DEV_SECRET": SECRET}


def api() -> FastAPI:
    app, bearer = FastAPI(), JWTBearer.from_env(ENVIRON)

    @app.get("/me")
    async def me(caller: Annotated[StandardClaims, Depends(bearer)]) -> dict[str, Any]:
        return {"sub": caller.sub, "roles": caller.roles, "scopes": sorted(caller.scopes), "email": caller.email}

    return app


def get(url: str, token: str, **headers: str) -> httpx.Response:
    return httpx.get(url, headers={"Authorization": f"Bearer {token}"} | headers)


def test_a_development_token_opens_the_api_on_this_machine() -> None:
    token = mint_development_token("ada", roles=["analyst"], scopes=["models:read"], secret=SECRET)
    with serving(api()) as url:
        answer = get(url + "/me", token)
    assert answer.json() == {
        "sub": "ada",
        "roles": ["analyst"],
        "scopes": ["models:read"],
        "email": "ada@example.com",
    }


@pytest.mark.parametrize(
    "headers",
    [{"X-Forwarded-For": "127.0.0.1"}, {"Forwarded": "for=127.0.0.1"}, {"X-Real-IP": "::1"}, {"Via": "1.1 proxy"}],
)
def test_a_development_token_is_refused_behind_a_proxy_on_this_machine(headers: dict[str, str]) -> None:
    token = mint_development_token("ada", secret=SECRET)
    with serving(api(), proxy_headers=False) as url:
        answer = get(url + "/me", token, **headers)
    assert answer.status_code == 401
    assert answer.json()["detail"]["error_description"] == "bearer_development"


@pytest.mark.parametrize("client", [("10.0.0.7", 4711), ("2001:db8::1", 4711), ("testclient", 50000), None])
async def test_a_development_token_is_refused_from_another_machine(client: tuple[str, int] | None) -> None:
    transport = httpx.ASGITransport(api(), client=client)  # type: ignore[arg-type]  # None is what unix sockets have
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        token = mint_development_token("ada", secret=SECRET)
        answer = await http.get("/me", headers={"Authorization": f"Bearer {token}"})
    assert answer.json()["detail"]["error_description"] == "bearer_development"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_every_spelling_of_a_loopback_address_is_loopback(host: str) -> None:
    assert is_from_loopback({"headers": [], "client": (host, 1)})


@pytest.mark.parametrize("host", ["::ffff:10.0.0.1", "0.0.0.0", "", "localhost.evil.example"])
def test_other_addresses_are_not_loopback(host: str) -> None:
    assert not is_from_loopback({"headers": [], "client": (host, 1)})


async def test_a_development_token_is_refused_when_the_client_address_is_unknown() -> None:
    with pytest.raises(InvalidToken, match="bearer_development"):
        await JWTBearer.from_env(ENVIRON).verify(mint_development_token("ada", secret=SECRET))


@pytest.mark.parametrize(
    ("token", "code"),
    [
        (mint_development_token("ada", secret=SECRET[::-1]), "bearer_signature"),
        (mint_development_token("ada", secret=SECRET, seconds=-60), "bearer_exp"),
        (mint_development_token("ada", secret=SECRET, audience="another"), "bearer_aud"),
        (jwt_of({"iss": DEV_ISSUER, "aud": DEV_AUDIENCE, "sub": "a", "iat": 0, "exp": 2**39}), "bearer_alg"),
        (jwt_of({"iss": DEV_ISSUER}, key=SECRET, header={"typ": "JWT"}), "bearer_typ"),
    ],
    ids=["another secret", "expired", "another audience", "a key of a provider", "another type"],
)
def test_a_wrong_token_is_refused_in_development(token: str, code: str) -> None:
    with serving(api()) as url:
        assert get(url + "/me", token).json()["detail"]["error_description"].partition(":")[0] == code


@pytest.mark.parametrize(
    ("over", "named"),
    [
        ({"VESTIBULE_DEV_SECRET": "x" * 31}, "VESTIBULE_DEV_SECRET is shorter than 32 bytes"),
        (
            {"VESTIBULE_JWT__ISSUER": "https://idp.example.com", "VESTIBULE_JWT__AUDIENCE": "api"},
            "VESTIBULE_DEV_SECRET beside VESTIBULE_JWT__ISSUER of a real provider",
        ),
        ({"VESTIBULE_JWT__JWKS_URL": "https://idp.example.com/keys"}, "exactly one of"),
        ({"VESTIBULE_JWT__HS256_SECRET": SECRET}, "exactly one of"),
    ],
)
def test_a_development_secret_with_settings_of_a_real_provider_stops_the_start_with_the_reason(
    over: dict[str, str], named: str
) -> None:
    with pytest.raises(JWTBearerMisconfigured, match=named) as caught:
        JWTBearer.from_env(ENVIRON | over)
    assert SECRET not in str(caught.value)


def test_a_development_secret_may_have_an_issuer_and_an_audience_of_this_machine(
    caplog: pytest.LogCaptureFixture,
) -> None:
    own = {"VESTIBULE_JWT__ISSUER": "http://localhost:8000", "VESTIBULE_JWT__AUDIENCE": "api"}
    rules = JWTBearer.from_env(ENVIRON | own).rules
    assert (rules.issuer, rules.audience) == ("http://localhost:8000", "api")
    assert "VESTIBULE_DEV_SECRET is set" in caplog.text


def test_creating_a_token_without_a_secret_names_the_missing_variable() -> None:
    with pytest.raises(JWTBearerMisconfigured, match="VESTIBULE_DEV_SECRET is not set"):
        mint_development_token("ada")


def test_the_command_prints_a_token_that_the_api_accepts() -> None:
    command = [sys.executable, "-m", "bff.api.development_tokens", "ada", "analyst", "admin", "--scope", "models:read"]
    done = subprocess.run(command, env=ENVIRON, capture_output=True, text=True, check=True)
    with serving(api()) as url:
        answer = get(url + "/me", done.stdout.strip())
    assert answer.json()["roles"] == ["analyst", "admin"]
    failed = subprocess.run(command, env={}, capture_output=True, text=True, check=False)
    assert (failed.returncode, failed.stdout) == (2, "")
    assert "VESTIBULE_DEV_SECRET is not set" in failed.stderr
