"""IT: the claims of an ID token, each with what it may not say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.fakes import OMIT, FakeClock, FakeProvider
from tests.front_door import provider_table
from tests.security.house import House
from tests.security.id_token_faults import Change, Claims, assert_login_rejected, with_claims
from tests.security.rejection import assert_rejected


def bend_claims(house: House, change: Change) -> None:
    house.provider.bend.id_token.claims(change)


ISSUER_FAULTS: dict[str, Callable[[str], Any]] = {
    "slash": lambda issuer: issuer + "/",
    "case": lambda issuer: issuer.upper(),
    "port": lambda issuer: issuer + "0",
    "prefix": lambda issuer: issuer[:-1],
    "suffix": lambda issuer: issuer + ".evil.example",
    "list": lambda issuer: [issuer],
    "list of two": lambda issuer: [issuer, "https://evil.example"],
    "object": lambda issuer: {issuer: 1},
    "missing": lambda _: OMIT,
    "null": lambda _: None,
    "empty": lambda _: "",
    "other": lambda _: "https://evil.example",
    "space": lambda issuer: " " + issuer,
}


@pytest.mark.parametrize("fault", ISSUER_FAULTS)
def test_it_5_iss_is_the_configured_issuer_byte_for_byte(house: House, fault: str) -> None:
    bend_claims(house, with_claims(iss=ISSUER_FAULTS[fault](house.provider.issuer)))
    assert_login_rejected(house, reason="id_token_iss")


AUDIENCE_FAULTS: dict[str, Claims] = {
    "other with our azp": {"aud": "other", "azp": "vestibule"},
    "two others with our azp": {"aud": ["a", "b"], "azp": "vestibule"},
    "ours and an unlisted one": {"aud": ["vestibule", "evil"]},
    "ours twice": {"aud": ["vestibule", "vestibule"]},
    "missing": {"aud": OMIT},
    "missing with our azp": {"aud": OMIT, "azp": "vestibule"},
    "null": {"aud": None},
    "empty list": {"aud": []},
    "nested list": {"aud": [["vestibule"]]},
    "object": {"aud": {"vestibule": 1}},
    "longer": {"aud": "vestibule2"},
    "shorter": {"aud": "vestibul"},
    "space-separated": {"aud": "vestibule evil"},
    "case": {"aud": "Vestibule"},
    "foreign azp": {"azp": "evil"},
    "azp list": {"azp": ["vestibule"]},
    "azp null": {"azp": None},
}


@pytest.mark.parametrize("fault", AUDIENCE_FAULTS)
def test_it_6_aud_is_this_client_alone(house: House, fault: str) -> None:
    bend_claims(house, with_claims(**AUDIENCE_FAULTS[fault]))
    assert_login_rejected(house)


@pytest.mark.parametrize("claims", [{"aud": ["vestibule"]}, {"azp": "vestibule"}], ids=str)
def test_it_6_a_list_of_this_client_and_its_azp_are_accepted(house: House, claims: Claims) -> None:
    bend_claims(house, with_claims(**claims))
    house.sign_in()


NO_NUMBERS: dict[str, Any] = {
    "missing": OMIT,
    "null": None,
    "string": "9999999999",
    "bool": True,
    "1e300": 1e300,
    "NaN": float("nan"),
    "infinity": float("inf"),
    "negative": -1,
    "list": [],
    "object": {},
    "2**63": 2**63,
}


@pytest.mark.parametrize("claim", ["exp", "iat"])
@pytest.mark.parametrize("fault", NO_NUMBERS)
def test_it_7_times_are_finite_numbers(house: House, claim: str, fault: str) -> None:
    bend_claims(house, with_claims(**{claim: NO_NUMBERS[fault]}))
    assert_login_rejected(house)


@pytest.mark.parametrize(
    ("claim", "seconds", "accepted"),
    [
        ("exp", -61, False),
        ("exp", -55, True),
        ("iat", 65, False),
        ("iat", 55, True),
        ("iat", -65, False),
        ("iat", -55, True),
        ("iat", -31_536_000, False),
        ("nbf", 65, False),
        ("nbf", 55, True),
    ],
)
def test_it_7_a_minute_of_leeway_and_no_more(
    timed_house: Callable[..., House], clock: FakeClock, claim: str, seconds: float, accepted: bool
) -> None:
    house = timed_house()
    bend_claims(house, with_claims(**{claim: clock() + seconds}))
    if accepted:
        house.sign_in()
    else:
        assert_login_rejected(house, reason=f"id_token_{claim}")


@pytest.mark.parametrize("nonce", [OMIT, "", None, 5, [], {}, "x" * 43, ["{own}"], "{own} ", "{other}"], ids=str)
def test_it_8_nonce_is_this_sign_ins_own(house: House, nonce: Any) -> None:
    other = house.start_login(house.browser()).headers["location"].partition("nonce=")[2].partition("&")[0]

    def change(claims: Claims) -> Claims:
        words = {"{own}": claims["nonce"], "{own} ": claims["nonce"] + " ", "{other}": other}
        value = (
            [words[nonce[0]]] if nonce == ["{own}"] else words.get(nonce, nonce) if isinstance(nonce, str) else nonce
        )
        return {**claims, "nonce": value}

    bend_claims(house, change)
    assert_login_rejected(house, reason="id_token_nonce")


SUBJECTS = ["", 5, None, True, [], "a\r\nb", "a\x00", "a\x7f", "\u00e4", "\u0430", "x" * 256, "x" * 10_240, OMIT]


@pytest.mark.parametrize("sub", SUBJECTS, ids=lambda sub: repr(sub)[:20])
def test_it_9_sub_is_short_printable_ascii(house: House, sub: Any) -> None:
    bend_claims(house, with_claims(sub=sub))
    assert_login_rejected(house, reason="id_token_sub")


@pytest.mark.parametrize("sid", ["", 5, None, ["a"], "a\r\nb", "x" * 256])
def test_it_9_a_sid_that_is_none_is_refused(house: House, sid: Any) -> None:
    bend_claims(house, with_claims(sid=sid))
    assert_login_rejected(house, reason="id_token_sid")


def test_it_9_the_same_sub_of_another_provider_is_another_person(
    build_house: Callable[..., House], provider: FakeProvider
) -> None:
    with FakeProvider(auto_login="alice") as partner:
        tables = {name: provider_table(fake, par="off") for name, fake in (("corp", provider), ("partner", partner))}
        house = build_house(providers=tables)
        seen = {}
        for name in tables:
            browser = house.sign_in(path=f"/auth/login?provider={name}")
            browser.fetch(f"{house.url}/api/me")
            assert house.who(browser) == "alice"
            seen[name] = [house.upstream.last.header(f"x-auth-request-{field}") for field in ("id", "user")]
        assert seen["corp"][0] != seen["partner"][0]
        assert [user for _, user in seen.values()] == ["corp:alice", "partner:alice"]


EMAILS: dict[str, Claims] = {
    "two at signs": {"email": "a@evil.example@corp.example"},
    "list in one": {"email": "a@corp.example,e@evil.example"},
    "list in one, ours last": {"email": "e@evil.example,a@corp.example"},
    "angle brackets": {"email": "<a@evil.example>a@corp.example"},
    "unverified": {"email": "a@corp.example", "email_verified": False},
    "verified in words": {"email": "a@corp.example", "email_verified": "yes"},
    "verified not said": {"email": "a@corp.example", "email_verified": OMIT},
    "homoglyph": {"email": "a@c\u043erp.example"},
    "sub-domain": {"email": "a@evil.corp.example"},
    "longer": {"email": "a@corp.example.evil.example"},
    "shorter": {"email": "a@orp.example"},
    "glued": {"email": "a@evilcorp.example"},
    "space": {"email": "a@evil.example a@corp.example"},
    "trailing dot": {"email": "a@corp.example."},
    "line break": {"email": "a@evil.example\n@corp.example"},
    "list": {"email": ["a@corp.example"]},
    "missing": {"email": OMIT},
    "username": {"email": OMIT, "preferred_username": "a@corp.example"},
}


@pytest.mark.parametrize("case", EMAILS)
def test_it_9_a_doubtful_address_grants_no_domain_rule(house: House, case: str) -> None:
    claims = EMAILS[case]
    bend_claims(house, with_claims(**claims))
    kept = {name: value for name, value in claims.items() if value is not OMIT}
    house.provider.bend.userinfo.json(
        lambda info: {**{key: value for key, value in info.items() if key not in claims}, **kept}
    )
    browser = house.sign_in()
    assert browser.get(f"{house.url}/domain/x").status_code == 403
    assert house.upstream.requests_to("/domain/x") == []


def test_it_9_a_verified_address_of_the_domain_is_let_in(house: House) -> None:
    house.provider.bend.userinfo.json(lambda info: {**info, "email": "Ada@CORP.example"})
    browser = house.sign_in()
    assert browser.get(f"{house.url}/domain/x").status_code == 200


@pytest.mark.parametrize("value", ["", "AAAA", 5, None, []])
def test_it_11_at_hash_must_be_of_this_access_token(house: House, value: Any) -> None:
    bend_claims(house, with_claims(at_hash=value))
    assert_login_rejected(house, reason="id_token_at_hash")


@pytest.mark.parametrize("value", ["", "AAAA", 5, None, []])
def test_it_11_c_hash_must_be_of_this_code(house: House, value: Any) -> None:
    bend_claims(house, with_claims(c_hash=value))
    assert_login_rejected(house, reason="id_token_c_hash")


@pytest.mark.parametrize("auth_time", [OMIT, "now", 0, -1, True])
def test_it_11_auth_time_is_enforced_when_max_age_was_asked(house: House, auth_time: Any) -> None:
    bend_claims(house, with_claims(auth_time=auth_time))
    browser = house.browser()
    url = house.callback_url(browser, max_age="60")
    assert_rejected(house, lambda: browser.get(url), reason="id_token_auth_time", token_hits=1)


def test_it_11_a_lower_acr_than_asked_is_refused(build_house: Callable[..., House]) -> None:
    house = build_house()
    routes = [
        {"id": "vault", "path": "/", "upstream": house.upstream.url, "kind": "page", "require": {"acr_any": ["2"]}}
    ]
    strict = build_house(routes=routes)
    browser = strict.browser()
    url = strict.callback_url(browser, return_to="/vault")
    assert_rejected(strict, lambda: browser.get(url), reason="id_token_acr", token_hits=1)
