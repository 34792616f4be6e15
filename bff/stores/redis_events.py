"""Events between processes by Redis publish and subscribe, and how this process knows that they arrive.

Every 250 ms a numbered heartbeat is published in the same way as events, and received on the subscription. While the
last one received was sent less than 750 ms ago, no event sent before it is missing. After a new subscription, or if a
number is missing, events may be lost: listeners then get `EverythingUnknown`.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from typing import Any

from redis.asyncio.client import PubSub

from bff.errors import StoreUnavailable
from bff.stores.events import EverythingUnknown, Listener, SessionEvent, event_from_wire, event_to_wire
from bff.stores.redis_commands import RedisCommands

log = logging.getLogger(__name__)

BEAT_SECONDS = 0.25
TRUSTED_SECONDS = 0.75
SILENT_SECONDS = 3.0
"""Without a heartbeat for this time, a new subscription is made: a dead connection may give no sign."""
RETRY_SECONDS = 0.2
REMEMBERED_BEATS = 64


class RedisEvents:
    """Publishes events and hands those of other processes to the listeners of this one."""

    def __init__(self, commands: RedisCommands, *, prefix: str, monotonic: Callable[[], float]) -> None:
        self._commands = commands
        self._monotonic = monotonic
        self._own = secrets.token_hex(8).encode()
        self._channel = f"{prefix}events"
        self._heart = f"{prefix}heartbeat:{self._own.decode()}"
        self._listeners: dict[int, Listener] = {}
        self._next_listener = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._is_closed = False
        self._sent_at: dict[int, float] = {}
        self._last_sent = 0
        self._last_heard = 0
        self._trusted_until = 0.0
        self._opened_at = 0.0
        self._has_complained = False

    @property
    def is_hearing(self) -> bool:
        """True while all events up to now, except those of the last 750 ms, are known to have arrived."""
        return self._monotonic() < self._trusted_until

    async def publish(self, event: SessionEvent) -> None:
        """Pass an event to the listeners of this process at once, and to those of all other processes."""
        self._tell(event)
        await self._commands.run(self._channel, "PUBLISH", self._channel, self._own + b" " + event_to_wire(event))

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        number = self._next_listener = self._next_listener + 1
        self._listeners[number] = listener
        self.start()

        def unsubscribe() -> None:
            self._listeners.pop(number, None)

        return unsubscribe

    def start(self) -> None:
        """Begin to listen if there is a listener and a running loop. Further calls do nothing."""
        if self._tasks or self._is_closed or not self._listeners:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # no loop runs while the application is being built: the first operation starts it
        self._tasks = [loop.create_task(self._listen_for_ever()), loop.create_task(self._beat_for_ever())]

    async def aclose(self) -> None:
        self._is_closed = True
        self._listeners.clear()
        self._trusted_until = 0.0
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _beat_for_ever(self) -> None:
        while True:
            number = self._last_sent = self._last_sent + 1
            sent_at = self._sent_at[number] = self._monotonic()
            self._sent_at.pop(number - REMEMBERED_BEATS, None)
            try:
                await self._commands.beat(self._heart, "PUBLISH", self._heart, str(number))
            except StoreUnavailable:
                self._trusted_until = 0.0  # if publishing does not work, receiving cannot be trusted either
            await asyncio.sleep(max(0.0, sent_at + BEAT_SECONDS - self._monotonic()))

    async def _listen_for_ever(self) -> None:
        while True:
            try:
                await self._listen()
            except Exception as exc:  # no failure may end the listening, not even one of a listener
                if not self._has_complained:
                    log.warning("no events from the store, so every request reads it: %s", type(exc).__name__)
                self._has_complained = True
            await asyncio.sleep(RETRY_SECONDS)

    async def _listen(self) -> None:
        """Listen on one subscription until it breaks or gets no heartbeat."""
        client = await self._commands.nodes.client_for(self._channel)
        pubsub = client.pubsub()
        try:
            async with asyncio.timeout(SILENT_SECONDS):
                await pubsub.subscribe(self._channel, self._heart)
            await self._receive(pubsub)
        finally:
            self._trusted_until = 0.0
            await pubsub.aclose()  # type: ignore[no-untyped-call]  # redis-py gives it no types
        await self._commands.nodes.suspect()

    async def _receive(self, pubsub: PubSub) -> None:
        confirmed = 0
        self._opened_at = last_beat = self._monotonic()
        while self._monotonic() - last_beat < SILENT_SECONDS:
            message = await pubsub.get_message(timeout=BEAT_SECONDS)
            if message is None:
                continue
            if message["type"] == "subscribe":
                confirmed += 1
                if confirmed == 2:  # both channels are subscribed: from now on nothing is missed
                    self._opened_at, self._last_heard, self._has_complained = self._monotonic(), 0, False
                    self._tell(EverythingUnknown())
                if confirmed > 2:
                    return  # the library has reconnected by itself, and events may be lost: begin again
            elif message["type"] == "message" and confirmed == 2:
                if message["channel"] == self._heart.encode():
                    self._hear(int(message["data"]))
                    last_beat = self._monotonic()
                else:
                    self._take_in(message["data"])

    def _hear(self, number: int) -> None:
        sent_at = self._sent_at.get(number)
        if sent_at is None or sent_at < self._opened_at:
            return  # from before this subscription
        if self._last_heard and number != self._last_heard + 1:
            self._tell(EverythingUnknown())
        self._last_heard = number
        self._trusted_until = sent_at + TRUSTED_SECONDS
        self._sent_at = {later: at for later, at in self._sent_at.items() if later > number}

    def _take_in(self, data: Any) -> None:
        own, _, wire = data.partition(b" ")
        if own == self._own:
            return  # the listeners here got it when it was published
        try:
            event = event_from_wire(wire)
        except (ValueError, TypeError, KeyError):
            event = EverythingUnknown()  # from a later version: something unknown has happened
        self._tell(event)

    def _tell(self, event: SessionEvent) -> None:
        for listener in list(self._listeners.values()):
            listener(event)
