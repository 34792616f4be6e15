from __future__ import annotations

import threading
from typing import Any

import pytest

from streamlit_kit import ApiUnavailable
from streamlit_kit.keys import KeySet, parse_key_set
from tests.fakes import generate_key
from tests.fakes.keys import decoy_jwks
from tests.streamlit_kit.front_door import jwks

FIRST, SECOND, THIRD = (generate_key("ES256", kid=kid) for kid in ("first", "second", "third"))


class Publisher:
    """Holds the document that is published now; None is an outage."""

    def __init__(self, document: dict[str, Any] | None) -> None:
        self.document = document
        self.fetches = 0
        self.now = 1000.0

    def fetch(self) -> dict[str, Any]:
        self.fetches += 1
        if self.document is None:
            raise ApiUnavailable
        return self.document

    def key_set(self) -> KeySet:
        return KeySet(self.fetch, clock=lambda: self.now)


def test_keys_are_fetched_once() -> None:
    publisher = Publisher(jwks(FIRST))
    keys = publisher.key_set()
    assert all(keys.find("first") is not None for _ in range(3))
    assert publisher.fetches == 1


def test_an_unknown_kid_causes_one_fetch_at_once_and_then_none_for_a_while() -> None:
    publisher = Publisher(jwks(FIRST))
    keys = publisher.key_set()
    keys.find("first")
    publisher.document = jwks(FIRST, SECOND)
    assert keys.find("second") is not None
    publisher.document = jwks(FIRST, SECOND, THIRD)
    assert keys.find("third") is None
    assert publisher.fetches == 2
    publisher.now += 5
    assert keys.find("third") is not None
    assert publisher.fetches == 3


def test_invented_kids_cause_only_a_few_fetches() -> None:
    publisher = Publisher(jwks(FIRST))
    keys = publisher.key_set()
    assert all(keys.find(f"made-up-{number}") is None for number in range(100))
    assert keys.find("first") is not None
    assert publisher.fetches <= 2


def test_a_removed_key_is_dropped_after_an_hour() -> None:
    publisher = Publisher(jwks(FIRST, SECOND))
    keys = publisher.key_set()
    assert keys.find("first") is not None
    publisher.document = jwks(SECOND)
    publisher.now += 3601
    assert keys.find("first") is None
    assert keys.find("second") is not None


def test_known_keys_are_used_during_an_outage() -> None:
    publisher = Publisher(jwks(FIRST))
    keys = publisher.key_set()
    keys.find("first")
    publisher.document = None
    publisher.now += 3601
    assert keys.find("first") is not None


def test_an_unknown_kid_during_an_outage_is_an_outage_and_not_an_invalid_token() -> None:
    publisher = Publisher(jwks(FIRST))
    keys = publisher.key_set()
    keys.find("first")
    publisher.document = None
    for _ in range(3):
        with pytest.raises(ApiUnavailable):
            keys.find("second")
    assert publisher.fetches == 2
    publisher.document = jwks(FIRST, SECOND)
    publisher.now += 1
    assert keys.find("second") is not None


def test_without_a_key_set_every_check_is_an_outage() -> None:
    publisher = Publisher(None)
    keys = publisher.key_set()
    with pytest.raises(ApiUnavailable):
        keys.find("first")
    publisher.document = jwks(FIRST)
    publisher.now += 1
    assert keys.find("first") is not None


def test_threads_share_one_fetch() -> None:
    publisher = Publisher(jwks(FIRST))
    keys = publisher.key_set()
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(keys.find("first"))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 16
    assert None not in found
    assert publisher.fetches == 1


def test_keys_of_other_types_are_skipped() -> None:
    for_encryption = FIRST.public_jwk | {"kid": "enc", "use": "enc"}
    other_curve = generate_key("ES384", kid="p384").public_jwk
    broken = {"kty": "EC", "crv": "P-256", "kid": "broken", "x": "AA", "y": "AA"}
    nameless = {name: value for name, value in FIRST.public_jwk.items() if name != "kid"}
    document = {"keys": [*decoy_jwks(), for_encryption, other_curve, broken, nameless, "text", FIRST.public_jwk]}
    assert list(parse_key_set(document)) == ["first"]


@pytest.mark.parametrize("document", [{}, {"keys": None}, {"keys": {}}, {"keys": [{}] * 65}])
def test_a_document_that_is_not_a_key_set_is_an_outage(document: dict[str, Any]) -> None:
    with pytest.raises(ApiUnavailable):
        parse_key_set(document)
