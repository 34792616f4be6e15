"""A bend makes one endpoint of the fake provider misbehave in a test.

Every rule is permanent, or holds for the next `times` matching requests. `when` limits it to some hits. One-shot rules
go first, in the order they were made; then the newest permanent one holds. Only transforms add up: all permanent ones
in order, then at most one one-shot.
"""

from __future__ import annotations

import asyncio
import json as json_module
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar

from .answers import HeaderList, Rendered
from .hits import Hit
from .keys import SigningKey

T = TypeVar("T")
When = Callable[[Hit], bool]
Headers = Mapping[str, str] | Iterable[tuple[str, str]]

ENDPOINTS = ("discovery", "jwks", "authorization", "par", "token", "userinfo", "revocation", "end_session")


def is_grant(grant_type: str) -> When:
    """A `when` for the token endpoint: only requests of this grant type."""
    return lambda hit: hit.form.get("grant_type") == grant_type


@dataclass(slots=True)
class _Rule(Generic[T]):
    value: T
    left: int | None
    when: When | None

    def fits(self, hit: Hit | None) -> bool:
        return self.when is None or (hit is not None and self.when(hit))


class Rules(Generic[T]):
    """The rules of one kind at one place."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[_Rule[T]] = []

    def add(self, value: T, times: int | None, when: When | None) -> None:
        with self._lock:
            self._rules.append(_Rule(value, times, when))

    def clear(self) -> None:
        with self._lock:
            self._rules.clear()

    def take(self, hit: Hit | None) -> list[T]:
        """Return the permanent values that fit, and after them the one-shot value, which is then used up."""
        with self._lock:
            fitting = [rule for rule in self._rules if rule.fits(hit)]
            values = [rule.value for rule in fitting if rule.left is None]
            one_shot = next((rule for rule in fitting if rule.left is not None), None)
            if one_shot is not None and one_shot.left is not None:
                values.append(one_shot.value)
                one_shot.left -= 1
                self._rules = [rule for rule in self._rules if rule.left != 0]
            return values

    def take_last(self, hit: Hit | None) -> T | None:
        values = self.take(hit)
        return values[-1] if values else None


@dataclass(frozen=True, slots=True)
class Override:
    """An answer instead of the handler's; with `process` the handler runs first and its answer is lost."""

    rendered: Rendered | None = None
    wire: bytes | None = None
    drop_after: int | None = None
    process: bool = False


@dataclass(frozen=True, slots=True)
class Drip:
    chunk: int
    every: float


class Gate:
    """Hold requests until the test lets them go: ``with provider.bend.token.hold() as gate: ...``."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._arrived = threading.Event()
        self._open = False
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    def wait_arrived(self, timeout: float = 5.0) -> None:
        """Wait until at least one request is held."""
        if not self._arrived.wait(timeout):
            raise TimeoutError("no request came to the held endpoint")

    def release(self) -> None:
        """Release all requests, and hold no later ones."""
        with self._lock:
            self._open = True
            waiting, self._waiting = self._waiting, []
        for loop, event in waiting:
            loop.call_soon_threadsafe(event.set)

    async def pass_through(self) -> None:
        """Wait for the release, on the provider's loop."""
        event = asyncio.Event()
        with self._lock:
            self._arrived.set()
            if self._open:
                return
            self._waiting.append((asyncio.get_running_loop(), event))
        await event.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


@dataclass(frozen=True, slots=True)
class Plan:
    """What the bends of an endpoint say about one request."""

    override: Override | None = None
    delay: float = 0.0
    gate: Gate | None = None
    drip: Drip | None = None


class EndpointBend:
    """The hooks of one endpoint. `times=None` is permanent."""

    def __init__(self) -> None:
        self._transforms: Rules[Callable[[Any], Any]] = Rules()
        self._overrides: Rules[Override] = Rules()
        self._delays: Rules[float] = Rules()
        self._gates: Rules[Gate] = Rules()
        self._drips: Rules[Drip] = Rules()
        self._held: list[Gate] = []

    def json(self, change: Callable[[Any], Any], *, times: int | None = None, when: When | None = None) -> None:
        """Change the JSON answer (at authorization and end_session: the redirect's parameters) before it is sent."""
        self._transforms.add(change, times, when)

    def raw(
        self,
        status: int = 200,
        *,
        headers: Headers = (),
        body: bytes | str = b"",
        json: Any = None,
        process: bool = False,
        times: int | None = None,
        when: When | None = None,
    ) -> None:
        """Answer exactly this. With `process=True` the real handler acts first, as if its answer were lost."""
        pairs: HeaderList = tuple(headers.items() if isinstance(headers, Mapping) else headers)
        content = body.encode() if isinstance(body, str) else body
        if json is not None:
            content = json_module.dumps(json).encode()
            pairs = (("content-type", "application/json"), *pairs)
        self._overrides.add(Override(rendered=(status, pairs, content), process=process), times, when)

    def wire(self, raw: bytes, *, process: bool = False, times: int | None = None, when: When | None = None) -> None:
        """Write these bytes on the connection in place of an HTTP answer, then close it."""
        self._overrides.add(Override(wire=raw, process=process), times, when)

    def drop(
        self, *, after: int = 0, process: bool = False, times: int | None = None, when: When | None = None
    ) -> None:
        """Cut the connection; with `after`, in the middle of the real answer, after that many bytes of its body."""
        self._overrides.add(Override(drop_after=after, process=process or after > 0), times, when)

    def delay(self, seconds: float, *, times: int | None = None, when: When | None = None) -> None:
        """Wait before the request is handled."""
        self._delays.add(seconds, times, when)

    def hold(self, *, times: int | None = None, when: When | None = None) -> Gate:
        """Hold requests (already recorded, not yet handled) until the gate's `release`."""
        gate = Gate()
        self._gates.add(gate, times, when)
        self._held.append(gate)
        return gate

    def drip(self, *, chunk: int = 1, every: float = 0.05, times: int | None = None, when: When | None = None) -> None:
        """Send the body `chunk` bytes at a time with a pause (seconds) between."""
        self._drips.add(Drip(chunk, every), times, when)

    def reset(self) -> None:
        for rules in (self._transforms, self._overrides, self._delays, self._gates, self._drips):
            rules.clear()
        self.open_gates()

    def open_gates(self) -> None:
        for gate in self._held:
            gate.release()
        self._held.clear()

    def transform(self, payload: Any, hit: Hit) -> Any:
        for change in self._transforms.take(hit):
            payload = change(dict(payload) if isinstance(payload, Mapping) else payload)
        return payload

    def plan(self, hit: Hit) -> Plan:
        return Plan(
            override=self._overrides.take_last(hit),
            delay=self._delays.take_last(hit) or 0.0,
            gate=self._gates.take_last(hit),
            drip=self._drips.take_last(hit),
        )


JsonDict = dict[str, Any]


class TokenBend:
    """The hooks of one kind of token, applied just before it is signed."""

    def __init__(self) -> None:
        self._claims: Rules[Callable[[JsonDict], JsonDict]] = Rules()
        self._headers: Rules[Callable[[JsonDict], JsonDict]] = Rules()
        self._keys: Rules[tuple[SigningKey | str | bytes | None, str]] = Rules()
        self._raw: Rules[Callable[[str], Any]] = Rules()

    def claims(
        self, change: Callable[[JsonDict], JsonDict], *, times: int | None = None, when: When | None = None
    ) -> None:
        self._claims.add(change, times, when)

    def header(
        self, change: Callable[[JsonDict], JsonDict], *, times: int | None = None, when: When | None = None
    ) -> None:
        """Change the JOSE header; the signature is still made with the real key and algorithm."""
        self._headers.add(change, times, when)

    def key(
        self,
        key: SigningKey | str | bytes | None,
        *,
        alg: str = "",
        times: int | None = None,
        when: When | None = None,
    ) -> None:
        """Sign with another key (a secret for HS*, None with alg="none"); the header's alg follows, its kid stays."""
        self._keys.add((key, alg), times, when)

    def raw(self, change: Callable[[str], Any], *, times: int | None = None, when: When | None = None) -> None:
        """Change the finished compact token."""
        self._raw.add(change, times, when)

    def reset(self) -> None:
        for rules in (self._claims, self._headers, self._keys, self._raw):
            rules.clear()

    def apply_claims(self, claims: JsonDict, hit: Hit | None) -> JsonDict:
        for change in self._claims.take(hit):
            claims = change(dict(claims))
        return claims

    def apply_header(self, header: JsonDict, hit: Hit | None) -> JsonDict:
        for change in self._headers.take(hit):
            header = change(dict(header))
        return header

    def apply_raw(self, token: str, hit: Hit | None) -> Any:
        result: Any = token
        for change in self._raw.take(hit):
            result = change(result)
        return result

    def chosen_key(self, hit: Hit | None) -> tuple[SigningKey | str | bytes | None, str] | None:
        return self._keys.take_last(hit)


class Bends:
    """Every hook of a fake provider: ``provider.bend.token.raw(500, times=1)``."""

    def __init__(self) -> None:
        self.discovery = EndpointBend()
        self.jwks = EndpointBend()
        self.authorization = EndpointBend()
        self.par = EndpointBend()
        self.token = EndpointBend()
        self.userinfo = EndpointBend()
        self.revocation = EndpointBend()
        self.end_session = EndpointBend()
        self.id_token = TokenBend()
        self.access_token = TokenBend()

    def of(self, endpoint: str) -> EndpointBend:
        found = getattr(self, endpoint)
        assert isinstance(found, EndpointBend)
        return found

    def open_gates(self) -> None:
        for endpoint in ENDPOINTS:
            self.of(endpoint).open_gates()

    def reset(self) -> None:
        for endpoint in ENDPOINTS:
            self.of(endpoint).reset()
        self.id_token.reset()
        self.access_token.reset()
