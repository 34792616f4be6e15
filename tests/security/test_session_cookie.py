"""CK: the session cookie, its exact name, its purpose, and the caching of answers for a session."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from bff.oidc.authorization import new_secret
from bff.sessions.keyring import Keyring
from bff.settings.loading import ConfigurationError, parse_settings
from bff.stores.events import SessionChanged
from tests.fakes import CookieClient, FakeProvider, RecordingUpstream
from tests.front_door import KEY, RunningDoor, provider_table
from tests.payloads.requests import COOKIE_NAMES, COOKIE_VALUES
from tests.security.certificates import Authority
from tests.security.house import House, WatchedStore, attack_routes

FOREIGN_COOKIES = {
    "dollar name": b"$x=1",
    "version of RFC 2965": b'$Version="1"',
    "path of RFC 2965": b"$Path=/",
    "open quote": b'x="',
    "ours as a value": b"x=vestibule=y",
    "ours in another case": b"Vestibule=y",
    "ours behind a dollar": b"$vestibule=y",
    "bytes of another alphabet": b"x=\xff\xfe",
}
OLD_KEY = "unit-test-old-key-9876543210-zyxwvutsrqponmlk"


class TlsDoor(RunningDoor):
    """The front door as in production: https, `__Host-` cookies, an https provider."""

    def __init__(
        self, authority: Authority, provider: FakeProvider, upstream: RecordingUpstream, **kwargs: Any
    ) -> None:
        super().__init__({"corp": provider}, attack_routes(upstream), **kwargs)
        certificate, key = authority.issue("localhost")
        self.settings = parse_settings(
            {
                "server": {
                    "public_url": f"https://localhost:{self.port}",
                    "tls": {"certificate_file": str(certificate), "key_file": str(key)},
                },
                "secrets": {"keys": [KEY]},
                "providers": {"corp": provider_table(provider, par="off", ca_file=str(authority.ca_file))},
                "routes": attack_routes(upstream),
            }
        )

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"


@pytest.fixture
def tls_house(
    authority: Authority, upstream: RecordingUpstream, audit: list[Any], stack: ExitStack
) -> Iterator[tuple[House, CookieClient]]:
    """A production house and a browser that trusts its authority."""
    provider = stack.enter_context(FakeProvider(auto_login="alice", tls=authority.issue("127.0.0.1")))
    store = WatchedStore()
    door = TlsDoor(authority, provider, upstream, store=store).start()
    browser = CookieClient(verify=ssl.create_default_context(cafile=str(authority.ca_file)))
    yield House(provider, upstream, door, store, audit), browser
    browser.close()
    door.stop()


def test_ck_1_the_session_cookie_in_production_has_all_security_attributes(
    tls_house: tuple[House, CookieClient],
) -> None:
    house, browser = tls_house
    pages = browser.walk(browser.get(f"{house.url}/deep?x=1"))
    assert pages[-1].status_code == 200
    cookie = browser.cookies["__Host-vestibule"]
    assert (cookie.secure, cookie.httponly, cookie.path, cookie.domain) == (True, True, "/", None)
    assert cookie.samesite in ("Lax", "Strict")
    assert cookie.expires_at is None  # ends with the browser unless configured otherwise
    every = [each for each in browser.cookies.history if each.host == "localhost"]
    assert {each.name.startswith("__Host-") for each in every} == {True}
    assert not [each.refused for each in every if each.refused]


def test_ck_1_every_answer_in_production_has_strict_transport_security(tls_house: tuple[House, CookieClient]) -> None:
    house, browser = tls_house
    pages = browser.walk(browser.get(f"{house.url}/"))
    paths = ("/auth/session", "/api/x", "/nothing%00", "/auth/none", "/auth/guard.js")
    pages += [browser.fetch(house.url + path) for path in paths]
    for page in pages:
        if page.url.port == house.door.port:
            (policy,) = page.headers.get_list("strict-transport-security")
            assert int(policy.partition("max-age=")[2].partition(";")[0]) >= 31_536_000


@pytest.mark.parametrize(
    "server",
    [
        {"public_url": "http://apps.example.com"},
        {"public_url": "http://localhost:8000"},
        {"public_url": "http://apps.example.com", "environment": "development"},
        {"public_url": "https://apps.example.com", "origins": ["http://other.example.com"]},
    ],
)
def test_ck_1_a_front_door_that_cannot_protect_its_cookie_does_not_start(server: dict[str, Any]) -> None:
    table = {"issuer": "https://idp.example", "client_id": "vestibule", "client_secret": "unit-test-client-secret"}
    with pytest.raises(ConfigurationError) as refused:
        parse_settings({"server": server, "secrets": {"keys": [KEY]}, "providers": {"corp": table}})
    assert any("http" in fault.message for fault in refused.value.faults)


def test_ck_2_session_ids_have_256_random_bits(house: House) -> None:
    """Ids as the door makes them, a few thousand, in the shape the cookie has."""
    cookies = [house.session_cookie(house.sign_in()) for _ in range(5)]
    assert len({cookie.partition(".")[0] for cookie in cookies}) == 5
    assert {len(cookie.partition(".")[0]) for cookie in cookies} == {43}
    ids = {new_secret(os.urandom) for _ in range(10_000)}
    assert len(ids) == 10_000
    for place in range(42):  # the last character holds four bits only
        assert len({each[place] for each in ids}) == 64


def test_ck_2_no_value_in_the_store_opens_a_session(house: House) -> None:
    browser = house.sign_in()
    session = house.session_of(browser)
    session_id = house.session_cookie(browser).partition(".")[0]
    record = house.door.do(house.store.load(session.name))
    assert record is not None
    assert session_id.encode() not in record.sealed
    assert session_id not in session.name
    for secret in (session.tokens.access_token, session.tokens.refresh_token, session.identity.email):
        assert secret.encode() not in record.sealed
    owners = [name for names in house.door.app.bff.sessions.owners_of(session) for name in names]
    for value in (session.name, session.name[:43], record.sealed.hex(), *owners, *house.store.logins[-3:]):
        for cookie in (value, f"{value}.{house.session_cookie(browser).partition('.')[2]}"):
            assert house.get_raw("/auth/session", cookie=cookie).status == 401


@pytest.mark.parametrize("change", ["flip", "cut", "empty", "rolled back", "another's"])
def test_ck_2_a_changed_record_gives_no_session_and_no_error_500(house: House, change: str) -> None:
    browser, other = house.sign_in(), house.sign_in("bob")
    name, others = house.session_of(browser).name, house.session_of(other).name
    stored = house.door.do(house.store.load(name))
    foreign = house.door.do(house.store.load(others))
    assert stored is not None
    assert foreign is not None
    sealed = {
        "flip": stored.sealed[:-1] + bytes([stored.sealed[-1] ^ 1]),
        "cut": stored.sealed[:40],
        "empty": b"",
        "rolled back": stored.sealed,  # the same bytes under the next revision
        "another's": foreign.sealed,
    }[change]
    assert house.door.do(house.store.replace(name, sealed, revision=stored.revision))
    house.door.do(house.store.publish(SessionChanged(name)))  # the door forgets what it read before
    for path in ("/auth/session", "/api/x", "/optional/x"):
        answer = browser.fetch(house.url + path)
        assert answer.status_code in (200, 401)
        assert answer.status_code == 401 or path == "/optional/x"
    assert house.upstream.last.header("x-auth-request-user") == ""


def cookie_line(cookie: bytes) -> bytes:
    return b"Cookie: " + cookie


@pytest.mark.parametrize("spelling", COOKIE_NAMES)
def test_ck_3_only_the_exact_cookie_name_is_accepted(house: House, spelling: bytes) -> None:
    value = house.session_cookie(house.sign_in()).encode()
    name = spelling.replace(b"{name}", b"vestibule").replace(b"{NAME}", b"VESTIBULE")
    name = name.replace(b"{Name}", b"Vestibule").replace(b"{rest}", b"estibule")
    answer = house.get_raw("/auth/session", cookie_line(b"a=1; " + name + b"=" + value + b"; b=2"))
    assert answer.status in (400, 401)


@pytest.mark.parametrize("foreign", FOREIGN_COOKIES.values(), ids=FOREIGN_COOKIES)
def test_ck_3_a_foreign_cookie_signs_nobody_out(house: House, foreign: bytes) -> None:
    """A page of a neighbouring host sets cookies for this one too (`Domain=`), and they stay in the browser."""
    ours = b"vestibule=" + house.session_cookie(house.sign_in()).encode()
    for lines in ([foreign + b"; " + ours], [ours + b"; " + foreign], [foreign, ours], [ours, foreign]):
        answer = house.get_raw("/auth/session", *map(cookie_line, lines), "Sec-Fetch-Site: same-origin")
        assert answer.status == 200


@pytest.mark.parametrize("spelling", COOKIE_VALUES)
def test_ck_3_a_quoted_or_padded_cookie_value_gives_no_session(house: House, spelling: bytes) -> None:
    value = house.session_cookie(house.sign_in()).encode()
    answer = house.get_raw(
        "/auth/session", cookie_line(b"a=1; vestibule=" + spelling.replace(b"{value}", value) + b"; b=2")
    )
    expected = (200, 401) if spelling == b"{value} " else (400, 401)  # a space before `;` is the separator's
    assert answer.status in expected


def test_ck_3_the_cookie_name_without_the_host_prefix_is_ignored_on_https(
    tls_house: tuple[House, CookieClient],
) -> None:
    house, browser = tls_house
    browser.walk(browser.get(f"{house.url}/"))
    value = browser.cookies["__Host-vestibule"].value
    browser.cookies.clear()
    for name in ("vestibule", "__host-vestibule", "__Secure-vestibule", "%5F_Host-vestibule"):
        headers = {"Cookie": f"{name}={value}"}
        assert browser.fetch(f"{house.url}/auth/session", headers=headers).status_code == 401
    headers = {"Cookie": f"__Host-vestibule={value}"}
    assert browser.fetch(f"{house.url}/auth/session", headers=headers).status_code == 200


@pytest.mark.parametrize("path", ["/auth/session", "/api/x", "/auth/login", "/page"])
@pytest.mark.parametrize("layout", ["good first", "evil first", "same twice", "two headers", "two headers, evil first"])
def test_ck_4_two_session_cookies_give_no_session(house: House, layout: str, path: str) -> None:
    good, evil = house.session_cookie(house.sign_in()), house.session_cookie(house.sign_in("bob"))
    lines = {
        "good first": [f"Cookie: vestibule={good}; vestibule={evil}"],
        "evil first": [f"Cookie: vestibule={evil}; a=b; vestibule={good}"],
        "same twice": [f"Cookie: vestibule={good};vestibule={good}"],
        "two headers": [f"Cookie: vestibule={good}", f"Cookie: vestibule={evil}"],
        "two headers, evil first": ["Cookie: vestibule=x", f"Cookie: vestibule={good}"],
    }[layout]
    house.upstream.clear()
    noted = len(house.refusals())
    answer = house.get_raw(path, *lines)
    assert answer.status in (401, 302)
    assert house.upstream.requests == []
    assert [event["event"] for event in house.refusals()[noted:]] == ["duplicate_cookie"]


def test_ck_5_a_value_signed_for_another_purpose_gives_no_session(house: House) -> None:
    browser = house.browser()
    url = house.callback_url(browser)
    (transaction,) = browser.cookies
    state = url.partition("state=")[2].partition("&")[0]
    signed_in = house.sign_in()
    session = house.session_cookie(signed_in)
    session_id, _, signature = session.partition(".")
    transaction_signature = transaction.value.partition(".")[2]
    for forged in (f"{state}.{transaction_signature}", f"{session_id}.{transaction_signature}", transaction.value):
        assert house.get_raw("/auth/session", cookie=forged).status == 401
    browser.cookies.set(transaction.name, f"{transaction.value.partition('.')[0]}.{signature}", house.url)
    assert browser.get(url).status_code == 400
    keyring = house.door.app.bff.keyring
    for purpose in ("transaction", "kit-handle", "csrf", "session-record", ""):
        assert house.get_raw("/auth/session", cookie=keyring.sign(session_id, purpose=purpose)).status == 401
    assert house.get_raw("/auth/session", cookie=session).status == 200


@pytest.mark.parametrize("place", [0, 20, 42, 43, 44, 60, -1])
def test_ck_5_a_cookie_with_one_changed_character_gives_no_session(house: House, place: int) -> None:
    cookie = house.session_cookie(house.sign_in())
    swapped = "A" if cookie[place] != "A" else "E"
    changed = cookie[: place % len(cookie)] + swapped + cookie[place % len(cookie) + 1 :]
    assert house.get_raw("/auth/session", cookie=changed).status == 401


def test_ck_5_an_old_key_verifies_and_a_new_one_signs(build_house: Callable[..., House]) -> None:
    before = build_house(secrets={"keys": [OLD_KEY]})
    cookie = before.session_cookie(before.sign_in())
    session_id = cookie.partition(".")[0]
    rotated = build_house(secrets={"keys": [KEY, OLD_KEY]})
    rings = [Keyring([key.encode()]) for key in (KEY, OLD_KEY)]
    fresh = rotated.session_cookie(rotated.sign_in())
    assert [ring.unsign(fresh, purpose="session") is not None for ring in rings] == [True, False]
    assert rotated.door.app.bff.sessions.name_of(cookie)  # signed with the retired key, still read
    retired = build_house(secrets={"keys": [KEY]})
    assert retired.door.app.bff.sessions.name_of(cookie) is None
    assert retired.get_raw("/auth/session", cookie=f"{session_id}.{cookie.partition('.')[2]}").status == 401


PUBLIC = {"Cache-Control": "public, max-age=86400, s-maxage=86400"}


@pytest.mark.parametrize("path", ["/user/x.css", "/api/me;.js", "/api/me", "/page", "/static/app.js", "/admin/x"])
@pytest.mark.parametrize(
    "headers", [{}, PUBLIC, {"Cache-Control": "max-age=60"}, {"Expires": "Fri, 01 Jan 2100 00:00:00 GMT"}]
)
def test_ck_6_an_answer_for_a_session_is_not_stored_in_shared_caches(
    house: House, path: str, headers: dict[str, str]
) -> None:
    browser = house.sign_in()
    house.upstream.respond("/*", body=b"secret", headers=headers)
    answer = browser.get(house.url + path)
    if answer.status_code != 200:
        assert answer.status_code == 400  # a path that two readers could read in two ways
        return
    control = {word.strip().partition("=")[0].lower() for word in answer.headers.get("cache-control", "").split(",")}
    assert control & {"private", "no-store"}
    assert not control & {"public", "s-maxage"}
    assert "cookie" in answer.headers.get("vary", "").lower()


@pytest.mark.parametrize(
    "path", ["/auth/session", "/auth/account", "/auth/sessions", "/auth/logout", "/auth/logged-out"]
)
def test_ck_6_pages_of_the_front_door_are_not_stored_in_caches(house: House, path: str) -> None:
    browser = house.sign_in()
    assert browser.get(house.url + path).headers["cache-control"] == "no-store"


def test_ck_6_answers_that_can_be_cached_set_no_cookie(house: House) -> None:
    browser = house.sign_in()
    for path in ("/auth/guard.js", "/auth/jwks.json"):
        answer = browser.get(house.url + path)
        assert "public" in answer.headers["cache-control"]
        assert "set-cookie" not in answer.headers
