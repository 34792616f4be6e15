"""TK: requests to the token endpoint, its responses, and where tokens may appear."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any
from urllib.parse import quote_plus, urlsplit

import httpx
import pytest

from tests.fakes import CookieClient, FakeClock, FakeProvider, RecordingUpstream, is_grant
from tests.front_door import provider_table
from tests.security.certificates import Authority
from tests.security.house import House, location_query
from tests.security.raw import handshake, open_websocket
from tests.security.rejection import assert_rejected, bytes_of


def sign_out(house: House, browser: CookieClient) -> httpx.Response:
    return browser.post(f"{house.url}/auth/logout")


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_tk_1_every_back_channel_call_uses_the_configured_client_authentication(
    timed_house: Callable[..., House], provider: FakeProvider, clock: FakeClock, method: Any
) -> None:
    provider.client.auth_method = method
    house = timed_house(providers={"corp": provider_table(provider, par="required")})
    browser = house.sign_in()
    clock.advance(301)
    assert browser.fetch(f"{house.url}/api/x").status_code == 200
    sign_out(house, browser)
    house.door.do(house.door.app.bff.sign_in.drain())
    calls = provider.hits_of("par", "token", "revocation")
    assert {hit.endpoint for hit in calls} == {"par", "token", "revocation"}
    assert [grant.grant_type for grant in provider.grants()] == ["authorization_code", "refresh_token"]
    assert {hit.client_auth for hit in calls} == {method}
    secret = provider.client.client_secret
    basic = base64.b64encode(f"vestibule:{quote_plus(secret)}".encode()).decode()
    for spelling in (secret, quote_plus(secret), basic):
        assert all(spelling not in str(dict(hit.query)) + hit.path for hit in provider.hits)
        assert spelling not in repr(house.audit)


def test_tk_1_a_refused_secret_is_not_tried_with_another_method(house: House) -> None:
    house.provider.bend.token.raw(401, json={"error": "invalid_client"})
    browser = house.browser()
    url = house.callback_url(browser)
    assert_rejected(house, lambda: browser.get(url), reason="token_refused", token_hits=1)


@pytest.fixture
def build_tls_house(build_house: Callable[..., House], authority: Authority, stack: ExitStack) -> Callable[..., House]:
    """A house with an https provider. `certificate_host` is the host in its certificate."""

    def build(*, certificate_host: str = "127.0.0.1", trusted: bool = True) -> House:
        provider = stack.enter_context(FakeProvider(auto_login="alice", tls=authority.issue(certificate_host)))
        table = provider_table(provider, par="off", ca_file=str(authority.ca_file) if trusted else "")
        return build_house(provider, providers={"corp": table})

    return build


def test_tk_3_a_sign_in_works_with_a_provider_with_a_valid_certificate(build_tls_house: Callable[..., House]) -> None:
    house = build_tls_house()
    parameters = location_query(house.start_login(house.browser()))
    assert parameters["redirect_uri"].startswith(house.url)


@pytest.mark.parametrize(
    "how", [{"trusted": False}, {"certificate_host": "other.example"}], ids=["unknown", "other host"]
)
def test_tk_3_no_request_is_sent_to_a_provider_with_an_invalid_certificate(
    build_tls_house: Callable[..., House], how: dict[str, Any]
) -> None:
    house = build_tls_house(**how)
    url = f"{house.url}/auth/login"
    assert_rejected(house, lambda: house.browser().get(url), reason="provider_unreachable", statuses=[503])
    assert house.provider.hits == []


@pytest.mark.parametrize(
    "endpoint", ["authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint", "end_session_endpoint"]
)
def test_tk_3_an_http_endpoint_of_an_https_provider_is_refused(
    build_tls_house: Callable[..., House], endpoint: str
) -> None:
    house = build_tls_house()
    house.provider.bend.discovery.json(lambda doc: {**doc, endpoint: doc[endpoint].replace("https:", "http:")})
    url = f"{house.url}/auth/login"
    assert_rejected(house, lambda: house.browser().get(url), reason="discovery_endpoint", statuses=[503])


@pytest.mark.parametrize("endpoint", ["discovery", "jwks", "token", "userinfo", "par", "revocation"])
def test_tk_3_redirects_of_the_provider_are_not_followed(
    build_house: Callable[..., House], provider: FakeProvider, endpoint: str
) -> None:
    with RecordingUpstream() as attacker:
        house = build_house(providers={"corp": provider_table(provider, par="auto")})
        for number, status in enumerate((301, 302, 303, 307, 308), 1):
            provider.bend.of(endpoint).raw(status, headers={"location": f"{attacker.url}/collect"})
            browser = house.browser()
            browser.walk(house.start_login(browser))
            assert house.is_signed_in(browser) is (endpoint == "revocation")
            if endpoint == "revocation":
                sign_out(house, browser)
                house.door.do(house.door.app.bff.sign_in.drain())
            # A provider that did not send its document is asked again after a while, not for each request.
            assert len(provider.hits_of(endpoint)) == (1 if endpoint == "discovery" else number)
        assert attacker.connections == 0


def test_tk_3_a_proxy_in_the_environment_is_ignored(
    build_house: Callable[..., House], monkeypatch: pytest.MonkeyPatch
) -> None:
    with RecordingUpstream() as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        house = build_house()
        browser = house.sign_in()
        assert browser.fetch(f"{house.url}/api/x").status_code == 200
        assert proxy.connections == 0


def test_tk_3_credentials_from_netrc_are_not_sent(
    build_house: Callable[..., House], monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login eve password unit-test-netrc\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    monkeypatch.setenv("HOME", str(tmp_path))
    house = build_house()
    house.sign_in()
    jwks_and_discovery = house.provider.hits_of("discovery", "jwks")
    assert jwks_and_discovery
    assert all("authorization" not in hit.headers for hit in jwks_and_discovery)


def raw_answer(**over: Any) -> Callable[[Any], Any]:
    return lambda answer: {**answer, **over}


RESPONSE_FAULTS: dict[str, bytes] = {
    "html": b"<!doctype html><h1>Maintenance</h1>",
    "list": b"[]",
    "string": b'"token"',
    "null": b"null",
    "empty": b"",
    "duplicate keys": b'{"token_type":"Bearer","access_token":"a","access_token":"b"}',
    "no access token": b'{"token_type":"Bearer"}',
    "NaN": b'{"token_type":"Bearer","access_token":"a","expires_in":NaN}',
    "not UTF-8": b'{"token_type":"Bearer","access_token":"\xff"}',
    "UTF-16": '{"token_type":"Bearer","access_token":"a"}'.encode("utf-16"),
    "two documents": b'{"token_type":"Bearer","access_token":"a"}{}',
    "nested": b'{"token_type":"Bearer","a":' + b"[" * 100_000,
    "long integer": b'{"token_type":"Bearer","expires_in":' + b"9" * 100_000 + b"}",
}


@pytest.mark.parametrize("fault", RESPONSE_FAULTS)
def test_tk_4_a_malformed_token_response_is_refused(house: House, fault: str) -> None:
    headers = {"content-type": "application/json"}
    house.provider.bend.token.raw(headers=headers, body=RESPONSE_FAULTS[fault])
    browser = house.browser()
    url = house.callback_url(browser)
    assert_rejected(house, lambda: browser.get(url), statuses=[400], token_hits=1)


TOKEN_FAULTS = [
    {"token_type": None},
    {"token_type": "mac"},
    {"token_type": "DPoP"},
    {"token_type": ["Bearer"]},
    {"token_type": "Bearer "},
    {"access_token": ""},
    {"access_token": None},
    {"access_token": 5},
    {"access_token": "a\r\nX-Evil: 1"},
    {"access_token": "a b"},
    {"access_token": "a\x00"},
    {"access_token": "a\t"},
    {"access_token": "tökén"},
    {"access_token": "a" * 100_000},
    {"refresh_token": "a\r\nb"},
    {"refresh_token": ["a"]},
]


@pytest.mark.parametrize("over", TOKEN_FAULTS)
def test_tk_4_a_token_that_could_break_out_of_its_header_is_refused(house: House, over: dict[str, Any]) -> None:
    house.provider.bend.token.json(raw_answer(**over))
    browser = house.browser()
    url = house.callback_url(browser)
    assert_rejected(house, lambda: browser.get(url), statuses=[400], token_hits=1)


@pytest.mark.parametrize("token_type", ["bearer", "BEARER", "bEaReR"])
def test_tk_4_token_type_is_compared_without_case(house: House, token_type: str) -> None:
    house.provider.bend.token.json(raw_answer(token_type=token_type))
    house.sign_in()


def token_answer(house: House, *, nonce: str, expires_in: str) -> str:
    """A good token response written by hand, with `expires_in` as this JSON text ("" leaves it out)."""
    provider = house.provider
    claims = provider.access_token_claims(sub="alice", client_id="vestibule", scope="openid", audience=())
    access_token = provider.mint(claims, header={"typ": "at+jwt"})
    login = provider.open_login(provider.people["alice"])
    id_token = provider.mint(
        provider.id_token_claims(login, client_id="vestibule", nonce=nonce, access_token=access_token)
    )
    lifetime = f', "expires_in": {expires_in}' if expires_in else ""
    return f'{{"token_type": "Bearer", "access_token": "{access_token}", "id_token": "{id_token}"{lifetime}}}'


@pytest.mark.parametrize(
    "expires_in", ["", "-1", '"60"', '"-1"', "1e400", "9223372036854775808", "true", "{}", "0.5", "1000000000", "null"]
)
def test_tk_4_an_invalid_token_lifetime_is_ignored_without_an_error(house: House, expires_in: str) -> None:
    browser = house.browser()
    start = house.start_login(browser)
    body = token_answer(house, nonce=location_query(start)["nonce"], expires_in=expires_in)
    house.provider.bend.token.raw(headers={"content-type": "application/json"}, body=body)
    assert browser.get(browser.follow(start).headers["location"]).status_code == 303
    expires_at = house.session_of(browser).tokens.expires_at
    assert expires_at is None or expires_at <= time.time() + 30 * 86_400
    assert browser.fetch(f"{house.url}/api/x").status_code in (200, 401)


class Watcher:
    """All bytes that a browser receives from the front door while it does everything that is possible."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.received: list[tuple[str, bytes]] = []

    def keep(self, answers: list[httpx.Response]) -> None:
        """Remember what came from the door; the end-session redirect may carry `id_token_hint` and nothing else."""
        for answer in answers:
            if answer.url.port != self.house.door.port:
                continue
            raw = bytes_of(answer)
            location = answer.headers.get("location", "")
            if "/end-session?" in location:
                hint = location_query(answer).pop("id_token_hint")
                raw = raw.replace(hint.encode(), b"")
            self.received.append((answer.url.path, raw))

    def assert_clean(self, secrets: list[str]) -> None:
        for where, raw in self.received:
            for secret in secrets:
                assert secret.encode() not in raw, f"{secret[:30]} came back from {where}"


def test_tk_5_no_token_code_or_secret_reaches_the_browser(timed_house: Callable[..., House], clock: FakeClock) -> None:
    house = timed_house()
    provider, upstream = house.provider, house.upstream
    upstream.respond("/*", body="<html><head></head><body>hello</body></html>", headers={"Content-Type": "text/html"})
    watcher, browser = Watcher(house), house.browser()
    watcher.keep(browser.walk(browser.get(f"{house.url}/start?x=1")))
    for path in ("/", "/auth/session", "/auth/account", "/auth/sessions", "/auth/jwks.json", "/auth/guard.js", "/user"):
        watcher.keep([browser.get(house.url + path), browser.fetch(house.url + path)])
    for path in ("/api/me", "/models/me", "/optional/me", "/admin/x", "/domain/x", "/auth/callback/corp?code=x"):
        watcher.keep([browser.fetch(house.url + path), browser.get(house.url + path)])
    clock.advance(301)
    watcher.keep([browser.fetch(f"{house.url}/api/after-refresh")])
    provider.bend.token.raw(503)
    clock.advance(301)
    watcher.keep([browser.fetch(f"{house.url}/api/in-an-outage")])
    answer, client = open_websocket(house.door.port, handshake("/ws", house.host, cookie=house.session_cookie(browser)))
    client.close()
    watcher.received.append(("/ws", answer.received))
    watcher.keep([browser.get(f"{house.url}/auth/logout")])
    watcher.keep(browser.walk(sign_out(house, browser)))
    verifiers = [hit.form["code_verifier"] for hit in provider.hits_of("token") if "code_verifier" in hit.form]
    assert len(watcher.received) > 30
    assert len(provider.issued) >= 7, "a code and two grants of three tokens each"
    watcher.assert_clean([*provider.issued, *verifiers, provider.client.client_secret])


def test_tk_5_this_test_would_notice_a_token_in_the_browser(house: House) -> None:
    """The echoing upstream shows that the scan would find a token."""
    browser = house.sign_in()
    watcher = Watcher(house)
    watcher.keep([browser.fetch(f"{house.url}/api/me")])
    with pytest.raises(AssertionError, match="came back"):
        watcher.assert_clean(house.provider.issued)


def test_tk_6_no_refresh_token_is_lost_in_two_hundred_rotations(
    timed_house: Callable[..., House], clock: FakeClock
) -> None:
    house = timed_house(session={"idle_seconds": 10**6, "absolute_seconds": 10**6})
    house.provider.options.refresh_token_lifetime = 10**6
    browser = house.sign_in()
    for _ in range(200):
        clock.advance(301)
        assert browser.fetch(f"{house.url}/api/x").status_code == 200
    grants = house.provider.grants("refresh_token")
    assert len(grants) == 200
    assert len({grant.refresh_token for grant in grants}) == 200
    assert house.provider.reuse_detected == []
    assert house.upstream.last.header("authorization") == f"Bearer {grants[-1].access_token}"


def test_tk_6_without_rotation_the_old_refresh_token_is_kept(
    timed_house: Callable[..., House], clock: FakeClock
) -> None:
    house = timed_house()
    house.provider.options.rotate_refresh_tokens = False
    browser = house.sign_in()
    for _ in range(3):
        clock.advance(301)
        assert browser.fetch(f"{house.url}/api/x").status_code == 200
    assert len({grant.refresh_token for grant in house.provider.grants("refresh_token")}) == 1


def test_tk_6_a_refresh_does_not_ask_for_more_scopes(timed_house: Callable[..., House], clock: FakeClock) -> None:
    house = timed_house()
    browser = house.sign_in()
    clock.advance(301)
    browser.fetch(f"{house.url}/api/x?scope=admin&audience=evil", headers={"X-Scope": "admin"})
    (refresh,) = [hit for hit in house.provider.hits_of("token") if hit.form["grant_type"] == "refresh_token"]
    assert refresh.form.keys() == {"grant_type", "refresh_token"}


def revoked(house: House) -> list[str]:
    house.door.do(house.door.app.bff.sign_in.drain())
    return [hit.form["token"] for hit in house.provider.hits_of("revocation")]


def test_tk_9_sign_out_revokes_the_refresh_token(house: House) -> None:
    browser = house.sign_in()
    token = house.session_of(browser).tokens.refresh_token
    sign_out(house, browser)
    assert revoked(house) == [token]


def test_tk_9_sign_out_everywhere_revokes_every_refresh_token(house: House) -> None:
    browsers = [house.sign_in("bob") for _ in range(3)]
    tokens = {house.session_of(browser).tokens.refresh_token for browser in browsers}
    browsers[0].post(f"{house.url}/auth/logout", data={"everywhere": "1"})
    assert not any(house.is_signed_in(browser) for browser in browsers)
    assert tokens <= set(revoked(house))


@pytest.mark.parametrize("fault", ["id_token", "userinfo"])
def test_tk_9_a_failed_sign_in_revokes_the_tokens_it_received(house: House, fault: str) -> None:
    if fault == "id_token":
        house.provider.bend.id_token.claims(lambda claims: {**claims, "aud": "other"})
    else:
        house.provider.bend.userinfo.raw(500)
    browser = house.browser()
    browser.walk(house.start_login(browser))
    assert len(revoked(house)) == 1
    assert revoked(house)[0] in house.provider.issued


@pytest.mark.parametrize("fault", ["500", "hangs"])
def test_tk_9_a_failed_revocation_does_not_delay_the_sign_out(house: House, fault: str) -> None:
    if fault == "500":
        house.provider.bend.revocation.raw(500)
    else:
        house.provider.bend.revocation.delay(30)
    browser = house.sign_in()
    answer = sign_out(house, browser)
    answered = time.monotonic()
    assert answer.status_code == 303
    assert urlsplit(answer.headers["location"]).path == "/end-session"
    assert not house.is_signed_in(browser)
    house.door.do(house.door.app.bff.sign_in.drain())
    waited = time.monotonic() - answered
    assert fault != "hangs" or 0.5 < waited < 10, "the revocation is given two seconds, after the answer"


def test_tk_4_no_value_in_a_token_response_changes_the_upstream_request(house: House) -> None:
    browser = house.sign_in()
    browser.fetch(f"{house.url}/api/x")
    assert len(house.upstream.last.values("authorization")) == 1
    assert house.upstream.last.names().count("x-evil") == 0


def test_tk_1_one_code_causes_one_token_request(house: House) -> None:
    house.sign_in()
    assert len([hit for hit in house.provider.hits_of("token") if is_grant("authorization_code")(hit)]) == 1
