"""What a client of redis-py commands lands at the request that asked, without keys and values."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from threading import Thread
from typing import Any

import pytest
import redis
import redis.asyncio

from perfkit import operations, pools
from perfkit.redis_client import command_name


@pytest.fixture
def client(redis_url: str) -> Iterator[Any]:
    with redis.Redis.from_url(redis_url) as connected:
        yield connected


def pipeline(client: Any) -> None:
    client.pipeline(transaction=False).set("s3cret", 1).get("s3cret").execute()


def transaction(client: Any) -> None:
    with client.pipeline() as pipe:
        pipe.watch("s3cret")
        pipe.get("s3cret")
        pipe.multi()
        pipe.set("s3cret", 2).execute()


def script(client: Any) -> None:
    client.register_script("return 1")()


# fmt: off
CASES: list[tuple[str, Callable[[Any], Any], list[str]]] = [
    ("command", lambda c: c.set("s3cret", "value"), ["SET"]),
    ("subcommand", lambda c: c.config_get("save"), ["CONFIG GET"]),
    ("by hand", lambda c: c.execute_command("get", "s3cret"), ["GET"]),
    ("iterator", lambda c: list(c.scan_iter("s3cret*")), ["SCAN"]),
    ("pipeline", pipeline, ["PIPELINE"]),
    ("empty pipeline", lambda c: c.pipeline().execute(), []),
    ("plain transaction", lambda c: c.pipeline().get("s3cret").execute(), ["MULTI"]),
    ("transaction", transaction, ["WATCH", "GET", "MULTI"]),
]
# fmt: on


@pytest.mark.parametrize(("ask", "names"), [case[1:] for case in CASES], ids=[c[0] for c in CASES])
def test_each_way_to_ask_counts_as_documented(
    ask: Callable[[Any], Any], names: list[str], client: Any, serving: Any
) -> None:
    operations.watch(client)

    with serving() as record:
        ask(client)

    assert [each.name for each in record.operations] == names
    assert all(each.system == "redis" and each.seconds > 0 for each in record.operations)


def test_a_script_counts_with_the_loading_of_it(client: Any, serving: Any) -> None:
    client.script_flush()
    operations.watch(client)

    with serving() as record:
        script(client)

    assert [(each.name, each.error) for each in record.operations] == [
        ("EVALSHA", "NoScriptError"),
        ("SCRIPT LOAD", ""),
        ("EVALSHA", ""),
    ]


async def async_pipeline(client: Any) -> None:
    await client.pipeline(transaction=False).set("s3cret", 1).get("s3cret").execute()


async def async_transaction(client: Any) -> None:
    async with client.pipeline() as pipe:
        await pipe.watch("s3cret")
        await pipe.get("s3cret")
        pipe.multi()
        await pipe.set("s3cret", 2).execute()


# fmt: off
ASYNC_CASES: list[tuple[str, Callable[[Any], Awaitable[Any]], list[str]]] = [
    ("command", lambda c: c.set("s3cret", "value"), ["SET"]),
    ("pipeline", async_pipeline, ["PIPELINE"]),
    ("plain transaction", lambda c: c.pipeline().get("s3cret").execute(), ["MULTI"]),
    ("transaction", async_transaction, ["WATCH", "GET", "MULTI"]),
]
# fmt: on


@pytest.mark.parametrize(
    ("ask", "names"), [case[1:] for case in ASYNC_CASES], ids=[c[0] for c in ASYNC_CASES]
)
def test_each_way_to_ask_counts_as_documented_on_an_event_loop(
    ask: Callable[[Any], Awaitable[Any]], names: list[str], redis_url: str, serving: Any
) -> None:
    async def main() -> list[str]:
        async with redis.asyncio.Redis.from_url(redis_url) as client:
            operations.watch(client)
            with serving() as record:
                await ask(client)
        return [each.name for each in record.operations]

    assert asyncio.run(main()) == names


def test_a_failed_command_counts_with_the_type_of_its_error(client: Any, serving: Any) -> None:
    client.set("text", "a")
    operations.watch(client)

    with serving() as record, pytest.raises(redis.ResponseError):
        client.incr("text")

    assert [(each.name, each.error) for each in record.operations] == [("INCRBY", "ResponseError")]


def test_a_cancelled_command_counts_as_cancelled(redis_url: str, serving: Any) -> None:
    async def main() -> list[str]:
        async with redis.asyncio.Redis.from_url(redis_url) as client:
            operations.watch(client)
            with serving() as record, pytest.raises(TimeoutError):
                await asyncio.wait_for(client.blpop("nothing here", timeout=60), 0.5)
        return [each.error for each in record.operations]

    assert asyncio.run(main()) == ["CancelledError"]


def test_a_client_that_is_let_go_is_as_before(client: Any, serving: Any) -> None:
    operations.unwatch(operations.watch(client))

    with serving() as record:
        client.ping()

    assert record.operations == []
    assert type(client) is redis.Redis
    assert type(client.connection_pool) is redis.ConnectionPool


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ("GET", "GET"),
        (b"JSON.GET", "JSON.GET"),
        ("CONFIG GET", "CONFIG GET"),
        ("SET s3cret", "SET"),
        ("CLIENT s3cr=t", "_OTHER"),
        ("what is this?", "WHAT"),
        ("é", "_OTHER"),
        ("", "_OTHER"),
    ],
)
def test_a_command_is_named_without_what_it_is_given(sent: str | bytes, name: str) -> None:
    assert command_name(sent) == name


def read(name: str) -> Any:
    (reading,) = [each for each in pools.readings() if each.name == name]
    return reading


def test_a_reading_tells_limit_size_and_use(redis_url: str) -> None:
    pool = redis.ConnectionPool.from_url(redis_url, max_connections=5)
    pools.watch("cache", pool)

    connection = pool.get_connection()
    busy = read("cache")
    pool.release(connection)

    idle = read("cache")
    pool.close()
    assert (busy.system, busy.limit, busy.size, busy.in_use) == ("redis", 5, 1, 1)
    assert (idle.size, idle.in_use, idle.waits) == (1, 0, 0)


def test_a_reading_tells_who_waits_for_a_blocking_pool(redis_url: str, until: Any) -> None:
    pool = redis.BlockingConnectionPool.from_url(redis_url, max_connections=1)
    client = operations.watch(redis.Redis.from_pool(pool), "blocking cache")

    connection = pool.get_connection()
    thread = Thread(target=client.ping)
    thread.start()
    until(lambda: read("blocking cache").waiting == 1)
    pool.release(connection)
    thread.join()

    reading = read("blocking cache")
    client.close()
    assert (reading.limit, reading.waiting, reading.waits) == (1, 0, 1)
    assert reading.wait_seconds > 0


def test_a_reading_tells_who_waits_on_an_event_loop(redis_url: str) -> None:
    async def main() -> tuple[Any, Any]:
        pool = redis.asyncio.BlockingConnectionPool.from_url(redis_url, max_connections=1)
        client = operations.watch(redis.asyncio.Redis.from_pool(pool), "async cache")
        connection = await pool.get_connection()
        waiting = asyncio.ensure_future(client.ping())
        await asyncio.sleep(0)
        busy = read("async cache")
        await pool.release(connection)
        await waiting
        idle = read("async cache")
        await client.aclose()
        return busy, idle

    busy, idle = asyncio.run(main())

    assert (busy.limit, busy.in_use, busy.waiting, busy.waits) == (1, 1, 1, 0)
    assert (idle.in_use, idle.waiting, idle.waits) == (0, 0, 1)
