"""Unsafe or contradictory settings refuse to start, each named with its fix."""

from __future__ import annotations

from typing import Any

import pytest

from bff.settings.loading import ConfigurationError, Fault, parse_settings
from bff.settings.tables import Settings
from tests.bff.factories import CLIENT_ID, ISSUER, KEY, OLD_KEY, signing_key
from tests.fakes import generate_key

ROUTE = {"id": "api", "path": "/api/", "upstream": "http://127.0.0.1:9001"}
SECRET = "unit-test-kit-secret-0123456789"


def provider(**over: Any) -> dict[str, Any]:
    return {"corp": {"issuer": ISSUER, "client_id": CLIENT_ID, "client_secret": "unit-test-secret", **over}}


def raw(**tables: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "server": {"public_url": "https://apps.example.com"},
        "secrets": {"keys": [KEY.decode()]},
        "providers": provider(),
        "routes": [ROUTE],
    }
    for name, table in tables.items():
        base[name] = {**base.get(name, {}), **table} if isinstance(table, dict) and name != "providers" else table
    return base


def server(**over: Any) -> dict[str, Any]:
    return {"server": over}


def development(**over: Any) -> dict[str, Any]:
    return {"server": {"public_url": "http://localhost:8000", "environment": "development", **over}}


def routes(*over: dict[str, Any]) -> dict[str, Any]:
    return {"routes": [{**ROUTE, **table} for table in over]}


def kit(**over: Any) -> dict[str, Any]:
    return {"kit_clients": {"dash": {"secret": SECRET, **over}}}


def faults(**tables: Any) -> list[Fault]:
    try:
        parse_settings(raw(**tables))
    except ConfigurationError as error:
        return list(error.faults)
    return []


REFUSED: list[tuple[str, dict[str, Any]]] = [
    # Two routes that a reader who ignores case takes for one
    ("routes[1].path", routes({"path": "/admin"}, {"id": "b", "path": "/Admin"})),
    ("routes[1].path", routes({"path": "/lab/Ü"}, {"id": "b", "path": "/lab/ü/"})),
    ("routes[1].path", routes({"path": "/x", "host": "apps.example.com"}, {"id": "b", "path": "/X"})),
    ("routes[1].path", routes({"path": "/x"}, {"id": "b", "path": "/X", "host": "apps.example.com"})),
    # What is shared with a proxy or an upstream
    ("server.trusted_proxy_secret", server(trusted_proxy_secret=SECRET)),
    ("server.trusted_proxy_secret", server(trusted_proxies=["10.0.0.0/8"], trusted_proxy_secret="short")),
    ("server.trusted_proxy_secret", server(trusted_proxies=["10.0.0.0/8"], trusted_proxy_secret="ab" * 20)),
    ("server.trusted_proxy_secret", server(trusted_proxies=["10.0.0.0/8"], trusted_proxy_secret=SECRET + '"')),
    ("routes[0].upstream_secret", routes({"upstream_secret": "short"})),
    ("routes[0].upstream_secret", routes({"upstream_secret": SECRET + "\r\nX: y"})),
    ("routes[0].upstream_secret", routes({"upstream_secret": SECRET, "upstream": "streamlit:app.py"})),
    # Where people reach it
    ("server.public_url", server(public_url="http://apps.example.com")),
    ("server.public_url", server(public_url="http://localhost:8000")),
    ("server.public_url", development(public_url="http://apps.example.com")),
    ("server.public_url", server(public_url="apps.example.com")),
    ("server.public_url", server(public_url="ftp://apps.example.com")),
    ("server.public_url", server(public_url="https://")),
    ("server.public_url", server(public_url="https://*.example.com")),
    ("server.public_url", server(public_url="https://user:pw@apps.example.com")),
    ("server.public_url", server(public_url="https://apps.example.com/?x=1")),
    ("server.public_url", server(public_url="https://apps.example.com/#x")),
    ("server.public_url", server(public_url="https://apps.example.com:443")),
    ("server.public_url", server(public_url="https://apps.example.com:99999")),
    ("server.public_url", server(public_url="https://[apps")),
    ("server.public_url", server(public_url="https://apps example.com")),
    ("server.public_url", server(public_url="https://äpps.example.com")),
    ("server.public_url", server(public_url="https:\\\\apps.example.com")),
    ("server.origins", server(origins=["*"])),
    ("server.origins", server(origins=["http://b.example.com"])),
    ("server.origins", server(origins=["https://APPS.example.com"])),
    ("server.origins", server(origins=["https://apps.example.com:8443"])),
    ("server.origins", server(origins=["https://b.example.com/path"])),
    ("server.origins", development(origins=["https://b.example.com"])),
    ("server.trusted_proxies", server(trusted_proxies=["0.0.0.0/0"])),
    ("server.trusted_proxies", server(trusted_proxies=["::/0"])),
    ("server.trusted_host_header", server(trusted_host_header=True)),
    ("server.bind", server(bind="8000")),
    ("server.bind", server(bind="127.0.0.1:99999")),
    ("server.bind", server(bind="127.0.0.1:²")),
    ("server.management_bind", server(management_bind=":9090")),
    ("server.tls", server(tls={"certificate_file": "x.pem"})),
    # Secrets
    ("secrets.keys", {"secrets": {"keys": []}}),
    ("secrets.keys[0]", {"secrets": {"keys": ["short"]}}),
    ("secrets.keys[1]", {"secrets": {"keys": [KEY.decode(), "a" * 64]}}),
    ("secrets.keys", {"secrets": {"keys": [KEY.decode(), KEY.decode()]}}),
    ("secrets.admin_token", {"secrets": {"admin_token": "short"}}),
    ("providers.corp.client_secret", {"providers": provider(client_secret="")}),
    ("providers.corp.client_secret", {"providers": provider(client_secret="changeme")}),
    ("providers.corp.client_secret", {"providers": provider(client_secret="Password")}),
    ("providers.corp.client_secret", {"providers": provider(client_secret="short")}),
    ("kit_clients.dash.secret", kit(secret="")),
    ("kit_clients.dash.secret", kit(secret="short")),
    # Store and sessions
    ("store.url", {"store": {"url": "mysql://localhost"}}),
    ("server.workers", server(workers=2)),
    ("server.workers", server(workers=2) | routes({"upstream": "asgi:app:app"}) | {"store": {"url": "redis://h"}}),
    ("session.idle_seconds", {"session": {"idle_seconds": 7200, "absolute_seconds": 3600}}),
    ("session.idle_seconds", {"session": {"idle_seconds": 59}}),
    ("session.absolute_seconds", {"session": {"idle_seconds": 30, "absolute_seconds": 59}}),
    ("session.idle_seconds", development() | {"session": {"idle_seconds": 0.5}}),
    # Providers
    ("providers", {"providers": {}}),
    ("providers.corp.issuer", {"providers": provider(issuer="http://idp.example.com")}),
    ("providers.corp.issuer", {"providers": provider(issuer="http://127.0.0.1:9000")}),
    ("providers.corp.issuer", {"providers": provider(issuer="idp.example.com")}),
    ("providers.corp.issuer", {"providers": provider(issuer="https://idp.example.com?tenant=1")}),
    ("providers.corp.issuer", {"providers": provider(issuer="https://[bad")}),
    ("providers.corp.issuer", {"providers": provider(issuer="javascript:alert(1)")}),
    ("providers.corp.backchannel_url", {"providers": provider(backchannel_url="http://keycloak:8080")}),
    ("providers.corp.discovery_url", {"providers": provider(discovery_url="http://idp.example.com/d?p=1")}),
    ("providers.corp.discovery_url", {"providers": provider(discovery_url="/.well-known/openid-configuration")}),
    ("providers.corp.discovery_url", {"providers": provider(discovery_url="https://user:pw@idp.example.com/d")}),
    ("providers.corp.discovery_url", {"providers": provider(discovery_url="https://idp.example.com/d#x")}),
    ("providers.corp.trusted_audiences", {"providers": provider(trusted_audiences=[""])}),
    ("providers.corp.trusted_audiences", {"providers": provider(trusted_audiences=["api://*"])}),
    ("providers.corp.client_key", {"providers": provider(client_auth="private_key_jwt")}),
    ("providers.corp.client_key", {"providers": provider(client_auth="private_key_jwt", client_key="no pem")}),
    # Roles and the kit
    ("roles.analyst", {"roles": {"analyst": {}}}),
    ("roles.analyst.max_age_seconds", {"roles": {"analyst": {"max_age_seconds": 60}}}),
    ("kit_clients.dash.routes", kit(routes=["nowhere"])),
    ("kit_clients.dash.origins", kit(origins=["*"])),
    ("kit_clients.dash.origins", kit(origins=["https://*.example.com"])),
    ("kit_clients.dash.origins", kit(origins=["https://app.example.com/path"])),
    ("kit_clients.dash.origins", kit(origins=["app.example.com"])),
    ("kit_clients.dash.origins", kit(origins=["https://u@app.example.com"])),
    ("kit_clients.dash.origins", kit(origins=["http://app.example.com"])),
    # Routes
    ("routes[1].id", routes({}, {"path": "/b/"})),
    ("routes[1].path", routes({}, {"id": "b", "path": "/api"})),
    ("routes[0].host", routes({"host": "other.example.com"})),
    ("routes[0].host", routes({"host": "apps.example.com:8443"})),
    ("routes[0].path", routes({"path": "/auth"})),
    ("routes[0].path", routes({"path": "/auth/login"})),
    ("routes[0].upstream", routes({"upstream": "ftp://x"})),
    ("routes[0].upstream", routes({"upstream": []})),
    ("routes[0].upstream", routes({"upstream": ["streamlit:app.py", "http://127.0.0.1:9001"]})),
    ("routes[0].upstream", routes({"upstream": ["asgi:a:app", "asgi:b:app"]})),
    ("routes[0].upstream", routes({"upstream": ["http://127.0.0.1:9001", "http://127.0.0.1:9001"]})),
    ("compat.oauth2_proxy", {"compat": {"oauth2_proxy": True}, "providers": provider() | {"b": provider()["corp"]}}),
    ("server.auth_path", {"compat": {"oauth2_proxy": True}} | server(auth_path="/oauth2")),
    ("server.auth_path", {"compat": {"oauth2_proxy": True}} | server(auth_path="/oauth2/login")),
    ("routes[0].path", {"compat": {"oauth2_proxy": True}} | routes({"path": "/oauth2/auth"})),
    ("server.trusted_proxies", {"forward_auth": {"modes": ["nginx"]}}),
    ("forward_auth.bind", {"forward_auth": {"modes": ["nginx"], "bind": "8001"}}),
    ("forward_auth.bind", {"forward_auth": {"modes": ["nginx"], "bind": "127.0.0.1:8000"}}),
    ("forward_auth.bind", {"forward_auth": {"modes": ["nginx"], "bind": "127.0.0.1:9090"}}),
    ("routes[0].path", routes({"path": "/oauth2"})),
    ("routes[0].path", routes({"path": "/oauth2/auth"})),
    ("routes[0].kit", routes({"kit": "nobody"})),
    ("routes[0].provider", routes({"provider": "nobody"})),
    ("routes[0].audience", routes({"token": "assertion"})),
    ("routes[0].accept_bearer.providers", routes({"accept_bearer": {"providers": ["nobody"], "audience": "a"}})),
    ("routes[0].accept_bearer.audience", routes({"accept_bearer": {"providers": ["corp"]}})),
    # Headers made of claims
    *(
        ("routes[0].claim_headers", routes({"claim_headers": {name: "team"}}))
        for name in (
            *("X_Team", "X.Team", "X Team", "X-Te\u00e4m", "", "X-Team\r\nX-Evil", "Host", "Authorization", "COOKIE"),
            *("Content-Length", "Transfer-Encoding", "X-Request-ID", "X-Auth-Request-User", "x-auth-request-id"),
            *("X-Forwarded-For", "X-Vestibule-Assertion", "Sec-WebSocket-Protocol", "Proxy-Authorization"),
        )
    ),
    ("routes[0].claim_headers", routes({"claim_headers": {"X-Team": "team", "x-team": "department"}})),
    ("routes[0].claim_headers", routes({"claim_headers": {f"X-Claim-{n}": "c" * 20 for n in range(40)}})),
    (
        "routes[0].claim_headers",
        routes({"identity_headers": "remote", "claim_headers": {"Remote-User": "preferred_username"}}),
    ),
    # The header of an assertion
    *(
        ("routes[0].assertion_header", routes({"token": "assertion", "audience": "a", "assertion_header": name}))
        for name in (
            *("X_Assertion", "X.Assertion", "X Assertion", "X-A\r\nX-Evil", "-X", "Authorization", "COOKIE", "Host"),
            *("X-Auth-Request-User", "X-Forwarded-Access-Token", "X-Vestibule-Assertion", "Proxy-Authorization"),
            *("X-Request-ID", "X" * 65),
        )
    ),
    ("routes[0].assertion_header", routes({"assertion_header": "X-JWT-Assertion"})),
    ("routes[0].assertion_header", routes({"token": "access_token", "assertion_header": "X-JWT-Assertion"})),
    (
        "routes[0].assertion_header",
        routes(
            {
                "token": "assertion",
                "audience": "a",
                "assertion_header": "x-team",
                "claim_headers": {"X-Team": "team"},
            }
        ),
    ),
    (
        "routes[0].assertion_header",
        routes(
            {"token": "assertion", "audience": "a", "assertion_header": "Remote-User", "identity_headers": "remote"}
        ),
    ),
    # Routes that let everybody in
    ("routes[0].require", routes({"auth": "public", "require": {"roles_any": ["a"]}})),
    ("routes[0].require", routes({"auth": "optional", "require": {"roles_any": ["a"]}})),
    ("routes[0].require", routes({"auth": "optional", "require": {"max_age_seconds": 60}})),
    ("routes[0].provider", routes({"auth": "optional", "provider": "corp"})),
    ("routes[0].provider", routes({"auth": "public", "provider": "corp"})),
    ("routes[0].kit", routes({"auth": "public", "kit": "dash"}) | kit()),
    ("routes[0].claim_headers", routes({"auth": "public", "claim_headers": {"X-Team": "team"}})),
    ("routes[0].token", routes({"auth": "public", "token": "access_token"})),
    ("routes[0].token", routes({"auth": "public", "token": "id_token"})),
    ("routes[0].token", routes({"auth": "public", "token": "assertion", "audience": "api"})),
    ("routes[0].token", routes({"auth": "public", "token": "exchange", "exchange": {"audience": "api"}})),
    (
        "routes[0].accept_bearer.providers",
        routes({"auth": "public", "accept_bearer": {"providers": ["corp"], "audience": "a"}}),
    ),
    ("routes[0].exact", routes({"exact": True, "strip_prefix": True})),
    ("routes[0].exact", routes({"exact": True, "upstream": "streamlit:app.py"})),
    ("routes[0].identity_headers", routes({"upstream": "streamlit:app.py", "identity_headers": "none"})),
    ("routes[0].cors_origins", routes({"cors_origins": ["*"]})),
    ("routes[0].cors_origins", routes({"cors_origins": ["null"]})),
    ("routes[0].ws_origins", routes({"ws_origins": ["https://*.example.com"]})),
]


@pytest.mark.parametrize(("key", "tables"), REFUSED)
def test_an_unsafe_setting_is_refused_with_its_key_and_a_fix(key: str, tables: dict[str, Any]) -> None:
    found = {fault.key: fault for fault in faults(**tables)}
    assert key in found
    assert found[key].message
    assert found[key].fix


@pytest.mark.parametrize(
    "tables",
    [
        {},
        server(public_url="https://apps.example.com:8443/base/"),
        server(origins=["https://b.example.com", "https://c.example.com:8443/"]),
        {"compat": {"oauth2_proxy": True}},
        {"compat": {"oauth2_proxy": True}} | routes({"upstream": []}),
        server(trusted_proxies=["10.0.0.0/8"], trusted_host_header=True),
        server(origins=["https://b.example.com:8443"]) | routes({"host": "B.example.com"}),
        server(origins=["https://b.example.com:8443"]) | routes({"host": "b.example.com:8443"}),
        server(trusted_proxies=["10.0.0.0/8", "fd00::/8"]),
        server(bind="[::1]:8000"),
        server(tls={"certificate_file": "a", "key_file": "b"}),
        development(),
        development(public_url="http://app.localhost:8000"),
        development(public_url="http://[::1]:8000") | {"providers": provider(issuer="http://127.0.0.1:9000")},
        development() | {"providers": provider(client_secret="x")},
        development() | {"session": {"idle_seconds": 1, "absolute_seconds": 2}},
        {"secrets": {"keys": [KEY.decode(), OLD_KEY.decode()], "admin_token": "unit-test-admin-token"}},
        server(workers=4) | {"store": {"url": "rediss://h:6379"}},
        {"providers": provider(client_auth="none", client_secret="")},
        {"providers": provider(backchannel_url="https://keycloak.internal:8443")},
        {"providers": provider(discovery_url="https://login.example.com/d/.well-known/openid-configuration?p=b2c_1")},
        development() | {"providers": provider(discovery_url="http://127.0.0.1:9000/d")},
        {"providers": provider(trusted_audiences=["project", "*"], userinfo_alg="PS256", assumed_lifetime_seconds=30)},
        kit(routes=["api"], origins=["https://app.example.com", "http://localhost:8501"]),
        {"roles": {"analyst": {"groups_any": ["science"]}}},
        {"providers": provider(scopes=["openid", "offline_access"])},
        routes({"accept_bearer": {"providers": ["corp"]}, "audience": "models-api"}),
        server(origins=["https://b.example.com"]) | routes({}, {"id": "b", "host": "b.example.com"}),
        routes({"path": "/authors/"}),
        routes(
            {"claim_headers": {"X-Team": "team", "Remote-User": "preferred_username", "X-Consumer-Username": "sub"}}
        ),
        routes({"auth": "public", "token": "client_credentials", "provider": "corp"}),
        routes({"auth": "optional", "token": "client_credentials", "provider": "corp"}),
        routes({"auth": "optional", "token": "access_token", "kit": "dash", "claim_headers": {"X-T": "t"}}) | kit(),
        routes({"token": "assertion", "audience": "grafana", "assertion_header": "X-JWT-Assertion"}),
        pytest.param(
            routes({"token": "assertion", "audience": "api", "kit": "dash"}) | kit(), id="a kit with assertions"
        ),
    ],
)
def test_a_safe_configuration_is_accepted(tables: dict[str, Any]) -> None:
    assert faults(**tables) == []


def signed(key: str, alg: str) -> list[Fault]:
    return faults(
        providers=provider(client_auth="private_key_jwt", client_secret="", client_key=key, client_key_alg=alg)
    )


@pytest.mark.parametrize("alg", ["RS256", "PS256", "ES256", "EdDSA"])
def test_a_client_key_must_be_able_to_sign_its_algorithm(alg: str) -> None:
    pems = {name: signing_key(name).private_pem.decode() for name in ("RS256", "ES256", "EdDSA")}
    own = {"PS256": "RS256"}.get(alg, alg)
    for name, pem in pems.items():
        assert [fault.key for fault in signed(pem, alg)] == ([] if name == own else ["providers.corp.client_key"])


def test_an_elliptic_client_key_must_be_on_the_curve_of_its_algorithm() -> None:
    pem = generate_key("ES384").private_pem.decode()
    assert [fault.message for fault in signed(pem, "ES256")] == ["is not on the curve P-256"]


def test_all_broken_rules_are_reported_at_once_with_file_key_and_fix() -> None:
    found = faults(
        server={"public_url": "http://apps.example.com", "bind": "x"},
        secrets={"keys": []},
        providers=provider(client_secret=""),
        routes=[{**ROUTE, "kit": "nobody"}],
    )
    assert [fault.key for fault in found] == [
        "server.public_url",
        "server.bind",
        "secrets.keys",
        "providers.corp.client_secret",
        "routes[0].kit",
    ]
    assert all(str(fault).startswith(f"settings: {fault.key}: ") for fault in found[:-1])
    assert str(found[-1]).startswith("settings: routes[0].kit (route api): ")
    assert all(fault.fix in str(fault) for fault in found)


def test_no_error_message_repeats_a_secret() -> None:
    found = faults(
        secrets={"keys": ["leaky-key"], "admin_token": "leaky-admin"},
        providers=provider(client_secret="changeme", client_auth="private_key_jwt", client_key="leaky-pem"),
        store={"url": "mysql://user:leaky-password@host"},
        **kit(secret="leaky-kit"),
    )
    assert len(found) == 6
    assert not any("leaky" in str(fault) or "changeme" in str(fault) for fault in found)


class TestDefaultsThatDepend:
    def route(self, **over: Any) -> Any:
        parsed: Settings = parse_settings(raw(**routes(over)))
        return parsed.route("api")

    def test_a_single_upstream_is_read_as_a_list_of_one(self) -> None:
        assert self.route().upstream == ("http://127.0.0.1:9001",)

    def test_a_streamlit_app_is_a_page_route_that_gets_few_headers_and_no_other_cookies(self) -> None:
        route = self.route(upstream="streamlit:app.py")
        assert (route.kind, route.forward_cookies) == ("page", ("_streamlit_*",))
        assert "authorization" not in route.forward_headers
        assert route.max_body_bytes == 209_715_200

    def test_an_api_route_accepts_bodies_up_to_ten_megabytes(self) -> None:
        route = self.route()
        assert (route.kind, route.max_body_bytes) == ("api", 10_485_760)

    def test_an_unknown_route_name_gives_none(self) -> None:
        assert parse_settings(raw()).route("nowhere") is None
