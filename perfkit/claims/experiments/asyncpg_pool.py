"""A query of asyncpg on a connection of its own, or on one of a pool."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg

from perfkit.claims import LATENCY, Experiment, Operation
from perfkit.claims.link import Links

experiment = Experiment(
    theme="pools",
    claims=["O-47", "O-52"],
    question="What does asyncpg's pool save against a connection for each query?",
    hypothesis="A pool of 5 to 20 connections makes queries faster.",
    metric=LATENCY,
    varies={"round_trip_ms": [0, 5]},
    because="Connecting takes several round trips, and asyncpg resets a connection that it is "
    "given back with one more.",
    advice="Use asyncpg's pool. A pool of 20 for each of four workers is 80 of the hundred "
    "connections that PostgreSQL allows unless it is told otherwise.",
    conditions="PostgreSQL on this machine, no TLS and no password; the round trip is added by a "
    "proxy. A queue of connections is shown beside them, which resets and checks nothing.",
    precision=0.15,
    budget_s=10,
)


@experiment.before
async def connection_each(
    postgres: str, link: Links, round_trip_ms: float
) -> AsyncIterator[Operation]:
    """Connects, asks, and closes."""
    with link.to_url(postgres, round_trip_s=round_trip_ms / 1000) as url:

        async def query() -> object:
            connection = await asyncpg.connect(url)
            try:
                return await connection.fetchval("SELECT 1")
            finally:
                await connection.close()

        yield query


@experiment.after
async def pooled(postgres: str, link: Links, round_trip_ms: float) -> AsyncIterator[Operation]:
    """Asks asyncpg's pool."""
    with link.to_url(postgres, round_trip_s=round_trip_ms / 1000) as url:
        async with asyncpg.create_pool(url, min_size=5, max_size=20) as pool:
            yield lambda: pool.fetchval("SELECT 1")


@experiment.beside
async def queued(postgres: str, link: Links, round_trip_ms: float) -> AsyncIterator[Operation]:
    """Takes a connection out of a queue and puts it back."""
    with link.to_url(postgres, round_trip_s=round_trip_ms / 1000) as url:
        free: asyncio.Queue[Any] = asyncio.Queue()
        for _ in range(5):
            free.put_nowait(await asyncpg.connect(url))

        async def query() -> object:
            connection = await free.get()
            try:
                return await connection.fetchval("SELECT 1")
            finally:
                free.put_nowait(connection)

        yield query
        while not free.empty():
            await free.get_nowait().close()
