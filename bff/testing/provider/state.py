"""The state that all endpoints of one provider share: people, client, keys, sessions and grants."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bff.testing.provider.client import Client
from bff.testing.provider.grants import Grants
from bff.testing.provider.people import Person
from bff.testing.provider.sessions import Sessions
from bff.testing.provider.signing import SigningKeys


@dataclass(kw_only=True)
class ProviderState:
    """The shared state. A change takes effect at the next request. Times are Unix seconds of `clock`."""

    issuer: str = ""
    clock: Callable[[], float] = time.time
    interactive: bool = False
    """Show the sign-in page. Otherwise `next_person` is signed in at once."""
    next_person: str = "alice"
    people: dict[str, Person] = field(default_factory=dict)
    client: Client = field(default_factory=Client)
    audience: str = "api"
    """Of access tokens."""
    seconds: int = 300
    """How long ID tokens and access tokens live."""
    is_down: bool = False
    """Answer everything with 503."""
    key_fetches: int = 0
    keys: SigningKeys = field(default_factory=SigningKeys)
    sessions: Sessions = field(default_factory=Sessions)
    grants: Grants = field(default_factory=Grants)

    def sign(self, claims: Mapping[str, Any], *, typ: str) -> str:
        """Sign a token of this issuer. It is good for `seconds` from now unless `claims` say otherwise."""
        now = int(self.clock())
        return self.keys.sign({"iss": self.issuer, "iat": now, "exp": now + self.seconds} | dict(claims), typ=typ)

    @property
    def cookie_name(self) -> str:
        """Name of the provider's session cookie. Browsers share cookies between ports, so it has the port in it."""
        return f"provider-session-{self.issuer.rpartition(':')[2]}"
