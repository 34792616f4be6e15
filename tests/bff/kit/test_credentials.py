"""The credential and the session handles of the kit: each is useless alone and bound to one client."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from bff.errors import AuthError, BadRequest, LoginRequired
from bff.kit.credentials import KitCall, KitCredentials
from bff.oidc.base64url import base64url
from bff.settings.tables import KitClientSettings
from tests.bff.factories import KEY, OLD_KEY, keyring

CLIENTS = {
    "dash": KitClientSettings(secret=SecretStr("dash-unit-test-secret")),
    "other": KitClientSettings(secret=SecretStr("other-unit-test-secret")),
    "bare": KitClientSettings(),
}
KIT = KitCredentials(CLIENTS, keyring())
RECORD = "ab" * 32


def code_of(credential: str, handle: str = "") -> str:
    with pytest.raises(AuthError) as refused:
        KIT.open_call(credential, handle)
    return refused.value.code


def test_a_client_is_known_by_its_secret() -> None:
    assert KIT.authenticate("dash:dash-unit-test-secret") == "dash"


@pytest.mark.parametrize(
    "credential",
    [
        "",
        ":",
        "dash",
        "dash:",
        "dash:wrong",
        "dash:other-unit-test-secret",
        "Dash:dash-unit-test-secret",
        "dash:dash-unit-test-secret ",
        "nobody:" + "\x00" * 16,
        "bare:",
        "bare:" + "\x00" * 16,
        ":dash-unit-test-secret",
        "dash:dash-unit-test-secr\u00e9t",
    ],
)
def test_any_other_credential_is_refused_the_same_way(credential: str) -> None:
    with pytest.raises(LoginRequired) as refused:
        KIT.authenticate(credential)
    assert refused.value.code == "kit_credential"


def test_a_handle_gives_the_session_of_its_client() -> None:
    handle = KIT.handle_for(RECORD, client="dash")
    assert RECORD not in handle
    assert KIT.open_call("dash:dash-unit-test-secret", handle) == KitCall("dash", RECORD)


def test_without_a_handle_the_page_has_no_signed_in_person() -> None:
    assert KIT.open_call("dash:dash-unit-test-secret", "") == KitCall("dash", "")


def test_a_handle_of_one_client_does_not_work_for_another() -> None:
    assert code_of("other:other-unit-test-secret", KIT.handle_for(RECORD, client="dash")) == "kit_handle"


def test_a_handle_does_not_work_without_the_right_secret() -> None:
    assert code_of("dash:wrong", KIT.handle_for(RECORD, client="dash")) == "kit_credential"


def test_a_handle_works_after_a_key_rotation_until_its_own_key_is_removed() -> None:
    old = KitCredentials(CLIENTS, keyring(OLD_KEY)).handle_for(RECORD, client="dash")
    rotated = KitCredentials(CLIENTS, keyring(KEY, OLD_KEY))
    assert rotated.open_call("dash:dash-unit-test-secret", old).record_name == RECORD
    assert code_of("dash:dash-unit-test-secret", old) == "kit_handle"


def test_a_handle_with_any_changed_character_does_not_work() -> None:
    handle = KIT.handle_for(RECORD, client="dash")
    for position in range(0, len(handle) - 1, 7):
        changed = handle[:position] + ("A" if handle[position] != "A" else "B") + handle[position + 1 :]
        assert code_of("dash:dash-unit-test-secret", changed) == "kit_handle"


@pytest.mark.parametrize("handle", ["a" * 1025, "ü", "\u2028"])
def test_a_malformed_handle_is_a_bad_request(handle: str) -> None:
    with pytest.raises(BadRequest) as refused:
        KIT.open_call("dash:dash-unit-test-secret", handle)
    assert refused.value.code == "kit_handle_malformed"


def test_a_value_that_this_server_sealed_for_another_purpose_is_not_a_handle() -> None:
    for plain in (b'["x","other"]', b"[1,2]", b'["a"]', b"5", b"null", b"{}", b'[null,"dash"]', b"no json"):
        sealed = base64url(keyring().seal(plain, purpose="kit-handle", name="dash"))
        assert code_of("dash:dash-unit-test-secret", sealed) == "kit_handle", plain


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=60))
def test_any_text_as_a_credential_gives_at_most_a_refusal(handle: str) -> None:
    assert code_of("dash:dash-unit-test-secret", handle) == "kit_handle"
