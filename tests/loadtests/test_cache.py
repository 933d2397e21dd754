"""What is cached is never older than what was cached before."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest

from loadtests.cache import Cache, Found, connect
from perfkit.services import Services

OLD = {"version": 1, "name": "old"}
NEW = {"version": 2, "name": "new"}


@pytest.fixture
def with_cache(services: Services) -> Callable[[Callable[[Cache], Awaitable[Any]]], Any]:
    """Call a coroutine function with a cache that lives on a loop of its own."""

    async def use(function: Callable[[Cache], Awaitable[Any]]) -> Any:
        async with connect(services.redis_url) as client:
            return await function(Cache(client))

    return lambda function: asyncio.run(use(function))


async def nothing() -> None:
    return None


def test_a_reader_who_comes_late_does_not_bring_back_the_old(
    with_cache: Callable[..., Any],
) -> None:
    key = str(uuid4())

    async def change_while_a_reader_holds_the_old(cache: Cache) -> Found | None:
        async def find() -> dict[str, Any]:
            await cache.put(key, NEW)
            return OLD

        await cache.get(key, find)
        return await cache.get(key, nothing)

    found = with_cache(change_while_a_reader_holds_the_old)

    assert found == Found(NEW, "HIT")


def test_what_is_not_there_is_looked_for_again(with_cache: Callable[..., Any]) -> None:
    key = str(uuid4())

    async def look_twice(cache: Cache) -> list[Found | None]:
        async def find() -> dict[str, Any]:
            return NEW

        return [await cache.get(key, nothing), await cache.get(key, find)]

    found = with_cache(look_twice)

    assert found == [None, Found(NEW, "MISS")]


def test_more_readers_than_connections_wait_their_turn(with_cache: Callable[..., Any]) -> None:
    key = str(uuid4())

    async def read_all_at_once(cache: Cache) -> list[Found | None]:
        await cache.put(key, NEW)
        return await asyncio.gather(*(cache.get(key, nothing) for _ in range(100)))

    found = with_cache(read_all_at_once)

    assert found == [Found(NEW, "HIT")] * 100
