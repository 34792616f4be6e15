"""An assertion fits into a header line for every person, and says what it leaves out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jwt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bff.contract import Identity
from bff.errors import InvalidToken, LoginRequired
from bff.sessions.assertion import Assertions
from tests.bff.factories import ALICE, KEY, NOW, keyring, session, tokens
from tests.fakes import FakeClock

URL = "https://apps.example.com"
GROUPS = tuple(f"00000000-0000-4000-8000-{number:012d}" for number in range(200))


@pytest.fixture(scope="module")
def assertions() -> Assertions:
    return Assertions(keyring(KEY), issuer=URL, clock=FakeClock(NOW))


def claims_of(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


def test_groups_that_fit_are_all_sent_and_no_omission_is_marked(assertions: Assertions) -> None:
    made = assertions.for_upstream(session(identity=replace(ALICE, groups=GROUPS[:40])), audience="a")
    claims = claims_of(made.token)
    assert (claims["groups"], made.omitted) == (list(GROUPS[:40]), ())
    assert not {"omitted", "identity"} & claims.keys()


def test_groups_that_do_not_fit_are_left_out_completely(assertions: Assertions) -> None:
    made = assertions.for_upstream(session(identity=replace(ALICE, groups=GROUPS)), audience="a")
    claims = claims_of(made.token)
    assert (claims["omitted"], made.omitted) == (["groups"], ("groups",))
    assert "groups" not in claims
    assert claims["roles"] == list(ALICE.roles)


people = st.builds(
    Identity,
    sub=st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=255),
    iss=st.just("https://idp.example.com"),
    provider=st.just("p" * 63),
    name=st.text(max_size=20).map(lambda text: text * 50),
    email=st.text(max_size=20).map(lambda text: text * 50),
    email_verified=st.booleans(),
    preferred_username=st.text(max_size=20).map(lambda text: text * 50),
    roles=st.lists(st.text(max_size=40), max_size=9).map(lambda few: tuple(few * 20)),
    groups=st.lists(st.text(max_size=40), max_size=9).map(lambda few: tuple(few * 20)),
    acr=st.text(max_size=20).map(lambda text: text * 50),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(person=people, scope=st.integers(0, 5_000), routes=st.integers(0, 60), most=st.integers(2_560, 4_096))
def test_no_identity_makes_a_header_line_longer_than_the_limit(
    assertions: Assertions, person: Identity, scope: int, routes: int, most: int
) -> None:
    who = session(identity=person, tokens=tokens(scope="s" * scope))
    bearer = assertions.for_upstream(who, audience="models-api", route="r" * 63, line_bytes=most)
    assert len(f"authorization: Bearer {bearer.token}\r\n") <= most
    name = "X-" + "A" * 62
    named = assertions.for_upstream(who, audience="models-api", route="r" * 63, line_bytes=most, header=name)
    assert len(f"{name}: {named.token}\r\n") <= most
    paths = {f"route-{number}": f"/route-{number}/" for number in range(routes)}
    page = assertions.for_handshake(who, client="c" * 63, routes=paths, line_bytes=most)
    assert len(f"x-vestibule-assertion: {page.token}\r\n") <= most
    for made in (bearer, named, page):
        claims = claims_of(made.token)
        assert claims.get("omitted", []) == list(made.omitted)
        assert not set(made.omitted) & claims.keys()
        assert "groups" in made.omitted or claims["groups"] == list(person.groups)


class TestAnAssertionThatComesBack:
    def test_an_assertion_with_an_omission_names_its_session_and_route(self, assertions: Assertions) -> None:
        who = session(identity=replace(ALICE, groups=GROUPS))
        presented = assertions.read(assertions.for_upstream(who, audience="a", route="api").token)
        assert (presented.record_name, presented.route) == (who.name, "api")
        assert who.name not in str(presented.claims)

    def test_an_assertion_without_an_omission_needs_no_session(self, assertions: Assertions) -> None:
        presented = assertions.read(assertions.for_upstream(session(), audience="a").token)
        assert (presented.record_name, presented.claims["sub"]) == ("", ALICE.sub)

    def test_a_handshake_assertion_is_not_accepted_as_a_reference(self, assertions: Assertions) -> None:
        page = assertions.for_handshake(session(), client="dash", routes={})
        with pytest.raises(InvalidToken, match="bearer_typ"):
            assertions.read(page.token)

    def test_an_expired_assertion_is_not_accepted_as_a_reference(self, assertions: Assertions) -> None:
        old = Assertions(keyring(KEY), issuer=URL, clock=FakeClock(NOW - 71)).for_upstream(session(), audience="a")
        with pytest.raises(InvalidToken, match="bearer_exp"):
            assertions.read(old.token)

    def test_an_assertion_of_another_front_door_is_not_accepted_as_a_reference(self, assertions: Assertions) -> None:
        other = Assertions(keyring(KEY), issuer="https://other.example.com", clock=FakeClock(NOW))
        with pytest.raises(InvalidToken, match="bearer_iss"):
            assertions.read(other.for_upstream(session(), audience="a").token)

    def test_a_reference_for_another_audience_gives_nothing(self, assertions: Assertions) -> None:
        who = session(identity=replace(ALICE, groups=GROUPS))
        claims = claims_of(assertions.for_upstream(who, audience="a").token) | {"aud": "b"}
        key = keyring(KEY).assertion_keys()[0]
        moved = jwt.encode(claims, key.private_key, algorithm="ES256", headers={"kid": key.kid, "typ": "at+jwt"})
        with pytest.raises(LoginRequired, match="assertion_identity"):
            assertions.read(moved)
