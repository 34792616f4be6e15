"""An API that checks bearer tokens itself, over sockets: which tokens are accepted, and how others are refused."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI, Security

from bff.bearer import JWTBearer, JWTBearerMisconfigured, RequireRoles, RequireScopes, StandardClaims
from bff.testing import FakeProvider
from tests.bff.factories import jwt_of, signing_key
from tests.bff.serving import serving
from tests.fakes import RecordingUpstream, Reply, UvicornThread, bind_socket

ISSUER = "https://idp.example.com/realms/corp"
SECRET = "an-hs256-secret-of-more-than-32-bytes"


def api_with(bearer: JWTBearer) -> FastAPI:
    app = FastAPI()

    @app.get("/me")
    async def me(caller: Annotated[StandardClaims, Depends(bearer)]) -> dict[str, Any]:
        return {"sub": caller.sub, "roles": caller.roles, "scopes": sorted(caller.scopes)}

    @app.get("/analysts", dependencies=[Depends(RequireRoles(bearer, "analyst", "chief"))])
    async def analysts() -> str:
        return "analysts"

    @app.get("/nested", dependencies=[Depends(RequireRoles(bearer, "analyst", claim="realm_access.roles"))])
    async def nested() -> str:
        return "nested"

    @app.get("/url", dependencies=[Depends(RequireRoles(bearer, "analyst", claim="https://example.com/roles"))])
    async def url_shaped() -> str:
        return "url"

    @app.get("/models", dependencies=[Depends(RequireScopes(bearer, "models:read", "models:list"))])
    async def models() -> str:
        return "models"

    @app.get("/security")
    async def by_security(caller: Annotated[StandardClaims, Security(bearer, scopes=["models:read"])]) -> str:
        return caller.sub

    @app.get("/odd", dependencies=[Depends(RequireRoles(bearer, 'a "quoted" \\ ролю'))])
    async def odd() -> str:
        return "odd"

    return app


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeProvider]:
    with FakeProvider() as running:
        yield running


@pytest.fixture(scope="module")
def api(provider: FakeProvider) -> Iterator[str]:
    with serving(api_with(JWTBearer.from_env(provider.variables(audience="reports")))) as url:
        yield url


def get(url: str, token: str = "", *, params: dict[str, str] | None = None, **headers: str) -> httpx.Response:
    bearer = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.get(url, params=params, headers=bearer | headers, timeout=10)


def test_a_token_from_the_provider_is_accepted(api: str, provider: FakeProvider) -> None:
    answer = get(api + "/me", provider.access_token("alice", audience="reports", scopes=["b", "a"]))
    assert answer.json() == {"sub": "alice", "roles": ["analyst", "admin"], "scopes": ["a", "b"]}


def test_a_request_without_a_token_gets_401_without_an_error_code(api: str) -> None:
    answer = get(api + "/me")
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer realm="api"')


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"aud": "another-api"}, "bearer_aud"),
        ({"iss": "https://evil.example"}, "bearer_iss"),
        ({"exp": 1}, "bearer_exp"),
        ({"sub": ""}, "bearer_sub"),
        ({"at_hash": "h"}, "bearer_kind"),
        ({"typ": "ID"}, "bearer_kind"),
        ({"token_use": "id"}, "bearer_kind"),
        ({"cnf": {"jkt": "x"}}, "bearer_kind"),
    ],
)
def test_a_token_with_a_wrong_claim_is_refused_with_the_code_of_the_claim(
    api: str, provider: FakeProvider, claims: dict[str, Any], code: str
) -> None:
    token = provider.access_token("alice", audience="reports", **claims)
    answer = get(api + "/me", token)
    assert answer.status_code == 401
    said = answer.json()["detail"]["error_description"]
    assert said.partition(":")[0] == code
    assert answer.json()["detail"]["error"] == "invalid_token"
    expected = f'Bearer realm="api", error="invalid_token", error_description="{said}"'
    assert answer.headers["www-authenticate"] == expected
    assert token not in answer.text


def test_a_request_with_two_tokens_is_refused(api: str, provider: FakeProvider) -> None:
    token = provider.access_token("alice", audience="reports")
    twice = [("Authorization", f"Bearer {token}")] * 2
    assert httpx.get(api + "/me", headers=twice).status_code == 400
    assert get(api + "/me", token, params={"access_token": token}).status_code == 400
    assert get(api + "/me", params={"access_token": token}).status_code == 401


@pytest.mark.parametrize("authorization", ["Basic YTpi", "Bearer", "Bearer  a.b.c", "Bearer a b"])
def test_an_authorization_header_without_a_bearer_token_gets_401(api: str, authorization: str) -> None:
    answer = get(api + "/me", Authorization=authorization)
    assert (answer.status_code, answer.json()["detail"]["error"]) == (401, "invalid_token")


def test_one_of_the_roles_is_enough_and_a_caller_without_any_gets_403(api: str, provider: FakeProvider) -> None:
    assert get(api + "/analysts", provider.access_token("alice", audience="reports")).json() == "analysts"
    answer = get(api + "/analysts", provider.access_token("bob", audience="reports"))
    assert answer.status_code == 403
    assert answer.json()["detail"]["error"] == "insufficient_scope"
    assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]


@pytest.mark.parametrize(
    ("path", "claims", "status"),
    [
        ("/nested", {"realm_access": {"roles": ["analyst"]}}, 200),
        ("/nested", {"realm_access": {"roles": ["viewer"]}}, 403),
        ("/nested", {"realm_access": "analyst"}, 403),
        ("/nested", {"roles": ["analyst"]}, 403),
        ("/url", {"https://example.com/roles": ["analyst"]}, 200),
        ("/url", {"https://example": {"com/roles": ["analyst"]}}, 403),
    ],
)
def test_roles_are_read_only_from_the_configured_claim(
    api: str, provider: FakeProvider, path: str, claims: dict[str, Any], status: int
) -> None:
    token = provider.access_token("alice", audience="reports", **claims)
    assert get(api + path, token).status_code == status


@pytest.mark.parametrize("path", ["/models", "/security"])
def test_every_scope_is_needed_and_the_challenge_names_them(api: str, provider: FakeProvider, path: str) -> None:
    enough = provider.access_token("alice", audience="reports", scopes=["models:read", "models:list"])
    assert get(api + path, enough).status_code == 200
    answer = get(api + path, provider.access_token("alice", audience="reports", scopes=["models:list"]))
    assert answer.status_code == 403
    assert 'scope="models:read' in answer.headers["www-authenticate"]


def test_role_names_that_a_header_cannot_hold_do_not_break_the_403_answer(api: str, provider: FakeProvider) -> None:
    answer = get(api + "/odd", provider.access_token("alice", audience="reports"))
    assert answer.status_code == 403
    assert "a ?quoted? ? ????" in answer.headers["www-authenticate"]


def test_swagger_has_an_authorize_button_on_every_guarded_route(api: str) -> None:
    document = get(api + "/openapi.json").json()
    assert document["components"]["securitySchemes"]["Bearer"] == {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
    }
    for path in ("/me", "/analysts", "/nested", "/models"):
        assert document["paths"][path]["get"]["security"] == [{"Bearer": []}]
    assert document["paths"]["/security"]["get"]["security"] == [{"Bearer": ["models:read"]}]
    assert "parameters" not in document["paths"]["/analysts"]["get"], "the requirement shows nothing of its own"


def test_a_new_key_is_fetched_at_once_and_an_unknown_one_is_401(provider: FakeProvider) -> None:
    with serving(api_with(JWTBearer.from_env(provider.variables()))) as url:
        old = provider.access_token("alice")
        assert get(url + "/me", old).status_code == 200
        provider.rotate_keys()
        assert get(url + "/me", provider.access_token("alice")).status_code == 200
        answer = get(url + "/me", old)
        assert answer.json()["detail"]["error_description"] == "bearer_unknown_key"
        fetched = provider.key_fetches
        assert [get(url + "/me", old).status_code for _ in range(5)] == [401] * 5
        assert provider.key_fetches == fetched, "a stranger's kid causes no fetch per request"


def test_a_provider_that_is_down_gives_503_only_while_no_keys_are_known(provider: FakeProvider) -> None:
    with serving(api_with(JWTBearer.from_env(provider.variables()))) as url:
        token = provider.access_token("alice")
        provider.is_down = True
        try:
            answer = get(url + "/me", token)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
            assert answer.json()["detail"]["error"] == "temporarily_unavailable"
            provider.is_down = False
            assert get(url + "/me", token).status_code == 200
            provider.is_down = True
            assert get(url + "/me", token).status_code == 200
        finally:
            provider.is_down = False


@pytest.mark.parametrize(
    "reply",
    [
        Reply(body=b"<html>", headers=(("Content-Type", "text/html"),)),
        Reply(body=b'{"keys": 1}'),
        Reply(body=b'{"keys": [], "keys": []}'),
        Reply(status=404),
        Reply(status=302, headers=(("Location", "/elsewhere"),)),
    ],
)
def test_an_unreadable_key_set_gives_503_and_not_500(reply: Reply) -> None:
    with RecordingUpstream() as upstream:
        upstream.respond_with("/keys", reply)
        bearer = JWTBearer(ISSUER, "api", jwks_url=upstream.url + "/keys")
        with serving(api_with(bearer)) as url:
            assert get(url + "/me", _token("ES256")).status_code == 503
        assert upstream.requests_to("/keys")


@pytest.mark.parametrize(
    ("token", "code"),
    [
        ("no.token", "bearer_malformed"),
        ("x.y.z", "bearer_malformed"),
        (jwt_of({}, key=SECRET, header={"typ": "at+jwt"}), "bearer_alg"),
        (jwt_of({}, key=signing_key("ES256"), header={"typ": "vestibule-handshake+jwt"}), "bearer_typ"),
    ],
    ids=["two parts", "three parts that are not JSON", "a shared secret", "a handshake assertion"],
)
def test_no_keys_are_fetched_for_a_text_that_cannot_be_a_token(token: str, code: str) -> None:
    with RecordingUpstream() as upstream, serving(api_with(JWTBearer(ISSUER, "api", jwks_url=upstream.url))) as url:
        answer = get(url + "/me", token)
        assert (answer.status_code, answer.json()["detail"]["error_description"]) == (401, code)
        assert upstream.requests == []


def test_an_unreachable_jwks_host_gives_503() -> None:
    sock = bind_socket("127.0.0.1")
    bearer = JWTBearer(ISSUER, "api", jwks_url=f"http://127.0.0.1:{sock.getsockname()[1]}/keys")
    with serving(api_with(bearer)) as url:
        assert get(url + "/me", _token("ES256")).status_code == 503
    sock.close()


def _token(alg: str, *, typ: str | None = "at+jwt", **claims: Any) -> str:
    payload = {"iss": ISSUER, "aud": "api", "sub": "alice", "iat": 0, "exp": 2**39, **claims}
    drop = ("typ",) if typ is None else ()
    return jwt_of(payload, key=signing_key(alg), header={"typ": typ or ""}, drop=drop)


@contextmanager
def published_keys(*algs: str) -> Iterator[str]:
    """A key set with one key per algorithm, somewhere."""
    app = FastAPI()

    @app.get("/keys")
    async def keys() -> dict[str, Any]:
        return {"keys": [signing_key(alg).public_jwk for alg in algs]}

    sock = bind_socket("127.0.0.1")
    server = UvicornThread(app, sock)
    server.start()
    try:
        yield f"http://127.0.0.1:{sock.getsockname()[1]}/keys"
    finally:
        server.stop()


@pytest.mark.parametrize("alg", ["RS256", "PS256", "ES256", "EdDSA"])
async def test_an_algorithm_is_accepted_only_when_it_is_configured(alg: str) -> None:
    with published_keys(alg) as url:
        variables = {"VESTIBULE_JWT__ISSUER": ISSUER, "VESTIBULE_JWT__AUDIENCE": "api", "VESTIBULE_JWT__JWKS_URL": url}
        bearer = JWTBearer.from_env(variables | {"VESTIBULE_JWT__ALGORITHMS": f" {alg} ,"})
        assert (await bearer.verify(_token(alg))).sub == "alice"
        other = "RS256" if alg != "RS256" else "ES256"
        with pytest.raises(Exception, match="bearer_alg"):
            await JWTBearer.from_env(variables | {"VESTIBULE_JWT__ALGORITHMS": other}).verify(_token(alg))


async def test_a_token_with_type_jwt_is_accepted_only_where_the_api_allows_it() -> None:
    with published_keys("ES256") as url:
        strict = JWTBearer(ISSUER, "api", jwks_url=url)
        lenient = JWTBearer(ISSUER, "api", jwks_url=url, token_types=("at+jwt", "jwt"))
        for typ in ("JWT", None):
            with pytest.raises(Exception, match="bearer_typ"):
                await strict.verify(_token("ES256", typ=typ))
            assert (await lenient.verify(_token("ES256", typ=typ))).sub == "alice"
        for typ in ("vestibule-handshake+jwt", "logout+jwt", "dpop+jwt"):
            with pytest.raises(Exception, match="bearer_typ"):
                await lenient.verify(_token("ES256", typ=typ))


async def test_scopes_are_read_from_each_form_that_large_providers_use() -> None:
    with published_keys("ES256") as url:
        bearer = JWTBearer(ISSUER, "api", jwks_url=url)
        for claims in ({"scope": "a b"}, {"scp": "a b"}, {"scp": ["a", "b", 1]}):
            assert (await bearer.verify(_token("ES256", **claims))).scopes == {"a", "b"}
        assert (await bearer.verify(_token("ES256", scope={"a": 1}))).scopes == set()


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({}, "VESTIBULE_JWT__ISSUER is not set"),
        ({"ISSUER": ISSUER}, "VESTIBULE_JWT__AUDIENCE is not set"),
        ({"ISSUER": ISSUER, "AUDIENCE": "api"}, "exactly one of VESTIBULE_JWT__JWKS_URL"),
        ({"ISSUER": ISSUER, "AUDIENCE": "api", "JWKS_URL": "https://x/k", "HS256_SECRET": SECRET}, "exactly one of"),
        ({"ISSUER": ISSUER, "AUDIENCE": "api", "HS256_SECRET": "x" * 31}, "VESTIBULE_JWT__HS256_SECRET is shorter"),
        ({"ISSUER": ISSUER, "AUDIENCE": "api", "JWKS_URL": "idp/keys"}, "VESTIBULE_JWT__JWKS_URL is not"),
        ({"ISSUER": ISSUER, "AUDIENCE": "api", "JWKS_URL": "https://[x/keys"}, "VESTIBULE_JWT__JWKS_URL is not"),
        ({"ISSUER": ISSUER, "AUDIENCE": "api", "HS256_SECRET": SECRET, "LEEWAY": "soon"}, "VESTIBULE_JWT__LEEWAY"),
        ({"ISSUER": ISSUER, "AUDIENCE": "api", "HS256_SECRET": SECRET, "LEEWAY": "nan"}, "VESTIBULE_JWT__LEEWAY"),
        ({"ISSUER": ISSUER, "AUDIENCE": "api", "JWKS_URL": "https://x/k", "ALGORITHMS": "HS256"}, "__ALGORITHMS"),
        ({"ISSUER": ISSUER, "AUDIENCE": "api", "JWKS_URL": "https://x/k", "ALGORITHMS": "none"}, "__ALGORITHMS"),
        ({"ISSUER": ISSUER, "AUDIENCE": "api", "JWKS_URL": "https://x/k", "ALGORITHMS": ","}, "__ALGORITHMS"),
        ({"ISSUER": ISSUER, "AUDIENCE": "api", "JWKS_URL": "https://x/k", "TOKEN_TYPES": "any"}, "__TOKEN_TYPES"),
        ({"ISSUER": ISSUER, "AUDIENCE": "api", "JWKS_URI": "https://x/k"}, "no setting VESTIBULE_JWT__JWKS_URI"),
    ],
)
def test_a_missing_or_wrong_setting_is_named_without_showing_a_secret(variables: dict[str, str], named: str) -> None:
    environ = {f"VESTIBULE_JWT__{name}": value for name, value in variables.items()}
    with pytest.raises(JWTBearerMisconfigured) as caught:
        JWTBearer.from_env(environ)
    assert named in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_requirement_without_roles_or_scopes_is_refused_when_it_is_created() -> None:
    bearer = JWTBearer(ISSUER, "api", hs256_secret=SECRET)
    with pytest.raises(ValueError, match="at least one scope"):
        RequireScopes(bearer)
    with pytest.raises(ValueError, match="at least one role"):
        RequireRoles(bearer)


async def test_an_unreadable_ca_file_gives_503_and_not_500() -> None:
    bearer = JWTBearer(ISSUER, "api", jwks_url="https://127.0.0.1:9/keys", ca_file="/nowhere/ca.pem")
    with pytest.raises(Exception, match="provider_unreachable"):
        await bearer.verify(_token("ES256"))
