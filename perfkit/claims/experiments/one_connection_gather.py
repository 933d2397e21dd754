"""Two queries at once on one connection: asyncpg refuses the second."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg

from perfkit.claims import ERRORS, Experiment, Operation

REQUESTS = 10
COUNT, ROWS = "SELECT count(*) FROM pg_class", "SELECT relname FROM pg_class LIMIT 10"

experiment = Experiment(
    theme="async",
    claims=["O-56", "O-103"],
    question="How many requests fail that gather two queries on one connection?",
    hypothesis="Count and rows run in parallel when they are gathered.",
    metric=ERRORS,
    hazard="One connection does one thing at a time: the second query raises InterfaceError, and "
    "the request fails.",
    advice="Gather only over connections of their own, and count them into the pool's size; or "
    "ask for both in one query with count(*) OVER ().",
    conditions="asyncpg; ten requests, one after another, each with two queries.",
)


@experiment.before
async def one_connection(postgres: str) -> AsyncIterator[Operation]:
    """Gathers both queries on one connection."""
    async with asyncpg.create_pool(postgres, min_size=1, max_size=2) as pool:

        async def request() -> None:
            async with pool.acquire() as connection:
                await asyncio.gather(connection.fetchval(COUNT), connection.fetch(ROWS))

        yield lambda: failures(request)


@experiment.after
async def connection_each(postgres: str) -> AsyncIterator[Operation]:
    """Gathers both queries over the pool, a connection for each."""
    async with asyncpg.create_pool(postgres, min_size=1, max_size=2) as pool:

        async def request() -> None:
            await asyncio.gather(pool.fetchval(COUNT), pool.fetch(ROWS))

        yield lambda: failures(request)


async def failures(request: Callable[[], Awaitable[None]]) -> int:
    """Return how many of the requests raise."""
    failed = 0
    for _ in range(REQUESTS):
        try:
            await request()
        except asyncpg.InterfaceError:
            failed += 1
    return failed
