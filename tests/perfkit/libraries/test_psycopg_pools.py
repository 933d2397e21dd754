"""A pool of psycopg: all of its connections are watched, and it tells how full it is."""

from __future__ import annotations

import asyncio
from threading import Thread
from typing import Any

import pytest
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from perfkit import operations, pools
from perfkit.occupancy import Reading


@pytest.fixture
def pool(postgres_url: str) -> Any:
    with ConnectionPool(postgres_url, min_size=1, max_size=2, open=True) as opened:
        opened.wait()
        yield opened


def read(name: str) -> Reading:
    (reading,) = [each for each in pools.readings() if each.name == name]
    return reading


def test_connections_that_the_pool_had_before_are_watched(pool: Any, serving: Any) -> None:
    operations.watch(pool)

    with serving() as record, pool.connection() as connection:
        connection.execute("SELECT 1")

    assert [each.name for each in record.operations] == ["SELECT ?"]


def test_connections_of_an_async_pool_are_watched(postgres_url: str, serving: Any) -> None:
    async def main() -> list[str]:
        async with AsyncConnectionPool(postgres_url, min_size=1, open=False) as pool:
            operations.watch(pool)
            with serving() as record:
                async with pool.connection() as connection:
                    await connection.execute("SELECT 1")
            return [each.name for each in record.operations]

    assert asyncio.run(main()) == ["SELECT ?"]


def test_a_pool_that_is_let_go_is_of_its_own_class_again(pool: Any) -> None:
    operations.watch(pool, "let go")

    operations.unwatch(pool)

    assert type(pool) is ConnectionPool
    assert "let go" not in [each.name for each in pools.readings()]


def test_a_reading_tells_limit_size_and_use(pool: Any) -> None:
    operations.watch(pool, "fruits")

    with pool.connection():
        reading = read("fruits")

    assert (reading.system, reading.limit, reading.size, reading.in_use) == (
        "psycopg_pool",
        2,
        1,
        1,
    )
    assert (reading.waiting, reading.waits) == (0, 0)


def test_a_reading_tells_who_waits_and_how_long_they_did(pool: Any, until: Any) -> None:
    pools.watch("busy fruits", pool)

    with pool.connection(), pool.connection():
        thread = Thread(target=lambda: pool.putconn(pool.getconn()))
        thread.start()
        until(lambda: read("busy fruits").waiting == 1)
    thread.join()

    reading = read("busy fruits")
    assert (reading.waiting, reading.in_use) == (0, 0)
    assert reading.waits >= 1
    assert reading.wait_seconds > 0
