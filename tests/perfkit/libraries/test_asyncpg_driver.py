"""What an asyncpg connection is asked lands at the request that asked, once, without values."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from perfkit import operations, pools
from perfkit.errors import PerfkitError

FRUITS = "SELECT * FROM fruits WHERE id = ?"
ALL = "SELECT * FROM fruits"


async def prepared(connection: Any) -> None:
    statement = await connection.prepare("SELECT * FROM fruits WHERE id = $1")
    await statement.fetch(1)
    await statement.fetchrow(1)
    await statement.fetchval(1)


async def iterated(connection: Any) -> None:
    async with connection.transaction():
        assert len([row async for row in connection.cursor(ALL, prefetch=1)]) == 3


async def opened(connection: Any) -> None:
    async with connection.transaction():
        cursor = await connection.cursor(ALL)
        await cursor.fetch(1)
        await cursor.fetch(1)


async def prepared_and_iterated(connection: Any) -> None:
    statement = await connection.prepare(ALL)
    async with connection.transaction():
        assert len([row async for row in statement.cursor()]) == 3


async def nested(connection: Any) -> None:
    async with connection.transaction(), connection.transaction():
        await connection.execute("SELECT 1")


# fmt: off
CASES: list[tuple[str, Callable[[Any], Awaitable[Any]], list[str]]] = [
    ("execute", lambda c: c.execute("SELECT * FROM fruits WHERE id = 1"), [FRUITS]),
    ("fetch", lambda c: c.fetch("SELECT * FROM fruits WHERE id = $1", 1), [FRUITS]),
    ("row", lambda c: c.fetchrow("SELECT * FROM fruits WHERE id = $1", 1), [FRUITS]),
    ("value", lambda c: c.fetchval("SELECT * FROM fruits WHERE id = $1", 1), [FRUITS]),
    ("many", lambda c: c.executemany("SELECT $1::int", [[1], [2]]), ["SELECT ?::int"]),
    ("rows of many", lambda c: c.fetchmany("SELECT $1::int", [[1], [2]]), ["SELECT ?::int"]),
    ("copy out", lambda c: c.copy_from_table("fruits", output=io.BytesIO()),
        ['COPY "fruits" TO STDOUT']),
    ("copy of query", lambda c: c.copy_from_query("SELECT $1::int", 1, output=io.BytesIO()),
        ["COPY (SELECT ?::int) TO STDOUT"]),
    ("copy in", lambda c: c.copy_to_table("fruits", source=io.BytesIO(b"")),
        ['COPY "fruits" FROM STDIN']),
    ("records", lambda c: c.copy_records_to_table("fruits", records=[]),
        ['COPY "fruits" FROM STDIN']),
    ("prepared", prepared, [FRUITS] * 3),
    ("iterated", iterated, [ALL]),
    ("opened", opened, [ALL]),
    ("prepared and iterated", prepared_and_iterated, [ALL]),
    ("transactions", nested, ["SELECT ?"]),
    ("reset", lambda c: c.reset(), []),
]
# fmt: on


@pytest.mark.parametrize(("ask", "names"), [case[1:] for case in CASES], ids=[c[0] for c in CASES])
def test_each_way_to_ask_counts_as_documented(
    ask: Callable[[Any], Awaitable[Any]], names: list[str], postgres_url: str, serving: Any
) -> None:
    async def main() -> list[Any]:
        connection = await asyncpg.connect(postgres_url)
        operations.watch(connection)
        with serving() as record:
            await ask(connection)
        await connection.close()
        return record.operations

    asked = asyncio.run(main())

    assert [each.name for each in asked] == names
    assert all(each.seconds > 0 and each.error == "" for each in asked)


def test_a_failed_query_counts_with_the_type_of_its_error(postgres_url: str, serving: Any) -> None:
    async def main() -> list[str]:
        connection = operations.watch(await asyncpg.connect(postgres_url))
        with serving() as record, pytest.raises(asyncpg.UndefinedTableError):
            await connection.fetch("SELECT * FROM nowhere")
        await connection.close()
        return [each.error for each in record.operations]

    assert asyncio.run(main()) == ["UndefinedTableError"]


def test_a_query_out_of_time_counts_and_one_cancelled_as_well(
    postgres_url: str, serving: Any
) -> None:
    async def main() -> list[str]:
        connection = operations.watch(await asyncpg.connect(postgres_url))
        with serving() as record:
            with pytest.raises(TimeoutError):
                await connection.execute("SELECT pg_sleep(60)", timeout=0.5)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(connection.execute("SELECT pg_sleep(60)"), 0.5)
        await connection.close()
        return [each.error for each in record.operations]

    assert asyncio.run(main()) == ["TimeoutError", "CancelledError"]


def test_a_query_is_kept_before_the_request_goes_on(postgres_url: str, serving: Any) -> None:
    async def main() -> int:
        connection = operations.watch(await asyncpg.connect(postgres_url))
        with serving() as record:
            await connection.fetch("SELECT 1")
            kept = len(record.operations)
        await connection.close()
        return kept

    assert asyncio.run(main()) == 1


def test_every_connection_of_a_pool_is_watched_until_it_is_let_go(
    postgres_url: str, serving: Any
) -> None:
    async def main() -> list[str]:
        async with asyncpg.create_pool(postgres_url, min_size=1, max_size=2) as pool:
            operations.watch(pool)
            with serving() as record:
                await asyncio.gather(pool.fetch("SELECT 1"), pool.fetch("SELECT 2"))
                async with pool.acquire() as connection:
                    await connection.execute("SELECT 3")
            operations.unwatch(pool)
            assert type(pool) is asyncpg.Pool
            return [each.name for each in record.operations]

    assert asyncio.run(main()) == ["SELECT ?"] * 3


def test_a_connection_out_of_a_pool_is_refused(postgres_url: str) -> None:
    async def main() -> None:
        async with (
            asyncpg.create_pool(postgres_url, min_size=1) as pool,
            pool.acquire() as connection,
        ):
            operations.watch(connection)

    with pytest.raises(PerfkitError, match=r"PoolConnectionProxy: use one of .*asyncpg\.Pool"):
        asyncio.run(main())


def test_a_reading_tells_use_and_waits_until_the_pool_closes(postgres_url: str) -> None:
    async def main() -> list[Any]:
        pool = await asyncpg.create_pool(postgres_url, min_size=1, max_size=1)
        operations.watch(pool, "async fruits")
        connection = await pool.acquire()
        waiting = asyncio.create_task(pool.fetch("SELECT 1"))
        await asyncio.sleep(0)
        busy = read()
        await pool.release(connection)
        await waiting
        idle = read()
        await pool.close()
        return [*busy, *idle, *read()]

    busy, idle = asyncio.run(main())

    assert (busy.system, busy.limit, busy.size, busy.in_use) == ("asyncpg", 1, 1, 1)
    assert (busy.waiting, busy.waits) == (1, 0)
    assert (idle.in_use, idle.waiting, idle.waits) == (0, 0, 1)
    assert idle.wait_seconds > 0


def read() -> list[Any]:
    return [each for each in pools.readings() if each.name == "async fruits"]


def test_being_read_and_being_watched_end_apart(postgres_url: str, serving: Any) -> None:
    async def main() -> list[Any]:
        async with asyncpg.create_pool(postgres_url, min_size=1) as pool:
            operations.watch(pool, "kept fruits")
            operations.unwatch(pool)
            pools.watch("async fruits", pool)
            with serving() as record:
                await pool.fetch("SELECT 1")
            return [*read(), len(record.operations)]

    reading, asked = asyncio.run(main())

    assert reading.in_use == 0
    assert asked == 0
