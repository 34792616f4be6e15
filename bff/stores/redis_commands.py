"""Send commands: a deadline for each, safe repeats, redirections, confirmation by replicas, errors.

Every failure becomes `StoreUnavailable`. Its text holds no part of the command, of a value or of a password.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import (
    AskError,
    AuthenticationError,
    BusyLoadingError,
    ClusterDownError,
    MaxConnectionsError,
    MovedError,
    NoScriptError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as ConnectionFailed
from redis.exceptions import TimeoutError as AnswerLate

from bff.errors import StoreUnavailable
from bff.stores.redis_nodes import Argument, Arguments, Nodes, send_together
from bff.stores.redis_scripts import Script

MAX_IN_FLIGHT = 20
"""How many commands of one process run at once. The others wait for their turn, within their deadline."""
PAUSES = (0.0, 0.02, 0.1)
"""Seconds before each attempt at one command."""
MAX_REDIRECTIONS = 5
WAIT_MILLISECONDS = 100
NOT_EXECUTED = (BusyLoadingError, ReadOnlyError, TryAgainError, ClusterDownError, MaxConnectionsError)
"""Refusals that mean the server did nothing, so any command may be sent again."""
ERROR_CODE = re.compile(r"[A-Z]{3,20}\b")


@dataclass(frozen=True, slots=True)
class Request:
    """A command or, with `script`, a script on `key`.

    `is_repeatable` says that doing it twice has the same effect as once. With `must_be_confirmed` a truthy reply
    counts only if replicas have the write too.
    """

    key: str
    arguments: Arguments
    script: Script | None = None
    is_repeatable: bool = True
    must_be_confirmed: bool = False
    sends_source: bool = False

    def to_wire(self) -> Arguments:
        if self.script is None:
            return self.arguments
        if self.sends_source:
            return ("EVAL", self.script.source, 1, self.key, *self.arguments)
        return ("EVALSHA", self.script.sha, 1, self.key, *self.arguments)


class RedisCommands:
    """Runs requests on the servers of one deployment. Replies are those of redis-py; strings are bytes."""

    def __init__(self, nodes: Nodes, *, timeout: float) -> None:
        self.nodes = nodes
        self._timeout = timeout
        self._gate = asyncio.Semaphore(MAX_IN_FLIGHT)

    async def run(self, key: str, *arguments: Argument, is_repeatable: bool = True) -> Any:
        """Run one plain command whose key is `key`."""
        return await self._in_time([Request(key, arguments, is_repeatable=is_repeatable)])

    async def run_script(
        self,
        script: Script,
        key: str,
        *arguments: Argument,
        is_repeatable: bool = True,
        must_be_confirmed: bool = False,
    ) -> Any:
        """Run one script on `key`.

        Raises:
            StoreUnavailable: also with `must_be_confirmed`, if too few replicas have the write within 100 ms.
        """
        request = Request(key, arguments, script, is_repeatable=is_repeatable, must_be_confirmed=must_be_confirmed)
        return await self._in_time([request])

    async def run_each(self, requests: Sequence[Request]) -> list[Any]:
        """Run independent requests in one round trip per server. Return the replies in the same order."""
        return await self._in_time(requests, several=True) if requests else []

    async def beat(self, key: str, *arguments: Argument) -> Any:
        """Run one command before those that wait for their turn: the heartbeat must go out under load too."""
        return await self._in_time([Request(key, arguments)], queues=False)

    async def _in_time(self, requests: Sequence[Request], *, several: bool = False, queues: bool = True) -> Any:
        try:
            async with asyncio.timeout(self._timeout):
                if not queues:
                    return await self._persistently(requests[0])
                async with self._gate:
                    return await (self._together(requests) if several else self._persistently(requests[0]))
        except (RedisError, OSError, UnicodeError) as exc:
            raise StoreUnavailable(detail=_describe(exc)) from exc

    async def _together(self, requests: Sequence[Request]) -> list[Any]:
        """Send one pipeline per server. A request that does not succeed in it is sent again by itself."""
        groups: dict[Redis, list[int]] = {}
        replies: list[Any] = [None] * len(requests)
        try:
            for number, request in enumerate(requests):
                groups.setdefault(await self.nodes.client_for(request.key), []).append(number)
            for client, numbers in groups.items():
                for number, reply in zip(
                    numbers,
                    await send_together(client, [requests[number].to_wire() for number in numbers]),
                    strict=True,
                ):
                    replies[number] = reply
        except ConnectionFailed:
            replies = [await self._persistently(request) for request in requests]
        return [
            await self._persistently(request) if isinstance(reply, ResponseError) else reply
            for request, reply in zip(requests, replies, strict=True)
        ]

    async def _persistently(self, request: Request) -> Any:
        failure: Exception = ConnectionFailed("not tried")
        for pause in PAUSES:
            await asyncio.sleep(pause)
            try:
                return await self._once(request)
            except AuthenticationError:
                raise
            except NOT_EXECUTED as exc:
                failure = exc
            except ConnectionFailed as exc:
                failure = exc
                if not request.is_repeatable:
                    break
            if not isinstance(failure, TryAgainError | MaxConnectionsError):
                await self.nodes.suspect()
        raise failure

    async def _once(self, request: Request) -> Any:
        client = await self.nodes.client_for(request.key)
        confirmations = self.nodes.replicas if request.must_be_confirmed else 0
        asking: list[Arguments] = []
        for _ in range(MAX_REDIRECTIONS):
            waiting: list[Arguments] = [("WAIT", confirmations, WAIT_MILLISECONDS)] if confirmations else []
            replies = (await send_together(client, [*asking, request.to_wire(), *waiting]))[len(asking) :]
            match replies[0]:
                case NoScriptError():
                    request = replace(request, sends_source=True)
                case MovedError() as moved:
                    client, asking = self.nodes.follow(moved), []
                case AskError() as ask:
                    client, asking = self.nodes.follow(ask), [("ASKING",)]
                case ResponseError() as error:
                    raise error
                case reply:
                    if reply and confirmations:
                        _check_confirmed(replies[1], confirmations)
                    return reply
        raise ClusterDownError("redirected in circles")


def _check_confirmed(reply: Any, wanted: int) -> None:
    if isinstance(reply, ResponseError):
        raise reply
    if reply < wanted:
        raise StoreUnavailable(detail=f"not confirmed: {reply} of {wanted} replicas have the write")


def _describe(exc: BaseException) -> str:
    """Return the kind of failure for the operator. A server's text may quote a command, so only its code is used."""
    if isinstance(exc, ResponseError):
        code = exc.status_code or (found.group() if (found := ERROR_CODE.match(str(exc))) else "")
        return " ".join(filter(None, ("redis refused:", type(exc).__name__, code)))
    if isinstance(exc, TimeoutError | AnswerLate):
        return "redis did not answer in time"
    return f"redis out of reach: {type(exc).__name__}: {str(exc)[:160]}"
