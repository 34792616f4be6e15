"""Keys: purposes kept apart, rotation without signing anybody out, sealed values bound to their place."""

from __future__ import annotations

import hashlib
import json
import re

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.sessions.assertion import Assertions
from bff.sessions.keyring import Keyring, SealBroken, record_name
from tests.bff.factories import KEY, OLD_KEY

NEW, OLD = Keyring([KEY]), Keyring([OLD_KEY])
ROTATED = Keyring([KEY, OLD_KEY])


def test_a_keyring_without_keys_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one key"):
        Keyring([])


def test_a_record_name_is_a_hash_of_the_session_id_and_does_not_contain_it() -> None:
    assert record_name("x" * 43) == hashlib.sha256(b"x" * 43).hexdigest()


def test_a_value_signed_for_one_purpose_is_refused_for_another() -> None:
    signed = NEW.sign("value", purpose="session")
    assert NEW.unsign(signed, purpose="session") == "value"
    assert NEW.unsign(signed, purpose="transaction") is None


def test_a_signed_value_with_any_changed_character_is_refused() -> None:
    signed = NEW.sign("value", purpose="session")
    for position in range(len(signed) - 1):  # the last character has two unused bits
        changed = signed[:position] + ("A" if signed[position] != "A" else "B") + signed[position + 1 :]
        assert NEW.unsign(changed, purpose="session") is None


@pytest.mark.parametrize("text", ["", ".", "value", "value.", ".x", "väl.ue", "a.b.c", "v" * 10_000])
def test_unsigned_text_is_not_accepted(text: str) -> None:
    assert NEW.unsign(text, purpose="session") is None


def test_signatures_use_sha256_and_cookies_have_the_documented_length() -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}\.[A-Za-z0-9_-]{43}", NEW.sign("i" * 43, purpose="session"))


def test_a_new_first_key_signs_and_the_old_key_still_verifies() -> None:
    before = OLD.sign("value", purpose="session")
    assert ROTATED.unsign(before, purpose="session") == "value"
    after = ROTATED.sign("value", purpose="session")
    assert NEW.unsign(after, purpose="session") == "value"
    assert OLD.unsign(after, purpose="session") is None


@given(st.binary(max_size=300), st.text(max_size=20), st.integers(0, 2**40))
def test_a_sealed_value_can_be_opened_in_its_own_place(plain: bytes, name: str, revision: int) -> None:
    sealed = NEW.seal(plain, purpose="record", name=name, revision=revision)
    assert NEW.unseal(sealed, purpose="record", name=name, revision=revision) == plain


@pytest.mark.parametrize(
    "place",
    [
        {"purpose": "other", "name": "a", "revision": 1},
        {"purpose": "record", "name": "b", "revision": 1},
        {"purpose": "record", "name": "a", "revision": 0},
        {"purpose": "record", "name": "a", "revision": 2},
    ],
)
def test_a_sealed_value_cannot_be_opened_for_another_purpose_or_name(place: dict[str, object]) -> None:
    sealed = NEW.seal(b"secret", purpose="record", name="a", revision=1)
    with pytest.raises(SealBroken):
        NEW.unseal(sealed, **place)  # type: ignore[arg-type]  # a table of keyword arguments


def test_purpose_and_name_are_separated_unambiguously() -> None:
    sealed = NEW.seal(b"secret", purpose="a", name="b|c")
    with pytest.raises(SealBroken):
        NEW.unseal(sealed, purpose="a|b", name="c")


def test_a_sealed_value_with_any_changed_byte_is_refused() -> None:
    sealed = NEW.seal(b"secret", purpose="record", name="a")
    for position in range(len(sealed)):
        changed = sealed[:position] + bytes([sealed[position] ^ 1]) + sealed[position + 1 :]
        with pytest.raises(SealBroken):
            NEW.unseal(changed, purpose="record", name="a")


def test_a_shortened_sealed_value_always_gives_the_same_error() -> None:
    sealed = NEW.seal(b"secret", purpose="record", name="a")
    for length in range(len(sealed)):
        with pytest.raises(SealBroken):
            NEW.unseal(sealed[:length], purpose="record", name="a")


@given(st.binary(max_size=80))
def test_random_bytes_instead_of_a_sealed_value_always_give_the_same_error(garbage: bytes) -> None:
    with pytest.raises(SealBroken):
        NEW.unseal(garbage, purpose="record", name="a")


def test_sealing_twice_gives_different_bytes_and_hides_the_content() -> None:
    first, second = (NEW.seal(b"access-token", purpose="record", name="a") for _ in range(2))
    assert first != second
    assert b"access-token" not in first


def test_after_a_rotation_old_records_can_be_opened_and_new_ones_use_the_new_key() -> None:
    assert ROTATED.unseal(OLD.seal(b"x", purpose="p", name="n"), purpose="p", name="n") == b"x"
    with pytest.raises(SealBroken):
        OLD.unseal(ROTATED.seal(b"x", purpose="p", name="n"), purpose="p", name="n")


def test_owner_names_are_written_with_the_first_key_and_read_with_all_keys() -> None:
    names = ROTATED.owner_names("sub", "iss", "alice")
    assert names == NEW.owner_names("sub", "iss", "alice") + OLD.owner_names("sub", "iss", "alice")


def test_owner_names_differ_for_every_kind_and_every_split_of_the_parts() -> None:
    kinds = [("sub", "a", "b"), ("sid", "a", "b"), ("sub", "ab", ""), ("sub", "", "ab"), ("sub", "a\x001:b")]
    assert len({NEW.owner_names(*parts) for parts in kinds}) == len(kinds)


def test_the_key_of_a_person_stays_the_same_after_a_new_first_key() -> None:
    assert ROTATED.subject_key("iss", "alice") == OLD.subject_key("iss", "alice")
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", ROTATED.subject_key("iss", "alice"))


def test_people_of_different_issuers_have_different_keys() -> None:
    assert NEW.subject_key("iss", "alice") != NEW.subject_key("issa", "lice")


def test_assertion_keys_are_stable_across_restarts_and_follow_the_order_of_the_list() -> None:
    kids = [key.kid for key in ROTATED.assertion_keys()]
    assert kids == [Keyring([KEY]).assertion_keys()[0].kid, Keyring([OLD_KEY]).assertion_keys()[0].kid]


def test_the_kid_of_an_assertion_key_is_the_thumbprint_of_the_published_key() -> None:
    """RFC 7638: the required members in lexical order, hashed."""
    published = Assertions(NEW, issuer="https://apps.example.com", clock=lambda: 0).jwks()["keys"][0]
    required = {name: published[name] for name in ("crv", "kty", "x", "y")}
    digest = hashlib.sha256(json.dumps(required, separators=(",", ":"), sort_keys=True).encode()).digest()
    assert published["kid"] == jwt.utils.base64url_encode(digest).decode()
