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


def test_a_record_name_is_the_hash_of_the_id_and_does_not_hold_it() -> None:
    assert record_name("x" * 43) == hashlib.sha256(b"x" * 43).hexdigest()


def test_what_was_signed_for_one_purpose_is_nothing_for_another() -> None:
    signed = NEW.sign("value", purpose="session")
    assert NEW.unsign(signed, purpose="session") == "value"
    assert NEW.unsign(signed, purpose="transaction") is None


def test_every_changed_character_of_a_signed_value_breaks_it() -> None:
    signed = NEW.sign("value", purpose="session")
    for position in range(len(signed) - 1):  # the last character has two unused bits
        changed = signed[:position] + ("A" if signed[position] != "A" else "B") + signed[position + 1 :]
        assert NEW.unsign(changed, purpose="session") is None


@pytest.mark.parametrize("text", ["", ".", "value", "value.", ".x", "väl.ue", "a.b.c", "v" * 10_000])
def test_unsigned_text_is_not_accepted(text: str) -> None:
    assert NEW.unsign(text, purpose="session") is None


def test_signatures_use_sha256_so_cookies_have_their_documented_length() -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}\.[A-Za-z0-9_-]{43}", NEW.sign("i" * 43, purpose="session"))


def test_a_new_key_in_front_signs_and_the_old_one_still_opens() -> None:
    before = OLD.sign("value", purpose="session")
    assert ROTATED.unsign(before, purpose="session") == "value"
    after = ROTATED.sign("value", purpose="session")
    assert NEW.unsign(after, purpose="session") == "value"
    assert OLD.unsign(after, purpose="session") is None


@given(st.binary(max_size=300), st.text(max_size=20), st.integers(0, 2**40))
def test_sealing_is_reversible_in_its_own_place(plain: bytes, name: str, revision: int) -> None:
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
def test_a_sealed_value_opens_nowhere_else(place: dict[str, object]) -> None:
    sealed = NEW.seal(b"secret", purpose="record", name="a", revision=1)
    with pytest.raises(SealBroken):
        NEW.unseal(sealed, **place)  # type: ignore[arg-type]  # a table of keyword arguments


def test_purpose_and_name_do_not_run_into_each_other() -> None:
    sealed = NEW.seal(b"secret", purpose="a", name="b|c")
    with pytest.raises(SealBroken):
        NEW.unseal(sealed, purpose="a|b", name="c")


def test_every_changed_byte_of_a_sealed_value_breaks_it() -> None:
    sealed = NEW.seal(b"secret", purpose="record", name="a")
    for position in range(len(sealed)):
        changed = sealed[:position] + bytes([sealed[position] ^ 1]) + sealed[position + 1 :]
        with pytest.raises(SealBroken):
            NEW.unseal(changed, purpose="record", name="a")


def test_every_shortened_sealed_value_is_broken_and_never_another_error() -> None:
    sealed = NEW.seal(b"secret", purpose="record", name="a")
    for length in range(len(sealed)):
        with pytest.raises(SealBroken):
            NEW.unseal(sealed[:length], purpose="record", name="a")


@given(st.binary(max_size=80))
def test_garbage_is_broken_and_never_another_error(garbage: bytes) -> None:
    with pytest.raises(SealBroken):
        NEW.unseal(garbage, purpose="record", name="a")


def test_sealing_twice_never_gives_the_same_bytes_and_hides_the_content() -> None:
    first, second = (NEW.seal(b"access-token", purpose="record", name="a") for _ in range(2))
    assert first != second
    assert b"access-token" not in first


def test_records_sealed_under_the_old_key_open_after_a_rotation_and_new_ones_use_the_new_key() -> None:
    assert ROTATED.unseal(OLD.seal(b"x", purpose="p", name="n"), purpose="p", name="n") == b"x"
    with pytest.raises(SealBroken):
        OLD.unseal(ROTATED.seal(b"x", purpose="p", name="n"), purpose="p", name="n")


def test_owner_names_are_written_under_the_first_key_and_read_under_all() -> None:
    names = ROTATED.owner_names("sub", "iss", "alice")
    assert names == NEW.owner_names("sub", "iss", "alice") + OLD.owner_names("sub", "iss", "alice")


def test_owner_names_differ_for_every_kind_and_every_split_of_the_parts() -> None:
    kinds = [("sub", "a", "b"), ("sid", "a", "b"), ("sub", "ab", ""), ("sub", "", "ab"), ("sub", "a\x001:b")]
    assert len({NEW.owner_names(*parts) for parts in kinds}) == len(kinds)


def test_a_persons_key_stays_when_a_new_key_is_put_in_front() -> None:
    assert ROTATED.subject_key("iss", "alice") == OLD.subject_key("iss", "alice")
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", ROTATED.subject_key("iss", "alice"))


def test_persons_of_different_issuers_have_different_keys() -> None:
    assert NEW.subject_key("iss", "alice") != NEW.subject_key("issa", "lice")


def test_assertion_keys_are_stable_across_restarts_and_follow_the_order_of_the_list() -> None:
    kids = [key.kid for key in ROTATED.assertion_keys()]
    assert kids == [Keyring([KEY]).assertion_keys()[0].kid, Keyring([OLD_KEY]).assertion_keys()[0].kid]


def test_the_kid_is_the_thumbprint_of_the_published_key() -> None:
    """RFC 7638: the required members in lexical order, hashed."""
    published = Assertions(NEW, issuer="https://apps.example.com", clock=lambda: 0).jwks()["keys"][0]
    required = {name: published[name] for name in ("crv", "kty", "x", "y")}
    digest = hashlib.sha256(json.dumps(required, separators=(",", ":"), sort_keys=True).encode()).digest()
    assert published["kid"] == jwt.utils.base64url_encode(digest).decode()
