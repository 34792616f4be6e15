"""LO-4 to LO-13: which sessions a back-channel logout ends, and which logout tokens are refused."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import httpx
import pytest

from bff.errors import StoreUnavailable
from tests.fakes import BACKCHANNEL_EVENT, OMIT, CookieClient, FakeProvider, generate_key
from tests.front_door import provider_table
from tests.security.house import House
from tests.security.raw import handshake, open_websocket, read_close
from tests.security.rejection import assert_rejected, opens_session

FORM = "application/x-www-form-urlencoded"
TRUST = ssl.create_default_context()
STRANGER = generate_key("RS256")


def post_logout(house: House, token: str, *, provider: str = "corp", **how: Any) -> httpx.Response:
    """Post a logout token as a provider's server does: no cookie, no Origin."""
    url = f"{house.url}/auth/backchannel-logout/{provider}"
    with httpx.Client(verify=TRUST) as http:
        return http.post(url, **({"data": {"logout_token": token}} | how))


def sid_of(house: House, browser: CookieClient) -> str:
    return house.session_of(browser).sid


@pytest.mark.parametrize("naming", ["sid", "sub", "both"])
def test_lo_4_a_logout_token_ends_the_sessions_it_names_and_no_others(house: House, naming: str) -> None:
    browser, other_device, bob = house.sign_in(), house.sign_in(), house.sign_in("bob")
    named: dict[str, Any] = {"sid": sid_of(house, browser), "sub": "alice"}
    answer = post_logout(house, house.provider.logout_token(**(named if naming == "both" else {naming: named[naming]})))
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert not answer.headers.get_list("set-cookie")
    assert not house.is_signed_in(browser)
    assert house.is_signed_in(other_device) is (naming != "sub")
    assert house.is_signed_in(bob)


def test_lo_4_an_unknown_session_gets_the_same_answer_as_a_known_one(house: House) -> None:
    browser = house.sign_in()
    known = post_logout(house, house.provider.logout_token(sid=sid_of(house, browser)))
    unknown = post_logout(house, house.provider.logout_token(sid="never-seen"))
    nobody = post_logout(house, house.provider.logout_token(sub="never-seen"))
    assert (known.status_code, known.content) == (unknown.status_code, unknown.content)
    assert (known.status_code, known.content) == (nobody.status_code, nobody.content)


REQUESTS: dict[str, Callable[[str], dict[str, Any]]] = {
    "json": lambda token: {"data": None, "json": {"logout_token": token}},
    "multipart": lambda token: {"data": None, "files": {"logout_token": (None, token)}},
    "no content type": lambda token: {"data": None, "content": f"logout_token={token}"},
    "empty": lambda token: {"data": None},
    "twice": lambda token: {
        "data": None,
        "content": f"logout_token={token}&logout_token={token}",
        "headers": {"Content-Type": FORM},
    },
    "another name": lambda token: {"data": {"token": token}},
    "in the query": lambda token: {"data": None, "params": {"logout_token": token}},
    "not form encoded": lambda token: {
        "data": None,
        "content": f"logout_token={token}&x=%ff%zz".encode() + b"\xff",
        "headers": {"Content-Type": FORM},
    },
    "a megabyte": lambda token: {"data": {"logout_token": token, "padding": "x" * 1_048_576}},
}


@pytest.mark.parametrize("how", REQUESTS)
def test_lo_4_only_a_posted_form_with_one_logout_token_is_accepted(house: House, how: str) -> None:
    browser = house.sign_in()
    token = house.provider.logout_token(sub="alice")
    answer = assert_rejected(
        house, lambda: post_logout(house, token, **REQUESTS[how](token)), statuses=[400], secrets=[token]
    )
    assert answer.headers["cache-control"] == "no-store"
    assert house.is_signed_in(browser)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH"])
def test_lo_4_only_post_is_accepted_at_the_back_channel_address(house: House, method: str) -> None:
    browser = house.sign_in()
    params = {"logout_token": house.provider.logout_token(sub="alice")}
    url = f"{house.url}/auth/backchannel-logout/corp"
    assert httpx.request(method, url, params=params, verify=TRUST).status_code == 405
    assert house.is_signed_in(browser)


def test_lo_4_an_unknown_provider_has_no_back_channel_address(house: House) -> None:
    assert post_logout(house, house.provider.logout_token(sub="alice"), provider="other").status_code == 404


def test_lo_4_a_logout_that_cannot_be_stored_fails_and_can_be_repeated(
    build_house: Callable[..., House], monkeypatch: pytest.MonkeyPatch
) -> None:
    house = build_house()
    browser = house.sign_in()

    async def fail(*_: object, **__: object) -> float:
        raise StoreUnavailable(detail="cut")

    token = house.provider.logout_token(sub="alice")
    with monkeypatch.context() as cut:
        cut.setattr(house.store, "set_barrier", fail)
        assert_rejected(house, lambda: post_logout(house, token), statuses=[400], reason="store_unavailable")
    assert house.is_signed_in(browser)
    assert post_logout(house, token).status_code == 200
    assert not house.is_signed_in(browser)


SIGNATURES: dict[str, Callable[[FakeProvider], dict[str, Any]]] = {
    "none": lambda provider: {"alg": "none"},
    "None": lambda provider: {"alg": "None"},
    "nOnE": lambda provider: {"alg": "nOnE"},
    "HS256 by the client secret": lambda provider: {"alg": "HS256"},
    "HS256 by the public key": lambda provider: {
        "alg": "HS256",
        "key": json.dumps(provider.signing_key.public_jwk),
        "header": {"kid": provider.signing_key.kid},
    },
    "another algorithm of the provider": lambda provider: {"alg": "ES256"},
    "a stranger under a known kid": lambda provider: {"key": STRANGER, "header": {"kid": provider.signing_key.kid}},
    "a stranger without kid": lambda provider: {"key": STRANGER, "header": {"kid": OMIT}},
    "a stranger who brings the key along": lambda provider: {
        "key": STRANGER,
        "header": {"kid": provider.signing_key.kid, "jwk": STRANGER.public_jwk},
    },
    "an unknown critical header": lambda provider: {"header": {"crit": ["exp"], "exp": 1}},
    "not encoded": lambda provider: {"header": {"crit": ["b64"], "b64": False}},
    "no alg": lambda provider: {"header": {"alg": OMIT}},
}


@pytest.mark.parametrize("how", SIGNATURES)
def test_lo_5_only_the_pinned_algorithm_and_the_keys_of_the_provider_are_accepted(house: House, how: str) -> None:
    browser = house.sign_in()
    token = house.provider.logout_token(sub="alice", **SIGNATURES[how](house.provider))
    assert_rejected(house, lambda: post_logout(house, token), statuses=[400], secrets=[token])
    assert house.is_signed_in(browser)


def test_lo_5_a_logout_token_with_a_damaged_signature_is_refused(house: House) -> None:
    browser = house.sign_in()
    head, payload, signature = house.provider.logout_token(sub="alice").split(".")
    for damaged in (
        f"{head}.{payload}.",
        f"{head}.{payload}",
        f"{head}.{payload}.{signature[:-8]}AAAAAAAA",
        f"{head}.{payload}.{signature}.",
        f"{head}.{payload[:-4]}AAAA.{signature}",
        "",
        "..",
        "x" * 4_000,
    ):
        assert_rejected(house, partial(post_logout, house, damaged), statuses=[400])
    assert house.is_signed_in(browser)


def test_lo_5_unknown_keys_cause_only_a_few_fetches(build_house: Callable[..., House]) -> None:
    house = build_house()
    browser = house.sign_in()
    before = len(house.provider.hits_of("jwks"))
    for number in range(30):
        token = house.provider.logout_token(sub="alice", key=STRANGER, header={"kid": f"made-up-{number}"})
        assert post_logout(house, token).status_code == 400
    assert len(house.provider.hits_of("jwks")) - before <= 5
    assert house.is_signed_in(browser)
    assert post_logout(house, house.provider.logout_token(sub="alice")).status_code == 200


@pytest.mark.parametrize("typ", [OMIT, "JWT", "jwt", "logout+jwt", "LOGOUT+JWT"])
def test_lo_6_the_usual_types_of_logout_tokens_are_accepted(house: House, typ: Any) -> None:
    browser = house.sign_in()
    token = house.provider.logout_token(sid=sid_of(house, browser), header={"typ": typ})
    assert post_logout(house, token).status_code == 200
    assert not house.is_signed_in(browser)


@pytest.mark.parametrize("typ", ["at+jwt", "dpop+jwt", "secevent+jwt", "vestibule-handshake+jwt", "x", 1, True, []])
def test_lo_6_a_logout_token_of_another_type_is_refused(house: House, typ: Any) -> None:
    browser = house.sign_in()
    token = house.provider.logout_token(sub="alice", header={"typ": typ})
    assert_rejected(house, lambda: post_logout(house, token), statuses=[400])
    assert house.is_signed_in(browser)


def test_lo_6_an_id_token_is_refused_as_a_logout_token(house: House) -> None:
    browser = house.sign_in()
    tokens = house.session_of(browser).tokens
    for token in (tokens.id_token, tokens.access_token):
        assert_rejected(house, partial(post_logout, house, token), statuses=[400])
    assert house.is_signed_in(browser)


CLAIMS: dict[str, dict[str, Any]] = {
    "lo_7 no iss": {"iss": OMIT},
    "lo_7 another iss": {"iss": "https://idp.example"},
    "lo_7 iss with a slash": {"iss": "{issuer}/"},
    "lo_7 iss as array": {"iss": ["{issuer}"]},
    "lo_7 iss upper case": {"iss": "{ISSUER}"},
    "lo_7 no aud": {"aud": OMIT},
    "lo_7 another aud": {"aud": "other"},
    "lo_7 aud with another beside": {"aud": ["vestibule", "evil"]},
    "lo_7 aud as prefix": {"aud": "vestibule2"},
    "lo_7 aud empty": {"aud": []},
    "lo_7 aud null": {"aud": None},
    "lo_8 no iat": {"iat": OMIT},
    "lo_8 no exp": {"exp": OMIT},
    "lo_8 no jti": {"jti": OMIT},
    "lo_8 jti empty": {"jti": ""},
    "lo_8 jti no string": {"jti": 7},
    "lo_8 jti of 10 KB": {"jti": "j" * 10_000},
    "lo_8 stale": {"iat": -361, "exp": 60},
    "lo_8 expired": {"iat": -120, "exp": -61},
    "lo_8 from the future": {"iat": 61, "exp": 120},
    "lo_8 iat a string": {"iat": "1"},
    "lo_8 iat a bool": {"iat": True},
    "lo_8 exp not finite": {"exp": float("nan")},
    "lo_8 exp absurd": {"exp": float("inf")},
    "lo_9 no events": {"events": OMIT},
    "lo_9 events null": {"events": None},
    "lo_9 events array": {"events": [BACKCHANNEL_EVENT]},
    "lo_9 events string": {"events": BACKCHANNEL_EVENT},
    "lo_9 events json in a string": {"events": json.dumps({BACKCHANNEL_EVENT: {}})},
    "lo_9 another event": {"events": {"http://schemas.openid.net/event/other": {}}},
    "lo_9 event with a slash": {"events": {BACKCHANNEL_EVENT + "/": {}}},
    "lo_9 event by https": {"events": {BACKCHANNEL_EVENT.replace("http:", "https:"): {}}},
    "lo_9 event null": {"events": {BACKCHANNEL_EVENT: None}},
    "lo_9 event true": {"events": {BACKCHANNEL_EVENT: True}},
    "lo_9 event array": {"events": {BACKCHANNEL_EVENT: []}},
    "lo_9 event a string": {"events": {BACKCHANNEL_EVENT: "{}"}},
    "lo_10 nonce": {"nonce": "n"},
    "lo_10 nonce empty": {"nonce": ""},
    "lo_10 nonce null": {"nonce": None},
    "lo_10 nonce 0": {"nonce": 0},
    "lo_11 neither sub nor sid": {"sub": OMIT},
    "lo_11 sub empty": {"sub": ""},
    "lo_11 sub null": {"sub": None},
    "lo_11 sub array": {"sub": ["alice"]},
    "lo_11 sub number": {"sub": 1},
    "lo_11 sub object": {"sub": {"alice": 1}},
    "lo_11 sub of 10 KB": {"sub": "alice" + "x" * 10_000},
    "lo_11 sub with a line end": {"sub": "alice\r\n"},
    "lo_11 sub null, sid empty": {"sub": None, "sid": ""},
    "lo_11 sub fine, sid number": {"sid": 5},
    "lo_11 sub fine, sid array": {"sid": ["*"]},
}


@pytest.mark.parametrize("how", CLAIMS)
def test_lo_7_to_lo_11_a_logout_token_that_breaks_a_rule_ends_no_session(house: House, how: str) -> None:
    browser = house.sign_in()
    issuer, now = house.provider.issuer, int(time.time())
    broken = dict(CLAIMS[how])
    for name, value in broken.items():
        if name in ("iat", "exp") and type(value) is int:
            broken[name] = now + value
        elif name == "iss" and isinstance(value, str):
            broken[name] = value.replace("{issuer}", issuer).replace("{ISSUER}", issuer.upper())
        elif name == "iss" and isinstance(value, list):
            broken[name] = [issuer]
    token = house.provider.logout_token(**({"sub": "alice"} | broken))
    assert_rejected(house, lambda: post_logout(house, token), statuses=[400], secrets=[token])
    assert house.is_signed_in(browser)


def test_lo_8_a_logout_token_works_once_and_its_replay_has_no_effect(house: House) -> None:
    token = house.provider.logout_token(sub="alice")
    assert post_logout(house, token).status_code == 200
    browser = house.sign_in()
    assert post_logout(house, token).status_code == 200
    assert house.is_signed_in(browser)


def test_lo_8_a_replay_has_no_effect_as_long_as_the_logout_token_is_valid(timed_house: Callable[..., House]) -> None:
    house = timed_house()
    clock: Any = house.provider.clock
    token = house.provider.logout_token(sub="alice", exp=int(clock()) + 290)
    assert post_logout(house, token).status_code == 200
    clock.advance(1)
    browser = house.sign_in()
    for _ in range(14):
        clock.advance(30)
        assert post_logout(house, token).status_code in (200, 400)
        assert house.is_signed_in(browser)


@pytest.mark.parametrize("pattern", ["*", "?", "[a]", "a*", "alic?", "alice|bob", "alice bob", "%", ".*", "al[i]ce"])
def test_lo_11_wildcard_characters_in_names_are_plain_text(house: House, pattern: str) -> None:
    browser, bob = house.sign_in(), house.sign_in("bob")
    patterns: list[dict[str, Any]] = [{"sub": pattern}, {"sid": pattern}, {"sub": "alice", "sid": pattern}]
    for named in patterns:
        assert post_logout(house, house.provider.logout_token(**named)).status_code == 200
    assert house.is_signed_in(browser)
    assert house.is_signed_in(bob)


def test_lo_11_sub_and_sid_together_end_only_sessions_with_both(house: House) -> None:
    alice, bob = house.sign_in(), house.sign_in("bob")
    crossed = house.provider.logout_token(sub="bob", sid=sid_of(house, alice))
    assert post_logout(house, crossed).status_code == 200
    assert house.is_signed_in(alice)
    assert house.is_signed_in(bob)


def test_lo_11_sessions_of_another_provider_are_not_ended(
    build_house: Callable[..., House], provider: FakeProvider
) -> None:
    with FakeProvider(auto_login="alice") as second:
        house = build_house(
            providers={"corp": provider_table(provider, par="off"), "other": provider_table(second, par="off")}
        )
        browser = house.sign_in(path="/auth/login?provider=corp")
        sid = sid_of(house, browser)
        for token in (second.logout_token(sub="alice"), second.logout_token(sid=sid)):
            assert post_logout(house, token, provider="other").status_code == 200
        assert_rejected(
            house, lambda: post_logout(house, second.logout_token(sub="alice"), provider="corp"), statuses=[400]
        )
        assert_rejected(
            house, lambda: post_logout(house, provider.logout_token(sub="alice"), provider="other"), statuses=[400]
        )
        assert house.is_signed_in(browser)


@pytest.mark.parametrize("naming", ["sub", "sid", "both"])
def test_lo_12_a_logout_during_the_code_exchange_stops_that_sign_in_and_a_later_one_works(
    house: House, naming: str
) -> None:
    browser = house.browser()
    callback = house.callback_url(browser)
    named: dict[str, Any] = {"sub": "alice", "sid": house.provider.logins("alice")[-1].sid}
    token = house.provider.logout_token(**(named if naming == "both" else {naming: named[naming]}))
    with ThreadPoolExecutor(1) as pool, house.provider.bend.token.hold() as gate:
        answer = pool.submit(browser.get, callback)
        gate.wait_arrived()
        assert post_logout(house, token).status_code == 200
        gate.release()
        assert answer.result().status_code == 400
    assert [event["reason"] for event in house.refusals() if event["event"] == "login_failed"] == ["login_ended"]
    assert not opens_session(answer.result())
    assert not house.is_signed_in(browser)
    assert house.is_signed_in(house.sign_in(browser=browser))


def test_lo_13_requests_and_sockets_of_the_session_end_at_once(house: House) -> None:
    browser = house.sign_in()
    cookie = house.session_cookie(browser)
    assert browser.fetch(f"{house.url}/api/x").status_code == 200
    answer, socket = open_websocket(house.door.port, handshake("/page/ws", house.host, cookie=cookie))
    assert answer.status == 101
    started = time.monotonic()
    post_logout(house, house.provider.logout_token(sid=sid_of(house, browser)))
    for path in ("/api/x", "/auth/session", "/page"):
        assert house.get_raw(path, "Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: cors", cookie=cookie).status == 401
    assert read_close(socket) == (4401, "logout")
    assert time.monotonic() - started < 10, "what waits for a cache to forget takes thirty seconds"
    socket.close()


@pytest.mark.parametrize("revokes", [True, False])
def test_tk_9_the_refresh_token_is_revoked_as_the_setting_says(
    build_house: Callable[..., House], provider: FakeProvider, revokes: bool
) -> None:
    table = provider_table(provider, par="off", revoke_on_backchannel_logout=revokes)
    house = build_house(providers={"corp": table})
    browser = house.sign_in()
    refresh_token = house.session_of(browser).tokens.refresh_token
    assert post_logout(house, provider.logout_token(sub="alice")).status_code == 200
    house.door.do(house.door.app.bff.sign_in.drain())
    assert [hit.form["token"] for hit in provider.hits_of("revocation")] == ([refresh_token] if revokes else [])
    assert not house.is_signed_in(browser)
