"""A restart of the database under a queue of connections, and under asyncpg's pool."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg

from perfkit.claims import ERRORS, Experiment, Operation

POOL = 5
# Tells the connections that shall die from others of the database.
NAMED = {"application_name": f"claims unchecked_pool {os.getpid()}"}

experiment = Experiment(
    theme="pools",
    claims=["O-47"],
    question="How many requests fail after the database has closed all idle connections?",
    hypothesis="A pool which hands out what it holds serves as well as any.",
    metric=ERRORS,
    hazard="A queue hands out connections that died long ago, one after another: every one of "
    "them costs a request, and where it is put back, it costs the next one as well.",
    advice="Use the driver's pool, which notices that a connection was closed and replaces it.",
    conditions="Five connections, repaired as far as the queue goes: get_nowait is not awaited. "
    "pg_terminate_backend closes the idle ones, as a restart or a firewall does; then five "
    "requests follow one another.",
)


@experiment.before
async def queue_of_connections(postgres: str) -> AsyncIterator[Operation]:
    """Takes connections from a queue and puts them back."""

    async def failures() -> int:
        free: asyncio.Queue[Any] = asyncio.Queue()
        for _ in range(POOL):
            free.put_nowait(await asyncpg.connect(postgres, server_settings=NAMED))

        async def query(statement: str) -> object:
            connection = free.get_nowait()
            try:
                return await connection.fetchval(statement)
            finally:
                free.put_nowait(connection)

        return await failed_after_restart(postgres, query)

    yield failures


@experiment.after
async def pool_of_the_driver(postgres: str) -> AsyncIterator[Operation]:
    """Takes them from asyncpg's pool."""

    async def failures() -> int:
        async with asyncpg.create_pool(
            postgres, min_size=POOL, max_size=POOL, server_settings=NAMED
        ) as pool:
            return await failed_after_restart(postgres, pool.fetchval)

    yield failures


async def failed_after_restart(url: str, query: Callable[[str], Awaitable[object]]) -> int:
    """Close the pool's connections from outside and return how many queries fail after that."""
    others = await asyncpg.connect(url)
    closed = await others.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = $1",
        NAMED["application_name"],
    )
    assert closed == f"SELECT {POOL}", closed
    await others.close()
    # The end of a connection is noticed when the loop next reads.
    await asyncio.sleep(0.02)
    failures = 0
    for _ in range(POOL):
        try:
            await query("SELECT 1")
        except (asyncpg.PostgresError, asyncpg.InterfaceError, ConnectionError):
            failures += 1
    return failures
