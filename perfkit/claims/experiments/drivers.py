"""Queries eight at a time, by psycopg2 in threads, asyncpg or psycopg 3: what they compute."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import asyncpg
from psycopg2.pool import ThreadedConnectionPool
from psycopg_pool import AsyncConnectionPool

from perfkit.claims import CPU, Experiment, Operation

AT_ONCE, QUERIES = 8, 160
QUERY = "SELECT i, 'name ' || i, now() FROM generate_series(1, {}) i"

experiment = Experiment(
    theme="async",
    claims=["O-93"],
    question="How much less processor time does an async driver use than psycopg2 in threads?",
    hypothesis="Async drivers are faster than psycopg2.",
    metric=CPU,
    varies={"rows": [1, 200]},
    because="With small answers it is the way through loop or threads that counts, with large ones "
    "decoding and prepared statements, which drivers differ in whether they are async or not.",
    advice="Choose an async driver where the handlers are async. psycopg2 in the threads of "
    "synchronous handlers is sound: change it for a reason that you have measured.",
    conditions=f"PostgreSQL on this machine, {QUERIES} queries, eight at a time, twenty on each "
    "connection that is taken from the pool, all in one process on one core. What counts is its "
    "processor time, of which the handlers have the rest: they wait for the database in either.",
    matters=0.1,
    precision=0.25,
    budget_s=25,
)


@experiment.before
def psycopg2_in_threads(postgres: str, rows: int) -> Iterator[Operation]:
    """Asks from eight threads."""
    with psycopg2_pool(postgres) as pool, ThreadPoolExecutor(AT_ONCE) as threads:

        def ask(_: int) -> None:
            connection = pool.getconn()
            connection.autocommit = True
            try:
                with connection.cursor() as cursor:
                    for _ in range(QUERIES // AT_ONCE):
                        cursor.execute(QUERY.format(rows))
                        cursor.fetchall()
            finally:
                pool.putconn(connection)

        def ask_all() -> None:
            list(threads.map(ask, range(AT_ONCE)))

        yield ask_all


@experiment.after
async def asyncpg_in_tasks(postgres: str, rows: int) -> AsyncIterator[Operation]:
    """Asks asyncpg from eight tasks."""
    async with asyncpg.create_pool(postgres, min_size=AT_ONCE, max_size=AT_ONCE) as pool:

        async def ask() -> None:
            async with pool.acquire() as connection:
                for _ in range(QUERIES // AT_ONCE):
                    await connection.fetch(QUERY.format(rows))

        async def ask_all() -> None:
            await asyncio.gather(*(ask() for _ in range(AT_ONCE)))

        yield ask_all


@experiment.beside
async def psycopg3_in_tasks(postgres: str, rows: int) -> AsyncIterator[Operation]:
    """Asks the async form of psycopg 3 from eight tasks."""
    async with AsyncConnectionPool(
        postgres, min_size=AT_ONCE, max_size=AT_ONCE, kwargs={"autocommit": True}
    ) as pool:
        await pool.wait()

        async def ask() -> None:
            async with pool.connection() as connection:
                for _ in range(QUERIES // AT_ONCE):
                    found = await connection.execute(QUERY.format(rows).encode())
                    await found.fetchall()

        async def ask_all() -> None:
            await asyncio.gather(*(ask() for _ in range(AT_ONCE)))

        yield ask_all


@contextmanager
def psycopg2_pool(url: str) -> Iterator[ThreadedConnectionPool]:
    """Have a pool of eight connections."""
    pool = ThreadedConnectionPool(AT_ONCE, AT_ONCE, url)
    try:
        yield pool
    finally:
        pool.closeall()
