from __future__ import annotations

import base64
import json
import time

import httpx
import jwt
import pytest

from tests.fakes import OMIT, Client, CookieClient, FakeClock, FakeProvider, generate_key, is_grant
from tests.fakes.keys import half_hash

from .relying_party import REDIRECT_URI, RelyingParty

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"


def decode(token: str, provider: FakeProvider, audience: str) -> dict[str, object]:
    """Verify with the published keys, as any client would."""
    kid = jwt.get_unverified_header(token)["kid"]
    published = httpx.get(f"{provider.base}/jwks").json()["keys"]
    key = jwt.PyJWK(next(each for each in published if each["kid"] == kid))
    claims: dict[str, object] = jwt.decode(token, key, algorithms=[key.algorithm_name], audience=audience)
    return claims


def test_discovery_names_the_issuer_and_its_endpoints() -> None:
    with FakeProvider(issuer_path="/realms/corp") as provider:
        assert provider.issuer.endswith("/realms/corp")
        document = httpx.get(f"{provider.issuer}/.well-known/openid-configuration").json()
        assert document["issuer"] == provider.issuer
        assert document["token_endpoint"] == f"{provider.issuer}/token"


def test_the_code_flow_gives_tokens_that_the_jwks_verifies(provider: FakeProvider, rp: RelyingParty) -> None:
    params = rp.callback()
    assert (params["state"], params["iss"]) == ("the-state", provider.issuer)
    tokens = rp.redeem(params["code"]).json()
    claims = decode(tokens["id_token"], provider, "vestibule")
    assert claims["nonce"] == "the-nonce"
    assert claims["realm_access"] == {"roles": ["analyst", "admin"]}
    assert claims["at_hash"] == half_hash("RS256", tokens["access_token"])
    assert jwt.get_unverified_header(tokens["access_token"])["typ"] == "at+jwt"
    assert decode(tokens["access_token"], provider, "api")["scope"] == "openid profile email"
    assert rp.userinfo(tokens["access_token"]).json()["email"] == "alice@example.com"
    assert provider.hits_of("token")[-1].client_auth == "client_secret_basic"
    assert set(tokens.values()) & set(provider.issued) >= {tokens["id_token"], tokens["refresh_token"]}


@pytest.mark.parametrize("alg", ["PS256", "ES256", "EdDSA"])
def test_other_algorithms_sign_id_tokens(provider: FakeProvider, rp: RelyingParty, alg: str) -> None:
    provider.options.id_token_alg = alg
    token = rp.sign_in()["id_token"]
    assert jwt.get_unverified_header(token)["alg"] == alg
    assert decode(token, provider, "vestibule")["sub"] == "alice"


@pytest.mark.parametrize(
    "changes", [{"code_verifier": "w" * 43}, {"code_verifier": ""}, {"redirect_uri": REDIRECT_URI + "/"}]
)
def test_a_code_is_refused_with_the_wrong_proof(rp: RelyingParty, changes: dict[str, str]) -> None:
    response = rp.redeem(rp.callback()["code"], **changes)
    assert (response.status_code, response.json()["error"]) == (400, "invalid_grant")


def test_a_code_works_once_and_a_second_use_revokes_the_refresh_token(rp: RelyingParty) -> None:
    code = rp.callback()["code"]
    tokens = rp.redeem(code).json()
    assert rp.redeem(code).json()["error"] == "invalid_grant"
    assert rp.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"


@pytest.mark.parametrize("method", ["plain", ""])
def test_an_authorization_request_without_s256_is_refused(rp: RelyingParty, method: str) -> None:
    assert rp.callback(code_challenge_method=method)["error"] == "invalid_request"


def test_an_unregistered_redirect_uri_is_not_redirected_to(provider: FakeProvider, rp: RelyingParty) -> None:
    provider.client.redirect_uris = ["http://127.0.0.1:9/other"]
    response = rp.authorize()
    assert response.status_code == 400
    assert "location" not in response.headers


def test_a_repeated_parameter_is_refused(provider: FakeProvider, rp: RelyingParty) -> None:
    query = httpx.QueryParams(rp.authorization_params()).add("state", "second")
    assert httpx.get(f"{provider.base}/authorize?{query}").status_code == 400
    assert provider.hits[-1].query.getlist("state") == ["the-state", "second"]


def test_a_refresh_rotates_the_token_and_a_reused_one_revokes_all_tokens_of_the_sign_in(
    provider: FakeProvider, rp: RelyingParty
) -> None:
    first = rp.sign_in()["refresh_token"]
    second = rp.refresh(first).json()
    assert second["refresh_token"] != first
    assert "nonce" not in jwt.decode(second["id_token"], options={"verify_signature": False})
    assert not provider.reuse_detected
    assert rp.refresh(first).json()["error"] == "invalid_grant"
    assert [reuse.refresh_token for reuse in provider.reuse_detected] == [first]
    assert rp.refresh(second["refresh_token"]).json()["error"] == "invalid_grant"
    assert [grant.refresh_token for grant in provider.grants("refresh_token")] == [first]


def test_without_rotation_the_refresh_token_stays_the_same(provider: FakeProvider, rp: RelyingParty) -> None:
    provider.options.rotate_refresh_tokens = False
    token = rp.sign_in()["refresh_token"]
    assert "refresh_token" not in rp.refresh(token).json()
    assert rp.refresh(token).status_code == 200


def test_access_tokens_expire_by_the_clock() -> None:
    clock = FakeClock(time.time())
    with FakeProvider(auto_login="bob", access_token_lifetime=5, clock=clock) as provider:
        rp = RelyingParty(provider)
        tokens = rp.sign_in()
        assert tokens["expires_in"] == 5
        assert rp.userinfo(tokens["access_token"]).status_code == 200
        clock.advance(6)
        assert rp.userinfo(tokens["access_token"]).status_code == 401
        provider.options.access_token_lifetime = 60
        assert rp.refresh(tokens["refresh_token"]).json()["expires_in"] == 60
        rp.close()


def test_userinfo_accepts_the_token_only_in_the_header(provider: FakeProvider, rp: RelyingParty) -> None:
    token = rp.sign_in()["access_token"]
    response = rp.http.get(f"{provider.base}/userinfo", params={"access_token": token})
    assert (response.status_code, response.json()["error"]) == (400, "invalid_request")


def test_a_revocation_ends_all_tokens_of_a_sign_in_or_a_single_access_token(rp: RelyingParty) -> None:
    tokens = rp.sign_in()
    assert rp.post("revoke", token=tokens["access_token"]).status_code == 200
    assert rp.userinfo(tokens["access_token"]).status_code == 401
    assert rp.post("revoke", token=tokens["refresh_token"]).status_code == 200
    assert rp.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"
    assert rp.post("revoke", token="unknown").status_code == 200


def test_token_exchange_narrows_the_audience(provider: FakeProvider, rp: RelyingParty) -> None:
    provider.client.exchange_audiences = ["models-api"]
    form = {
        "grant_type": EXCHANGE,
        "subject_token": rp.sign_in()["access_token"],
        "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
    }
    exchanged = rp.post("token", **form, audience="models-api").json()
    assert decode(exchanged["access_token"], provider, "models-api")["sub"] == "alice"
    assert exchanged["issued_token_type"].endswith(":access_token")
    assert rp.post("token", **form, audience="other").json()["error"] == "invalid_target"
    provider.client.exchange_audiences = None


def test_client_credentials_have_the_client_as_subject(provider: FakeProvider, rp: RelyingParty) -> None:
    payload = rp.post("token", grant_type="client_credentials", scope="models:read", audience="models-api").json()
    assert decode(payload["access_token"], provider, "models-api")["sub"] == "vestibule"
    assert "refresh_token" not in payload
    assert provider.grants("client_credentials")[0].audience == ("models-api",)


def test_a_pushed_request_works_once(provider: FakeProvider, rp: RelyingParty) -> None:
    provider.options.require_par = True
    assert rp.authorize().status_code == 400
    pushed = rp.post("par", **rp.authorization_params())
    assert pushed.status_code == 201
    params = {"client_id": "vestibule", "request_uri": pushed.json()["request_uri"]}
    first = rp.http.get(f"{provider.base}/authorize", params=params)
    assert httpx.URL(first.headers["location"]).params["state"] == "the-state"
    assert rp.http.get(f"{provider.base}/authorize", params=params).status_code == 400


def test_only_the_configured_client_authentication_is_accepted(provider: FakeProvider, rp: RelyingParty) -> None:
    provider.client.auth_method = "client_secret_post"
    refused = rp.redeem(rp.callback()["code"])
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")
    form = {"grant_type": "client_credentials", "client_id": "vestibule"}
    url = f"{provider.base}/token"
    assert rp.http.post(url, data={**form, "client_secret": provider.client.client_secret}).status_code == 200
    assert rp.http.post(url, data={**form, "client_secret": "wrong"}).status_code == 401
    both = rp.post("token", **form, client_secret=provider.client.client_secret)
    assert both.json()["error"] == "invalid_request"
    assert provider.hits[-1].client_auth == "client_secret_basic+client_secret_post"


def test_basic_credentials_must_be_form_url_encoded(provider: FakeProvider, rp: RelyingParty) -> None:
    plain = base64.b64encode(f"vestibule:{provider.client.client_secret}".encode()).decode()
    response = rp.http.post(
        f"{provider.base}/token",
        data={"grant_type": "client_credentials"},
        headers={"Authorization": f"Basic {plain}"},
    )
    assert response.json()["error"] == "invalid_client"


def test_private_key_jwt_needs_issuer_audience_short_expiry_and_a_fresh_jti(provider: FakeProvider) -> None:
    key = generate_key("ES256")
    client = Client("signer", auth_method="private_key_jwt", public_keys=[key.public_jwk])
    provider.add_client(client)

    def attempt(**changes: object) -> int:
        now = int(time.time())
        claims = {"iss": "signer", "sub": "signer", "aud": provider.issuer, "exp": now + 30, "jti": "1", **changes}
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": provider.mint(claims, key=key),
        }
        return httpx.post(f"{provider.base}/token", data=form).status_code

    assert attempt(aud=f"{provider.base}/token") == 401
    assert attempt(aud=[provider.issuer]) == 401
    assert attempt(exp=int(time.time()) + 600) == 401
    assert attempt(jti=OMIT) == 401
    assert attempt() == 200
    assert attempt() == 401


def test_the_sign_in_page_has_a_button_for_each_person_and_a_cancel_button(
    provider: FakeProvider, rp: RelyingParty, browser: CookieClient
) -> None:
    provider.options.auto_login = ""
    page = browser.get(f"{provider.base}/authorize", params=rp.authorization_params())
    back = browser.submit(page, "#person-bob")
    tokens = rp.redeem(httpx.URL(back.headers["location"]).params["code"]).json()
    assert decode(tokens["id_token"], provider, "vestibule")["sub"] == "bob"
    cancelled = browser.submit(browser.get(page.url), "#cancel")
    assert httpx.URL(cancelled.headers["location"]).params["error"] == "access_denied"
    assert rp.callback(prompt="none")["error"] == "login_required"


def test_a_remembered_browser_signs_in_without_a_page_until_its_session_ends(
    provider: FakeProvider, rp: RelyingParty, browser: CookieClient
) -> None:
    provider.options.auto_login, provider.options.remember_browser = "", True
    url, params = f"{provider.base}/authorize", rp.authorization_params()
    browser.submit(browser.get(url, params=params), "#person-alice")
    silent = browser.get(url, params=rp.authorization_params(prompt="none"))
    assert "code=" in silent.headers["location"]
    provider.end_login(provider.logins("alice")[-1].sid)
    assert browser.get(url, params=params).status_code == 200


def test_form_post_answers_with_a_page_that_posts_itself(rp: RelyingParty) -> None:
    response = rp.authorize(response_mode="form_post")
    assert response.status_code == 200
    assert f'action="{REDIRECT_URI}"' in response.text
    assert 'name="code"' in response.text


def test_end_session_redirects_only_to_a_registered_uri(provider: FakeProvider, rp: RelyingParty) -> None:
    tokens = rp.sign_in()
    back = "http://127.0.0.1:9/logged-out"
    params = {"id_token_hint": tokens["id_token"], "post_logout_redirect_uri": back, "state": "s"}
    assert rp.http.get(f"{provider.base}/end-session", params=params).status_code == 400
    provider.client.post_logout_redirect_uris.append(back)
    response = rp.http.get(f"{provider.base}/end-session", params=params)
    assert response.headers["location"] == f"{back}?state=s"
    assert rp.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"
    forged = provider.mint({"iss": provider.issuer}, key=generate_key("ES256"))
    assert rp.http.get(f"{provider.base}/end-session", params={"id_token_hint": forged}).status_code == 400


def test_a_stopped_and_restarted_provider_keeps_its_state() -> None:
    provider = FakeProvider(auto_login="alice").start()
    rp = RelyingParty(provider)
    issuer, token = provider.issuer, rp.sign_in()["refresh_token"]
    provider.stop()
    with pytest.raises(httpx.TransportError):
        rp.refresh(token)
    provider.start()
    assert provider.issuer == issuer
    assert rp.refresh(token).status_code == 200
    rp.close()
    provider.stop()


def test_changes_can_be_limited_to_one_grant_type(provider: FakeProvider, rp: RelyingParty) -> None:
    provider.bend.token.raw(503, headers={"Retry-After": "1"}, when=is_grant("refresh_token"), times=1)
    tokens = rp.sign_in()
    refused = rp.refresh(tokens["refresh_token"])
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert rp.refresh(tokens["refresh_token"]).status_code == 200
    assert json.loads(httpx.get(f"{provider.base}/jwks").content)["keys"]
