"""A pool built on asyncio.Queue, whose get_nowait is awaited, and the pool of asyncpg."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import asyncpg

from perfkit.claims import ERRORS, Experiment, Operation

REQUESTS, LEAST, MOST = 10, 2, 5
WAIT_S = 0.5

experiment = Experiment(
    theme="pools",
    claims=["O-47"],
    question="How many of ten requests fail, one after another, with a pool of one's own?",
    hypothesis="A queue of connections with a lock around it makes a pool.",
    metric=ERRORS,
    hazard="get_nowait of a queue returns the connection itself: to await that raises TypeError, "
    "when it has left the queue. Each such request fails and loses a connection; soon the limit "
    "is reached with none left, and all others wait for ever, with the lock in their hands.",
    advice="Use the driver's pool. What makes one hard are the ways out: errors, cancellation, a "
    "connection that died.",
    conditions="Two to five connections. Who has waited half a second for a free one, while "
    "nobody uses any, is taken to wait for ever.",
)


@experiment.before
async def queue_and_lock(postgres: str) -> AsyncIterator[Operation]:
    """Takes connections from a queue."""

    async def failures() -> int:
        async with AsyncExitStack() as opened:

            async def connect() -> Any:
                connection = await asyncpg.connect(postgres)
                opened.push_async_callback(connection.close)
                return connection

            free: asyncio.Queue[Any] = asyncio.Queue()
            for _ in range(LEAST):
                free.put_nowait(await connect())
            size, lock = LEAST, asyncio.Lock()

            async def acquire() -> Any:
                nonlocal size
                async with lock:
                    try:
                        return await free.get_nowait()
                    except asyncio.QueueEmpty:
                        pass
                    if size < MOST:
                        size += 1
                        return await connect()
                    return await free.get()

            async def request() -> None:
                connection = await acquire()
                await connection.fetchval("SELECT 1")
                free.put_nowait(connection)

            return await failed(request)

    yield failures


@experiment.after
async def pool_of_the_driver(postgres: str) -> AsyncIterator[Operation]:
    """Takes them from asyncpg's pool."""
    async with asyncpg.create_pool(postgres, min_size=LEAST, max_size=MOST) as pool:
        yield lambda: failed(lambda: pool.fetchval("SELECT 1"))


async def failed(request: Callable[[], Awaitable[object]]) -> int:
    """Return how many requests raise, or wait for a connection that never comes."""
    failures = 0
    for _ in range(REQUESTS):
        try:
            async with asyncio.timeout(WAIT_S):
                await request()
        except (TypeError, TimeoutError):
            failures += 1
    return failures
