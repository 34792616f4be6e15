"""Token checks without a web framework, from asynchronous code and from plain threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from bff.api.verifier import TokenVerifier
from bff.errors import InvalidToken, ProviderUnavailable
from bff.testing import FakeProvider


@pytest.fixture
def verifier(fake_provider: FakeProvider) -> TokenVerifier:
    return TokenVerifier.from_env(fake_provider.variables())


def test_many_threads_check_tokens_with_one_fetch_of_the_keys(
    verifier: TokenVerifier, fake_provider: FakeProvider
) -> None:
    tokens = [fake_provider.access_token(name, audience="api") for name in ("alice", "bob") * 20]
    with ThreadPoolExecutor(8) as pool:
        callers = list(pool.map(verifier.verify_blocking, tokens))
    assert [caller.sub for caller in callers] == ["alice", "bob"] * 20
    assert fake_provider.key_fetches == 1


def test_a_thread_gets_the_same_refusal_as_asynchronous_code(
    verifier: TokenVerifier, fake_provider: FakeProvider
) -> None:
    token = fake_provider.access_token("alice", audience="another-api")
    with pytest.raises(InvalidToken) as refused:
        verifier.verify_blocking(token)
    assert refused.value.code == "bearer_aud"


async def test_asynchronous_code_awaits_the_same_answer(verifier: TokenVerifier, fake_provider: FakeProvider) -> None:
    caller = await verifier.verify(fake_provider.access_token("alice", audience="api"))
    assert (caller.sub, caller.roles) == ("alice", ("analyst", "admin"))


def test_without_keys_the_check_raises_an_outage_and_not_an_invalid_token(
    verifier: TokenVerifier, fake_provider: FakeProvider
) -> None:
    token = fake_provider.access_token("alice", audience="api")
    fake_provider.is_down = True
    with pytest.raises(ProviderUnavailable):
        verifier.verify_blocking(token)
