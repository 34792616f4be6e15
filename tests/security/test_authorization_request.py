"""AZ: what goes to the provider when a sign-in starts, and who may start one."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.fakes import FakeProvider
from tests.front_door import provider_table
from tests.security.house import House, location_query, query_of
from tests.security.rejection import assert_rejected

URL_SAFE = re.compile(r"[A-Za-z0-9_-]{43}")


@pytest.fixture(scope="module")
def thousand_starts(shared_house: House) -> list[dict[str, str]]:
    """Authorization parameters of 1,000 sign-ins."""
    with httpx.Client() as client:
        answers = [client.get(f"{shared_house.url}/auth/login") for _ in range(1_000)]
    return [location_query(answer) for answer in answers]


def test_az_1_only_the_code_flow_is_requested(house: House) -> None:
    parameters = location_query(house.start_login(house.browser()))
    assert parameters["response_type"] == "code"
    assert parameters.get("response_mode", "query") == "query"
    assert parameters["client_id"] == house.provider.client.client_id


def test_az_1_the_client_is_confidential(house: House) -> None:
    house.sign_in()
    assert [hit.client_auth for hit in house.provider.hits_of("token")] == ["client_secret_basic"]


@pytest.mark.parametrize("methods", [None, "absent", ["plain"]])
def test_az_2_pkce_uses_s256_for_every_discovery_document(build_house: Callable[..., House], methods: Any) -> None:
    def change(document: dict[str, Any]) -> dict[str, Any]:
        del document["code_challenge_methods_supported"]
        return document if methods == "absent" else {**document, "code_challenge_methods_supported": methods}

    house = build_house()
    house.provider.bend.discovery.json(change)
    assert location_query(house.start_login(house.browser()))["code_challenge_method"] == "S256"
    house.sign_in()  # the provider checks the verifier against the challenge
    verifier = house.provider.hits_of("token")[-1].form["code_verifier"]
    assert re.fullmatch(r"[A-Za-z0-9._~-]{43,128}", verifier)


def test_az_2_no_challenge_is_used_twice(thousand_starts: list[dict[str, str]]) -> None:
    assert len({start["code_challenge"] for start in thousand_starts}) == 1_000
    assert all(URL_SAFE.fullmatch(start["code_challenge"]) for start in thousand_starts)


def test_az_3_state_and_nonce_are_new_different_and_contain_no_information(
    thousand_starts: list[dict[str, str]],
) -> None:
    values = [start[name] for start in thousand_starts for name in ("state", "nonce")]
    assert len(set(values)) == 2_000
    assert all(URL_SAFE.fullmatch(value) for value in values)  # 43 characters hold 256 bits
    decoded = [base64.urlsafe_b64decode(value + "=") for value in values]
    assert not any(marker in raw for raw in decoded for marker in (b"http", b"alice"))
    ones = sum(bin(int.from_bytes(raw, "big")).count("1") for raw in decoded)
    assert 0.49 < ones / (256 * len(decoded)) < 0.51


@pytest.mark.parametrize("victim", ["no cookies", "a sign-in of their own", "signed in"])
def test_az_4_the_callback_of_an_attacker_opens_no_session_in_the_browser_of_a_victim(
    house: House, victim: str
) -> None:
    stolen = house.callback_url(house.browser())
    browser = house.browser()
    if victim == "a sign-in of their own":
        house.start_login(browser)
    elif victim == "signed in":
        house.sign_in("bob", browser=browser)
    code = dict(query_of(stolen))["code"]
    assert_rejected(house, lambda: browser.get(stolen), reason="callback_foreign_browser", secrets=[code])
    assert house.is_signed_in(browser) is (victim == "signed in")
    assert victim != "signed in" or house.who(browser) == "bob"


def test_az_4_scripts_cannot_read_the_binding_cookie(house: House) -> None:
    browser = house.browser()
    house.start_login(browser)
    (cookie,) = browser.cookies
    assert cookie.name.startswith("vestibule-tx-")
    assert cookie.httponly
    assert (cookie.samesite, cookie.path, cookie.domain) == ("Lax", "/", None)


SPOOFED_ORIGINS = [
    {"X-Forwarded-Host": "evil.example"},
    {"X-Forwarded-Proto": "https", "X-Forwarded-Port": "8443"},
    {"Forwarded": "host=evil.example;proto=https"},
    {"X-Original-Host": "evil.example", "X-Host": "evil.example"},
    {"X-Forwarded-Host": "evil.example, evil.example"},
    {"X-Original-URL": "https://evil.example/auth/login"},
]


@pytest.mark.parametrize(
    "server",
    [
        {},
        {"trusted_proxies": ["127.0.0.0/8"]},
        {"trusted_proxies": ["127.0.0.0/8"], "trusted_host_header": True},
    ],
    ids=["untrusted peer", "trusted peer", "trusted peer whose host is believed"],
)
def test_az_5_the_redirect_uri_comes_only_from_the_configuration(
    build_house: Callable[..., House], server: dict[str, object]
) -> None:
    house = build_house(server=server)
    for headers in SPOOFED_ORIGINS:
        answer = house.browser().get(f"{house.url}/auth/login", headers=headers)
        if "trusted_host_header" in server and "X-Forwarded-Host" in headers:
            assert answer.status_code == 421
            assert "location" not in answer.headers
        else:
            assert location_query(answer)["redirect_uri"] == f"{house.url}/auth/callback/corp"


@pytest.mark.parametrize("host", ["evil.example", "localhost", "localhost:1", "127.0.0.1:{port}", "localhost:{port}."])
def test_az_5_a_foreign_host_is_misdirected(house: House, host: str) -> None:
    line = host.replace("{port}", str(house.door.port)).encode()
    answer = house.raw(b"GET /auth/login HTTP/1.1\r\nHost: " + line + b"\r\nConnection: close\r\n\r\n")
    assert answer.startswith((b"HTTP/1.1 421", b"HTTP/1.1 400"))
    assert b"evil" not in answer


UNASKED = (
    "scope=admin&client_id=x&redirect_uri=//e&response_type=token&request_uri=http://e&nonce=1&state=1&code_challenge=1"
    "&code_challenge_method=plain&response_mode=fragment&request=e30&claims={}&registration={}&id_token_hint=x&resource=x"
)


def test_az_6_a_client_cannot_add_or_replace_parameters(house: House) -> None:
    plain = location_query(house.start_login(house.browser()))
    bent = location_query(house.browser().get(f"{house.url}/auth/login?{UNASKED}"))
    fresh = {"state", "nonce", "code_challenge"}
    assert {name: bent[name] for name in bent.keys() - fresh} == {name: plain[name] for name in plain.keys() - fresh}
    assert all(URL_SAFE.fullmatch(bent[name]) for name in fresh)


@pytest.mark.parametrize(
    "query",
    [
        "prompt=bogus&prompt=none",
        "prompt=login&prompt=login",
        "prompt=bogus",
        "prompt=none%20login",
        "provider=corp&provider=corp",
        "provider=other",
        "login_hint=%0d%0aX:1",
        "login_hint=" + "a" * 201,
        "max_age=-1",
        "max_age=1e9",
        "max_age=%EF%BC%91",
        "ui_locales=" + "a" * 500,
        "return_to=/a&return_to=//evil.com",
        "&".join(f"prompt{n}=x" for n in range(101)),
    ],
)
def test_az_6_wrong_or_repeated_parameters_are_refused(house: House, query: str) -> None:
    before = len(house.store.logins)
    assert_rejected(house, lambda: house.browser().get(f"{house.url}/auth/login?{query}"), statuses=[400])
    assert len(house.store.logins) == before


def test_az_6_allowed_parameters_are_passed_on_once(house: House) -> None:
    query = {"prompt": "login", "login_hint": "ada@example.com", "max_age": "60", "ui_locales": "de en"}
    assert query.items() <= location_query(house.start_login(house.browser(), **query)).items()


def test_az_7_only_endpoints_are_taken_from_discovery(build_house: Callable[..., House]) -> None:
    attacker = FakeProvider()
    with attacker:
        extra = {
            "scope": "admin",
            "token_endpoint_auth_method": "none",
            "token_endpoint_auth_methods_supported": ["none"],
            "verify": False,
            "proxy": attacker.url,
            "proxies": {"all://": attacker.url},
            "trust_env": True,
            "headers": {"X-Evil": "1"},
            "follow_redirects": True,
            "base_url": attacker.url,
            "client_id": "evil",
            "client_secret": "evil",
            "code_challenge_method": "plain",
            "id_token_signing_alg_values_supported": ["none", "HS256"],
            "response_types_supported": ["id_token token"],
        }
        house = build_house()
        house.provider.bend.discovery.json(lambda document: {**document, **extra})
        parameters = location_query(house.start_login(house.browser()))
        assert parameters["scope"] == "openid profile email"
        assert parameters["client_id"] == "vestibule"
        house.sign_in()
        (token,) = house.provider.hits_of("token")
        assert token.client_auth == "client_secret_basic"
        assert all("x-evil" not in hit.headers for hit in house.provider.hits)
        assert attacker.hits == []


EMBEDDED = [
    {"Sec-Fetch-Dest": "image", "Sec-Fetch-Mode": "no-cors"},
    {"Sec-Fetch-Dest": "iframe", "Sec-Fetch-Mode": "navigate"},
    {"Sec-Fetch-Dest": "script", "Sec-Fetch-Mode": "no-cors"},
    {"Sec-Fetch-Dest": "empty", "Sec-Fetch-Mode": "no-cors"},
    {"Sec-Fetch-Dest": "embed", "Sec-Fetch-Mode": "navigate"},
    {"Sec-Purpose": "prefetch"},
    {"Sec-Purpose": "prefetch;prerender"},
    {"Purpose": "prefetch"},
]


@pytest.mark.parametrize("headers", EMBEDDED)
def test_az_9_embedded_content_cannot_start_a_sign_in(house: House, headers: dict[str, str]) -> None:
    before = len(house.store.logins)
    answer = assert_rejected(
        house, lambda: house.browser().get(f"{house.url}/auth/login", headers=headers, cross_site=True), statuses=[403]
    )
    assert len(house.store.logins) == before
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("path", ["/auth/login", "/", "/some/page?x=1"])
def test_az_9_a_script_gets_401_json_and_no_redirect(house: House, path: str) -> None:
    before = len(house.store.logins)
    answer = house.browser().fetch(house.url + path)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert "location" not in answer.headers
    assert answer.json()["login_url"].startswith("/auth/login")
    assert len(house.store.logins) == before


def test_az_1_a_pushed_request_has_the_same_parameters(
    build_house: Callable[..., House], provider: FakeProvider
) -> None:
    house = build_house(providers={"corp": provider_table(provider, par="required")})
    front = location_query(house.start_login(house.browser()))
    assert front.keys() == {"client_id", "request_uri"}
    (hit,) = provider.hits_of("par")
    assert hit.form["response_type"] == "code"
    assert hit.form["code_challenge_method"] == "S256"
