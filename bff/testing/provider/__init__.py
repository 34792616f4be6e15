"""A small OpenID provider on a real socket: discovery, keys, sign-in, tokens, sign-out. It asks nobody for a password.

    def test_a_token_of_our_provider_is_accepted(fake_provider):
        api = JWTBearer.from_env(fake_provider.variables(audience="reports"))
        token = fake_provider.access_token("alice", audience="reports")

`vestibule demo` and `vestibule dev` run the same provider in a separate process, with its sign-in page.
"""

from bff.testing.provider.client import Client
from bff.testing.provider.fake_provider import FakeProvider
from bff.testing.provider.people import Person

__all__ = ["Client", "FakeProvider", "Person"]
