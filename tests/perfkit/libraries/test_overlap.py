"""Overlapping requests, on threads and tasks, keep apart what each of them asks."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import asyncpg
import redis.asyncio
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from perfkit import operations, record
from perfkit.record import Operation, Record


def test_requests_on_threads_share_a_pool_and_no_operation(postgres_url: str, serving: Any) -> None:
    def request(number: int) -> list[str]:
        with serving() as kept:
            for _ in range(number):
                with pool.connection() as connection:
                    connection.execute(f"SELECT 1 AS of_{number}")
            return [each.name for each in kept.operations]

    with (
        ConnectionPool(postgres_url, min_size=1, max_size=4, open=True) as pool,
        ThreadPoolExecutor(8) as executor,
    ):
        operations.watch(pool)
        asked = list(executor.map(request, range(20)))

    assert asked == [[f"SELECT ? AS of_{number}"] * number for number in range(20)]


def test_requests_on_one_event_loop_share_all_and_no_operation(
    postgres_url: str, redis_url: str, serving: Any
) -> None:
    async def request(resources: Any, number: int) -> list[str]:
        pool, fast_pool, cache = resources
        with serving() as kept:
            for _ in range(number):
                async with pool.connection() as connection:
                    await connection.execute(f"SELECT 1 AS of_{number}")
                await asyncio.gather(cache.get("key"), fast_pool.fetch(f"SELECT 2 AS of_{number}"))
            return sorted(each.name for each in kept.operations)

    async def main() -> list[list[str]]:
        async with (
            AsyncConnectionPool(postgres_url, min_size=1, max_size=4, open=False) as pool,
            asyncpg.create_pool(postgres_url, min_size=1, max_size=4) as fast_pool,
            redis.asyncio.Redis.from_url(redis_url) as cache,
        ):
            resources = [operations.watch(each) for each in (pool, fast_pool, cache)]
            return await asyncio.gather(*(request(resources, number) for number in range(20)))

    asked = asyncio.run(main())

    assert asked == [
        ["GET"] * number + [f"SELECT ? AS of_{number}"] * 2 * number for number in range(20)
    ]


def test_what_is_asked_outside_of_requests_is_told_without_one(postgres_url: str) -> None:
    told: list[tuple[Operation, Record | None]] = []

    def listen(operation: Operation, of: Record | None) -> None:
        told.append((operation, of))

    record.listen(listen)
    with ConnectionPool(postgres_url, min_size=1, open=True) as pool:
        operations.watch(pool)
        with pool.connection() as connection:
            connection.execute("SELECT 1")
    record.unlisten(listen)

    assert [(operation.name, of) for operation, of in told] == [("SELECT ?", None)]
