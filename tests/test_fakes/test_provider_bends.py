from __future__ import annotations

import subprocess
import sys
import threading
import time
from json import loads
from pathlib import Path

import httpx
import jwt
import pytest

from tests.fakes import BACKCHANNEL_EVENT, OMIT, FakeProvider, RecordingUpstream, generate_key

from .relying_party import RelyingParty


def jwks_kids(provider: FakeProvider) -> list[str]:
    return [key["kid"] for key in httpx.get(f"{provider.base}/jwks").json()["keys"]]


def unverified(token: str) -> dict[str, object]:
    claims: dict[str, object] = jwt.decode(token, options={"verify_signature": False})
    return claims


def test_json_is_transformed_for_the_given_number_of_times(provider: FakeProvider, rp: RelyingParty) -> None:
    url = f"{provider.base}/.well-known/openid-configuration"
    provider.bend.discovery.json(lambda document: {**document, "issuer": "http://evil.example"}, times=1)
    assert rp.http.get(url).json()["issuer"] == "http://evil.example"
    assert rp.http.get(url).json()["issuer"] == provider.issuer


def test_single_use_changes_apply_first_in_order_and_then_the_newest_permanent_one(
    provider: FakeProvider, rp: RelyingParty
) -> None:
    for status, times in ((500, None), (502, None), (429, 1), (418, 1)):
        provider.bend.jwks.raw(status, times=times)
    seen = [rp.http.get(f"{provider.base}/jwks").status_code for _ in range(4)]
    provider.bend.reset()
    assert [*seen, rp.http.get(f"{provider.base}/jwks").status_code] == [429, 418, 502, 502, 200]


def test_the_redirect_back_can_be_changed(provider: FakeProvider, rp: RelyingParty) -> None:
    provider.bend.authorization.json(lambda params: {**params, "state": ["a", "b"]}, times=1)
    assert rp.callback().get_list("state") == ["a", "b"]
    provider.bend.authorization.json(lambda params: {"error": "server_error", "state": params["state"]}, times=1)
    assert "code" not in rp.callback()


def test_raw_bodies_and_headers_are_sent_unchanged(provider: FakeProvider, rp: RelyingParty) -> None:
    headers = [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("Content-Type", "text/html")]
    provider.bend.userinfo.raw(200, headers=headers, body="<p>no</p>")
    response = rp.userinfo("whatever")
    assert response.headers.get_list("set-cookie") == ["a=1", "b=2"]
    assert response.text == "<p>no</p>"


def test_a_lost_answer_still_rotates_the_refresh_token(provider: FakeProvider, rp: RelyingParty) -> None:
    token = rp.sign_in()["refresh_token"]
    provider.bend.token.drop(process=True, times=1)
    with pytest.raises(httpx.RemoteProtocolError):
        rp.refresh(token)
    assert len(provider.grants("refresh_token")) == 1
    assert rp.refresh(token).json()["error"] == "invalid_grant"


def test_a_connection_can_be_cut_in_the_middle_of_the_body(provider: FakeProvider, rp: RelyingParty) -> None:
    provider.bend.jwks.drop(after=10, times=1)
    with pytest.raises(httpx.TransportError):
        rp.http.get(f"{provider.base}/jwks")
    provider.bend.jwks.wire(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: \x80\r\n\r\nhi", times=1)
    assert rp.http.get(f"{provider.base}/jwks").text == "hi"


def test_answers_can_be_late_and_slow(provider: FakeProvider, rp: RelyingParty) -> None:
    provider.bend.userinfo.delay(0.2, times=1)
    provider.bend.userinfo.drip(chunk=20, every=0.05, times=1)
    started = time.monotonic()
    assert rp.userinfo("bad").json() == {"error": "invalid_token"}
    assert time.monotonic() - started > 0.24


def test_a_held_request_waits_until_it_is_released(provider: FakeProvider, rp: RelyingParty) -> None:
    results: list[int] = []
    caller = threading.Thread(target=lambda: results.append(rp.userinfo("bad").status_code))
    with provider.bend.userinfo.hold(times=1) as gate:
        caller.start()
        gate.wait_arrived()
        assert not results
    caller.join(5)
    assert results == [401]


def test_claims_header_and_key_of_an_id_token_can_be_changed(provider: FakeProvider, rp: RelyingParty) -> None:
    provider.bend.id_token.claims(lambda claims: {**claims, "aud": ["vestibule", "evil"], "nonce": OMIT}, times=1)
    provider.bend.id_token.header(lambda header: {**header, "typ": "at+jwt"}, times=1)
    stranger = generate_key("RS256")
    provider.bend.id_token.key(stranger, times=1)
    token = rp.sign_in()["id_token"]
    assert unverified(token)["aud"] == ["vestibule", "evil"]
    assert "nonce" not in unverified(token)
    assert jwt.get_unverified_header(token) == {"alg": "RS256", "kid": provider.signing_key.kid, "typ": "at+jwt"}
    assert provider.read_token(token) is None
    jwt.decode(token, stranger.public_pem, algorithms=["RS256"], audience="vestibule")
    assert provider.read_token(rp.sign_in()["id_token"]) is not None


def test_mint_creates_tokens_that_a_library_refuses_to_create(provider: FakeProvider) -> None:
    unsigned = provider.mint({"sub": "alice"}, alg="nOnE")
    assert unsigned.endswith(".")
    assert jwt.get_unverified_header(unsigned) == {"alg": "nOnE", "typ": "JWT"}
    confused = provider.mint({"sub": "x"}, key=provider.signing_key.public_pem, header={"kid": "k", "typ": OMIT})
    assert jwt.get_unverified_header(confused) == {"alg": "HS256", "kid": "k"}
    signed = provider.mint({"sub": "x"}, alg="HS512", key=b"s" * 64)
    assert jwt.decode(signed, b"s" * 64, algorithms=["HS512"]) == {"sub": "x"}
    raw = provider.mint(b'{"exp": 1e400}')
    assert provider.keys.by_kid(jwt.get_unverified_header(raw)["kid"]) is provider.signing_key


def test_keys_rotate_and_disappear() -> None:
    with FakeProvider(auto_login="alice") as provider:
        rp = RelyingParty(provider)
        old = provider.signing_key.kid
        new = provider.rotate_keys().kid
        assert jwks_kids(provider) == [old, new]
        assert jwt.get_unverified_header(rp.sign_in()["id_token"])["kid"] == new
        provider.remove_key(old)
        assert jwks_kids(provider) == [new]
        newest = provider.rotate_keys(keep_old=False).kid
        assert jwks_kids(provider) == [newest]
        provider.options.jwks_decoys = True
        assert len(jwks_kids(provider)) == 5
        rp.close()


def test_a_logout_token_is_minted_and_posted(provider: FakeProvider, upstream: RecordingUpstream) -> None:
    token = provider.logout_token(sid="s1", nonce=None, exp=OMIT)
    claims = unverified(token)
    assert jwt.get_unverified_header(token)["typ"] == "logout+jwt"
    assert claims["events"] == {BACKCHANNEL_EVENT: {}}
    assert {"sub", "exp"}.isdisjoint(claims)
    assert claims["nonce"] is None
    assert provider.send_backchannel_logout(f"{upstream.url}/logout", token).status_code == 200
    assert upstream.last.body == f"logout_token={token}".encode()


def test_the_fake_provider_runs_standalone() -> None:
    command = [sys.executable, "-W", "error", "-m", "tests.fakes.provider", "--port", "0", "--token-lifetime", "5"]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        assert process.stdout is not None
        where = loads(process.stdout.readline())
        document = httpx.get(f"{where['issuer']}/.well-known/openid-configuration").json()
        process.terminate()
    assert document["issuer"] == where["issuer"]
