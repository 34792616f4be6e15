"""What "rejected" means, in one place: the request is refused, opens nothing, leaves one event, and is not echoed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import httpx

from tests.security.house import SESSION_COOKIES, House
from tests.security.raw import RawAnswer

Answer = httpx.Response | RawAnswer
CLIENT_FAULT = range(400, 500)


def status_of(answer: Answer) -> int:
    return answer.status if isinstance(answer, RawAnswer) else answer.status_code


def bytes_of(answer: Answer) -> bytes:
    """Headers and body as the client has them."""
    if isinstance(answer, RawAnswer):
        return answer.received
    return b"\r\n".join(name + b": " + value for name, value in answer.headers.raw) + b"\r\n\r\n" + answer.content


def set_cookies(answer: Answer) -> list[str]:
    return answer.all("set-cookie") if isinstance(answer, RawAnswer) else answer.headers.get_list("set-cookie")


def opens_session(answer: Answer) -> bool:
    """True when a Set-Cookie gives the session cookie a value."""
    pairs = [cookie.partition(";")[0].partition("=") for cookie in set_cookies(answer)]
    return any(name in SESSION_COOKIES and value for name, _, value in pairs)


def assert_rejected(
    house: House,
    act: Callable[[], Answer],
    *,
    statuses: Iterable[int] = CLIENT_FAULT,
    reason: str = "",
    token_hits: int = 0,
    upstream_requests: int = 0,
    events: int = 1,
    secrets: Iterable[str] = (),
) -> Any:
    """Do `act` and check every part of a rejection; returns its answer.

    `statuses` is 4xx unless an item says otherwise; `reason` is the stable code of the one event; `secrets` are what
    must not come back: what the attacker sent and what the provider issued.
    """
    provider, before = house.provider, len(house.store.sessions)
    hits, requests, noted = len(provider.hits_of("token")), len(house.upstream.requests), len(house.refusals())
    answer = act()
    assert status_of(answer) in statuses, f"{status_of(answer)}: {bytes_of(answer)[:400]!r}"
    assert not opens_session(answer), "a session cookie was set"
    assert len(house.store.sessions) == before, "a session was opened"
    assert len(provider.hits_of("token")) - hits == token_hits, "calls of the token endpoint"
    assert len(house.upstream.requests) - requests == upstream_requests, "requests that reached the upstream"
    noticed = house.refusals()[noted:]
    assert len(noticed) == events, f"audit events: {noticed}"
    assert all(event.get("reason") for event in noticed), f"an event without a reason: {noticed}"
    assert not reason or [event["reason"] for event in noticed] == [reason] * events, noticed
    received, told = bytes_of(answer), repr(noticed)
    for secret in filter(None, (*secrets, *provider.issued, provider.client.client_secret)):
        assert secret.encode() not in received, f"echoed: {secret[:60]!r}"
        assert secret not in told, f"logged: {secret[:60]!r}"
    return answer
