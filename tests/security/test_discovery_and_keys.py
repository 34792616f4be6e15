"""DM: metadata and keys of a provider that are false, rotated, broken or requested too often."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from bff.errors import AuthError
from bff.oidc.id_token import IdTokenExpectation
from tests.effort import costs_less_than
from tests.fakes import OMIT, FakeClock, FakeProvider, RecordingUpstream, generate_key
from tests.front_door import provider_table
from tests.security.house import House, open_house
from tests.security.raw import storm
from tests.security.rejection import assert_rejected


@pytest.fixture(scope="module")
def unmet(shared_provider: FakeProvider, shared_upstream: RecordingUpstream) -> Iterator[House]:
    with open_house(shared_provider, shared_upstream) as house:
        yield house


@pytest.fixture
def unmet_house(unmet: House, house: House) -> House:
    """A house that never got acceptable metadata: every sign-in asks for it again."""
    return House(house.provider, house.upstream, unmet.door, unmet.store, house.audit, house.browsers)


METADATA_ISSUERS: dict[str, Callable[[str], Any]] = {
    "other": lambda _: "https://evil.example",
    "slash": lambda issuer: issuer + "/",
    "case": lambda issuer: issuer.upper(),
    "missing": lambda _: None,
    "list": lambda issuer: [issuer],
}


def attempt(house: House) -> httpx.Response:
    return house.browser().get(f"{house.url}/auth/login")


@pytest.mark.parametrize("fault", METADATA_ISSUERS)
def test_dm_1_metadata_of_another_issuer_is_not_used(unmet_house: House, fault: str) -> None:
    house = unmet_house
    house.provider.bend.discovery.json(lambda doc: {**doc, "issuer": METADATA_ISSUERS[fault](doc["issuer"])})
    answer = assert_rejected(house, lambda: attempt(house), reason="discovery_issuer", statuses=[503])
    assert "location" not in answer.headers
    assert {hit.endpoint for hit in house.provider.hits} == {"discovery"}


@pytest.mark.parametrize(
    "body", [b"<html>", b"[]", b"", b'{"issuer":"a","issuer":"b"}', b"{" * 50_000, b'{"a":"' + b'\\"' * 300_000]
)
def test_dm_1_an_invalid_document_is_not_used(unmet_house: House, body: bytes) -> None:
    house = unmet_house
    house.provider.bend.discovery.raw(headers={"content-type": "application/json"}, body=body)
    with costs_less_than(1):
        assert_rejected(house, lambda: attempt(house), statuses=[503])


HOSTILE_URLS = [
    "javascript:alert(1)",
    "file:///etc/passwd",
    "data:text/html,x",
    "http://169.254.169.254/latest/meta-data",
    "http://[::1]:{port}/x",
    "http://2130706433:{port}/x",
    "http://127.1:{port}/x",
    "http://localhost:{port}/x",
    "http://0x7f000001:{port}/x",
    "http://user:password@{host}/x",
    "http://{host}@127.0.0.1:{port}/x",
    "http://{host}#@127.0.0.1:{port}/x",
    "http://127.0.0.1:{port}\\@{host}/x",
    "http://{host}/x#fragment",
    "http://{host}.evil.example/x",
    "http://{host} /x",
    "http://{host}/x\r\nX: 1",
    "//{host}/x",
    "/x",
    "http:///x",
    "http://127.0.0.1:{port}/x",
    "gopher://{host}/x",
    "http://{host}/" + "a" * 3_000,
    "http://127.0.0.1:99999/x",
]


def with_member(name: str, value: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda document: {**document, name: value}


@pytest.mark.parametrize("url", HOSTILE_URLS)
def test_dm_2_an_endpoint_on_another_host_than_the_issuer_is_refused(unmet_house: House, url: str) -> None:
    with RecordingUpstream() as attacker:
        house = unmet_house
        host = house.provider.issuer.removeprefix("http://")
        hostile = url.replace("{host}", host).replace("{port}", str(attacker.port))
        for endpoint in ("jwks_uri", "token_endpoint", "userinfo_endpoint", "end_session_endpoint"):
            house.provider.bend.discovery.reset()
            house.provider.bend.discovery.json(with_member(endpoint, hostile))
            assert_rejected(house, lambda: attempt(house), reason="discovery_endpoint", statuses=[503])
        assert attacker.connections == 0
        assert {hit.endpoint for hit in house.provider.hits} == {"discovery"}


@pytest.mark.parametrize("value", [OMIT, None, 5, [], ""])
@pytest.mark.parametrize("endpoint", ["authorization_endpoint", "token_endpoint", "jwks_uri"])
def test_dm_2_a_document_without_a_necessary_endpoint_is_refused(unmet_house: House, endpoint: str, value: Any) -> None:
    house = unmet_house

    def change(document: dict[str, Any]) -> dict[str, Any]:
        rest = {name: given for name, given in document.items() if name != endpoint}
        return rest if value is OMIT else {**rest, endpoint: value}

    house.provider.bend.discovery.json(change)
    assert_rejected(house, lambda: attempt(house), reason="discovery_endpoint", statuses=[503])


@pytest.fixture
def own_provider() -> Any:
    """A provider whose keys a test may rotate."""
    with FakeProvider(auto_login="alice") as provider:
        yield provider


@pytest.fixture
def rotating_house(build_house: Callable[..., House], clock: FakeClock, own_provider: FakeProvider) -> House:
    own_provider.clock = clock
    return build_house(own_provider, clock=clock)


def login_status(house: House) -> int:
    browser = house.browser()
    return browser.get(house.callback_url(browser)).status_code


def test_dm_3_two_new_keys_shortly_after_each_other_are_found_at_once(rotating_house: House) -> None:
    house = rotating_house
    house.sign_in()
    for _ in range(2):
        house.provider.rotate_keys()
        house.sign_in()
    assert len(house.provider.hits_of("jwks")) == 3


def test_dm_3_a_key_made_just_before_signing_is_accepted(rotating_house: House) -> None:
    house = rotating_house
    house.sign_in()
    browser = house.browser()
    url = house.callback_url(browser)
    house.provider.rotate_keys(keep_old=False)
    assert browser.get(url).status_code == 303


def test_dm_3_a_removed_key_stops_working_within_fifteen_minutes(rotating_house: House, clock: FakeClock) -> None:
    house = rotating_house
    house.sign_in()
    removed = house.provider.signing_key
    house.provider.rotate_keys(keep_old=False)
    house.provider.bend.id_token.key(removed)
    house.provider.bend.id_token.header(lambda header: {**header, "kid": removed.kid})
    clock.advance(15 * 60)
    assert login_status(house) == 400
    assert house.refusals()[-1]["reason"] == "id_token_unknown_key"


def expectation(house: House, clock: FakeClock) -> IdTokenExpectation:
    return IdTokenExpectation(
        issuer=house.provider.issuer, client_id="vestibule", alg="RS256", now=clock(), clock_skew=60, nonce=None
    )


def test_dm_4_two_thousand_unknown_kids_cause_only_a_few_fetches(rotating_house: House, clock: FakeClock) -> None:
    house = rotating_house
    house.sign_in()
    key, good_key = generate_key("RS256"), house.provider.signing_key
    claims = {"iss": house.provider.issuer, "sub": "alice", "aud": "vestibule", "iat": clock(), "exp": clock() + 600}
    forged = [house.provider.mint(claims, key=key, header={"kid": f"evil-{number}"}) for number in range(400)]
    good = house.provider.mint(claims, key=good_key)
    provider = house.door.app.bff.sign_in.providers["corp"]
    outcomes: list[str] = []

    async def storm() -> None:
        for number in range(2_000):
            try:
                await provider.validate_id_token(forged[number % 400], expectation(house, clock))
            except AuthError as error:
                outcomes.append(error.code)
            clock.advance(0.005)
            if number % 100 == 0:
                await provider.validate_id_token(good, expectation(house, clock))

    house.provider.clear_hits()
    house.door.do(storm(), timeout=60)
    assert set(outcomes) == {"id_token_unknown_key"}
    assert len(outcomes) == 2_000
    # ten seconds: a burst of two, and one more for the cooldown that has passed
    assert 1 <= len(house.provider.hits_of("jwks")) <= 3


BROKEN_JWKS: dict[str, dict[str, Any]] = {
    "500": {"status": 500},
    "html": {"body": b"<html>"},
    "empty": {"body": b""},
    "no keys": {"json": {"keys": []}},
    "no members": {"json": {}},
    "keys no list": {"json": {"keys": {"kid": 1}}},
    "only unusable keys": {"json": {"keys": [{"kty": "oct", "k": "AAAA"}, {"kty": "RSA"}, 5, None, "x"]}},
    "gzip bomb": {"headers": {"content-encoding": "gzip"}, "body": gzip.compress(b" " * 20_000_000)},
    "two megabytes": {"body": b" " * 2_000_000},
}


def break_jwks(house: House, fault: str) -> None:
    bend = house.provider.bend.jwks
    bend.reset()
    if fault == "time-out":
        bend.delay(30)
    elif fault == "cut":
        bend.drop()
    else:
        bend.raw(**BROKEN_JWKS[fault])


def test_dm_4_a_broken_key_set_leaves_the_last_good_one_in_use(
    build_house: Callable[..., House], clock: FakeClock, own_provider: FakeProvider
) -> None:
    own_provider.clock = clock
    table = provider_table(own_provider, par="off", http_timeout_seconds=0.3)
    house = build_house(own_provider, clock=clock, providers={"corp": table})
    house.sign_in()
    asked = len(own_provider.hits_of("jwks"))
    for fault in (*BROKEN_JWKS, "time-out", "cut"):
        break_jwks(house, fault)
        for _ in range(2):
            clock.advance(700)  # the set is old, so each sign-in asks for a new one
            assert login_status(house) == 303, fault
        assert len(own_provider.hits_of("jwks")) >= asked + 2
        asked = len(own_provider.hits_of("jwks"))
    clock.advance(25 * 3600)
    assert login_status(house) == 503  # and only for a while


def test_dm_5_one_bad_key_does_not_make_the_key_set_unusable(build_house: Callable[..., House]) -> None:
    house = build_house()
    house.provider.options.jwks_decoys = True
    house.provider.bend.jwks.json(lambda jwks: {"keys": [None, 5, {"kty": ["RSA"]}, {"kty": "??"}, *jwks["keys"]]})
    house.sign_in()


@pytest.mark.parametrize("bits", [1024, 1536])
def test_dm_5_signatures_by_short_rsa_keys_are_refused(build_house: Callable[..., House], bits: int) -> None:
    house = build_house()
    short = generate_key("RS256", rsa_bits=bits)
    house.provider.bend.jwks.json(lambda jwks: {"keys": [*jwks["keys"], short.public_jwk]})
    house.provider.bend.id_token.key(short)
    house.provider.bend.id_token.header(lambda header: {**header, "kid": short.kid})
    browser = house.browser()
    url = house.callback_url(browser)
    assert_rejected(house, lambda: browser.get(url), reason="id_token_unknown_key", token_hits=1)


def test_dm_5_a_signature_by_a_key_of_another_provider_is_refused(
    build_house: Callable[..., House], provider: FakeProvider
) -> None:
    with FakeProvider(auto_login="bob") as partner:
        tables = {name: provider_table(fake, par="off") for name, fake in (("corp", provider), ("partner", partner))}
        house = build_house(providers=tables)
        house.sign_in(path="/auth/login?provider=partner")
        provider.bend.id_token.key(partner.signing_key)
        provider.bend.id_token.header(lambda header: {**header, "kid": partner.signing_key.kid})
        browser = house.browser()
        url = house.callback_url(browser, provider="corp")
        assert_rejected(house, lambda: browser.get(url), reason="id_token_unknown_key", token_hits=1)


def test_dm_6_three_hundred_first_requests_share_one_fetch(build_house: Callable[..., House]) -> None:
    house = build_house()
    house.provider.bend.discovery.delay(0.1)

    answers = storm(house.door.port, [house.request("/auth/login")] * 300)
    assert {answer.status for answer in answers} == {302}
    assert len(house.provider.hits_of("discovery")) == 1
    provider = house.door.app.bff.sign_in.providers["corp"]

    async def ask_for_keys() -> None:
        await asyncio.gather(*(provider.keys.current() for _ in range(300)))

    house.door.do(ask_for_keys())
    assert len(house.provider.hits_of("jwks")) == 1


@pytest.mark.parametrize("endpoint", ["discovery", "jwks", "token", "userinfo"])
def test_dm_6_a_request_to_a_very_slow_provider_ends_at_the_deadline(
    build_house: Callable[..., House], provider: FakeProvider, endpoint: str
) -> None:
    house = build_house(providers={"corp": provider_table(provider, par="off", http_timeout_seconds=0.5)})
    provider.bend.of(endpoint).drip(chunk=1, every=0.05)
    browser = house.browser()
    started = time.monotonic()
    pages = browser.walk(house.start_login(browser))
    assert time.monotonic() - started < 15
    assert pages[-1].status_code == 503
    assert house.refusals()[-1]["reason"] == "provider_timeout"


def test_dm_6_a_body_over_a_megabyte_is_not_read(unmet_house: House) -> None:
    house = unmet_house
    house.provider.bend.discovery.raw(headers={"content-type": "application/json"}, body=b" " * 1_100_000 + b"{}")
    assert_rejected(house, lambda: attempt(house), reason="provider_too_large", statuses=[503])
