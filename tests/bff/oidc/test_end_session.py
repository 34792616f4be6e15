"""The request that tells a provider of a sign-out: how it goes, and what is in it."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit

import pytest

from bff.contract import Identity
from bff.oidc.end_session import MOST_URL_BYTES, ByForm, ByRedirect, EndSession, build_end_session, logout_hint

ALICE = Identity(sub="s-1", iss="https://idp.example.com", preferred_username="alice", email="alice@example.com")
REQUEST = EndSession(
    endpoint="https://idp.example.com:8443/logout?p=policy",
    id_token_hint="id-1",
    client_id="vestibule",
    post_logout_redirect_uri="https://apps.example.com/auth/logged-out",
    state="s-1",
)
LONG = replace(REQUEST, id_token_hint="x" * 11_000)
SENT = [
    ("client_id", "vestibule"),
    ("post_logout_redirect_uri", "https://apps.example.com/auth/logged-out"),
    ("state", "s-1"),
]


def pairs(built: ByRedirect | ByForm) -> list[tuple[str, str]]:
    assert isinstance(built, ByRedirect)
    return parse_qsl(urlsplit(built.url).query)


@pytest.mark.parametrize("method", ["auto", "get"])
def test_a_short_logout_request_is_a_redirect_with_the_id_token(method: str) -> None:
    built = build_end_session(REQUEST, method="get" if method == "get" else "auto", identity=ALICE)
    assert pairs(built) == [("p", "policy"), ("id_token_hint", "id-1"), *SENT]


def test_a_long_logout_request_is_a_form_with_the_same_parameters() -> None:
    built = build_end_session(LONG, method="auto", identity=ALICE)
    assert isinstance(built, ByForm)
    assert (built.endpoint, built.origin) == (LONG.endpoint, "https://idp.example.com:8443")
    assert dict(built.parameters) == {"id_token_hint": "x" * 11_000, **dict(SENT)}


def test_a_provider_that_accepts_only_get_gets_a_logout_hint_instead_of_a_long_id_token() -> None:
    built = build_end_session(LONG, method="get", identity=ALICE)
    assert pairs(built) == [("p", "policy"), ("logout_hint", "alice"), *SENT]


@pytest.mark.parametrize(("surplus", "kind"), [(0, ByRedirect), (1, ByForm)], ids=["at the bound", "over it"])
def test_the_length_limit_for_a_logout_redirect_is_exact(surplus: int, kind: type) -> None:
    room = MOST_URL_BYTES - len(replace(REQUEST, id_token_hint="").url) - len("id_token_hint=&")
    request = replace(REQUEST, id_token_hint="x" * (room + surplus))
    assert len(request.url) == MOST_URL_BYTES + surplus
    assert isinstance(build_end_session(request, method="auto", identity=ALICE), kind)


@pytest.mark.parametrize(
    ("identity", "hint"),
    [
        (replace(ALICE, claims={"login_hint": "O.CiQ"}), "O.CiQ"),
        (replace(ALICE, claims={"login_hint": 7}), "alice"),
        (replace(ALICE, preferred_username=""), "alice@example.com"),
        (replace(ALICE, preferred_username="a" * 256, email=""), "s-1"),
    ],
    ids=["the provider's own hint", "a hint of another type", "no username", "a name that is too long"],
)
def test_the_logout_hint_is_the_name_of_the_person_at_the_provider(identity: Identity, hint: str) -> None:
    assert logout_hint(identity) == hint


@pytest.mark.parametrize("request_", [REQUEST, LONG], ids=["short", "long"])
def test_cognito_gets_its_own_two_parameters_and_nothing_else(request_: EndSession) -> None:
    built = build_end_session(request_, method="cognito", identity=ALICE)
    assert pairs(built) == [
        ("p", "policy"),
        ("client_id", "vestibule"),
        ("logout_uri", "https://apps.example.com/auth/logged-out"),
    ]


def test_absent_parameters_are_left_out_of_the_logout_request() -> None:
    few = EndSession(endpoint="https://idp.example.com/logout", client_id="c", post_logout_redirect_uri="", state="s")
    assert few.url == "https://idp.example.com/logout?client_id=c&state=s"
