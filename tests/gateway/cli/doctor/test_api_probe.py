"""`vestibule doctor` and `vestibule dev` make a token, try it at each API, and say what the API refused."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import Depends, FastAPI

from bff.bearer import JWTBearer, RequireRoles
from bff.sessions.assertion import Assertions
from bff.sessions.keyring import Keyring
from bff.settings.loading import parse_settings
from bff.settings.tables import Settings
from gateway.cli.doctor.api_probe import choose_path, has_probe, probe_api
from gateway.cli.doctor.checks import examine
from tests.bff.serving import serving
from tests.fakes import RecordingUpstream

KEY = secrets.token_urlsafe(32)
ISSUER = "http://localhost:8000"


def settings(upstream: str, **route: Any) -> Settings:
    api = {"id": "api", "path": "/api/", "upstream": upstream, "kind": "api", "strip_prefix": True}
    return parse_settings(
        {
            "server": {"public_url": ISSUER, "environment": "development"},
            "secrets": {"keys": [KEY], "admin_token": secrets.token_urlsafe(32)},
            "providers": {"corp": {"issuer": "http://127.0.0.1:9", "client_id": "x", "client_secret": "y" * 20}},
            "routes": [api | {"token": "assertion", "audience": "reports"} | route],
        }
    )


@pytest.fixture(scope="module")
def keys() -> Iterator[str]:
    """Where the front door's keys are; it need not run."""
    with RecordingUpstream() as door:
        jwks = Assertions(Keyring([KEY.encode()]), issuer=ISSUER, clock=lambda: 0).jwks()
        door.respond("/auth/jwks.json", json=jwks)
        yield door.url + "/auth/jwks.json"


def api(bearer: JWTBearer) -> FastAPI:
    app = FastAPI()

    @app.get("/open")
    async def everybody() -> str:
        return "open"

    @app.get("/things/{number}", dependencies=[Depends(bearer)])
    async def one(number: int) -> int:
        return number

    @app.get("/search", dependencies=[Depends(bearer)])
    async def search(words: str) -> str:
        return words

    @app.post("/things", dependencies=[Depends(bearer)])
    async def make() -> str:
        raise AssertionError("nothing may be changed")

    @app.get("/me", dependencies=[Depends(bearer)])
    async def me() -> str:
        return "known"

    return app


def probe(bearer: JWTBearer, **route: Any) -> tuple[str, str]:
    with serving(api(bearer)) as url:
        found = settings(url, **route)
        result = probe_api(found.routes[0], found)
    return result.level, result.message.replace(url, "")


def test_an_api_that_accepts_the_token_gives_no_warning(keys: str) -> None:
    assert probe(JWTBearer(ISSUER, "reports", jwks_url=keys)) == (
        "ok",
        "GET /me takes the front door's token (status 200)",
    )


@pytest.mark.parametrize(
    ("issuer", "audience", "reason"),
    [
        (ISSUER + "/", "reports", f"bearer_iss: the issuer is {ISSUER}, expected is {ISSUER}/"),
        (ISSUER, "report", "bearer_aud: the audience is reports, expected is report"),
        ("https://apps.example.com", "reports", "bearer_iss"),
    ],
    ids=["a final slash", "another audience", "a real issuer"],
)
def test_the_warning_names_the_issuer_or_audience_that_the_api_expects(
    keys: str, issuer: str, audience: str, reason: str
) -> None:
    level, message = probe(JWTBearer(issuer, audience, jwks_url=keys))
    assert level == "fault"
    assert message == (
        f"GET /me refuses the front door's token ({reason}); it must expect the issuer {ISSUER} and the audience "
        "reports (VESTIBULE_JWT__ISSUER, VESTIBULE_JWT__AUDIENCE), exactly"
    )


def test_an_api_that_cannot_fetch_the_keys_is_a_warning_that_names_the_variable() -> None:
    level, message = probe(JWTBearer(ISSUER, "reports", jwks_url="http://127.0.0.1:9/auth/jwks.json"))
    assert level == "warning"
    assert "VESTIBULE_JWT__JWKS_URL" in message


def test_a_403_for_a_missing_role_shows_that_the_api_accepted_the_token(keys: str) -> None:
    bearer = JWTBearer(ISSUER, "reports", jwks_url=keys)
    app = FastAPI(dependencies=[Depends(RequireRoles(bearer, "analyst"))])
    app.get("/me")(lambda: "never")
    with serving(app) as url:
        found = settings(url)
        assert probe_api(found.routes[0], found).message.endswith("takes the front door's token (status 403)")


def test_an_api_without_an_openapi_description_is_not_tried() -> None:
    with RecordingUpstream() as upstream:
        found = settings(upstream.url)
        assert "no token was tried" in probe_api(found.routes[0], found).message
        assert [request.path for request in upstream.requests] == ["/openapi.json"]


def test_an_unreachable_api_gives_no_traceback() -> None:
    found = settings("http://127.0.0.1:9")
    assert probe_api(found.routes[0], found).level == "warning"


@pytest.mark.parametrize(
    "description",
    [
        {},
        {"paths": []},
        {"paths": {"/x": []}},
        {"paths": {"/x": {"get": {}}}},
        {"paths": {"/{x}": {"get": {"security": [{}]}}}},
    ],
)
def test_an_openapi_description_without_a_suitable_request_gives_none(description: dict[str, Any]) -> None:
    assert choose_path(description) == ""


@pytest.mark.parametrize("token", ["access_token", "none"])
def test_only_routes_with_tokens_signed_by_the_front_door_are_tried(token: str) -> None:
    assert not has_probe(settings("http://127.0.0.1:9", token=token).routes[0])
    assert not has_probe(settings("unix:/run/api.sock").routes[0])


async def test_the_doctor_reports_the_result_of_the_api_test_with_the_route(keys: str) -> None:
    with serving(api(JWTBearer(ISSUER + "/", "reports", jwks_url=keys))) as url:
        report = await examine(settings(url))
    [fault] = [finding for finding in report.findings if finding.part == "routes.api.token"]
    assert (fault.level, "refuses the front door's token (bearer_iss" in fault.message) == ("fault", True)


def test_the_token_is_tried_in_the_header_that_the_route_names() -> None:
    with RecordingUpstream() as upstream:
        upstream.respond("/openapi.json", json={"paths": {"/me": {"get": {"security": [{"bearer": []}]}}}})
        table = settings(upstream.url, assertion_header="X-JWT-Assertion")
        assert probe_api(table.routes[0], table).level == "ok"
        asked = upstream.last
    assert asked.path == "/me"
    assert asked.header("authorization") is None
    assert (asked.header("x-jwt-assertion") or "").count(".") == 2
