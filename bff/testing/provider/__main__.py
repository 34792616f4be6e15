"""Run the provider with its sign-in page until a signal: `python -m bff.testing.provider < configuration.json`.

The configuration comes from standard input, because it holds the client's secret.
"""

from __future__ import annotations

import signal
import sys
import time
from typing import NoReturn

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bff.testing.provider.client import CLIENT_ID, Client
from bff.testing.provider.fake_provider import FakeProvider
from bff.testing.provider.people import Person

WAKE_SECONDS = 0.5
"""The system may give a signal to any thread. The main thread, which acts on it, notices within this time."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class ClientConfiguration(_Table):
    """The fields of `Client`."""

    client_id: str = CLIENT_ID
    secret: str
    name: str = "Vestibule"
    uri: str = ""
    redirect_uris: tuple[str, ...] = ()
    post_logout_redirect_uris: tuple[str, ...] = ()
    backchannel_logout_uri: str = ""


class PersonConfiguration(BaseModel):
    """The claims of one person. There may be others in addition to these."""

    model_config = ConfigDict(extra="allow", hide_input_in_errors=True)

    sub: str = Field(min_length=1)
    email: str = ""
    name: str = ""
    roles: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


class Configuration(_Table):
    """The configuration on standard input."""

    port: int
    issuer: str = ""
    client: ClientConfiguration
    people: tuple[PersonConfiguration, ...] = ()
    audience: str = "api"
    seconds: int = 300


def main(text: str) -> int:
    """Run the provider that `text` describes until SIGTERM or SIGINT. Return the exit code."""
    try:
        wanted = Configuration.model_validate_json(text)
        people = [Person.of_claims(person.model_dump(exclude_unset=True)) for person in wanted.people]
        client = Client(**wanted.client.model_dump())
    except ValidationError as exc:
        faults = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'all of it'}: {one['msg']}" for one in exc.errors())
        print(f"ERROR: this is not the configuration of a provider: {faults}", file=sys.stderr)
        return 2
    try:
        provider = FakeProvider(
            interactive=True,
            port=wanted.port,
            issuer=wanted.issuer,
            client=client,
            people=people,
            audience=wanted.audience,
            seconds=wanted.seconds,
        )
    except OSError as exc:
        print(f"ERROR: the provider cannot listen on port {wanted.port}: {exc.strerror}", file=sys.stderr)
        return 1
    with provider:
        while True:
            time.sleep(WAKE_SECONDS)


def _end(*_: object) -> NoReturn:
    """Stop the main thread without setting an event here: it may hold the lock of that event."""
    raise SystemExit(0)


if __name__ == "__main__":
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    sys.exit(main(sys.stdin.read()))
