"""Another process with its own store. It gets one command per line.

`python -m tests.bff.stores.neighbour URL PREFIX` answers each line of its input with one:
`take KIND NAME COUNT` → how many of COUNT parallel takers got the value; `end NAME` → `done`, once it is published.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bff.contract import EndReason
from bff.stores.events import SessionsEnded
from bff.stores.redis import RedisStore
from bff.stores.redis_url import parse_redis_url


class Neighbour:
    """The process, from outside."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ask(self, *words: str) -> str:
        """Its answer to one line."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(" ".join(words).encode() + b"\n")
        answer = await asyncio.wait_for(self._process.stdout.readline(), 20)
        return answer.decode().strip()


@asynccontextmanager
async def neighbour(url: str, prefix: str) -> AsyncIterator[Neighbour]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bff.stores.neighbour", url, prefix),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        other = Neighbour(process)
        assert await other.ask("ready") == "done"
        yield other
    finally:
        process.kill()
        await process.communicate()


async def serve(url: str, prefix: str) -> None:
    store = RedisStore(parse_redis_url(url), prefix=prefix, timeout=2)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := (await reader.readline()).decode().split():
        match line:
            case ["take", kind, name, count]:
                taken = await asyncio.gather(*(store.take_once(kind, name) for _ in range(int(count))))
                print(sum(value is not None for value in taken), flush=True)
            case ["end", name]:
                await store.publish(SessionsEnded(EndReason.REVOKED, name=name))
                print("done", flush=True)
            case _:
                await store.ping()
                print("done", flush=True)
    await store.aclose()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], sys.argv[2]))
