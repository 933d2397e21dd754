"""What a psycopg connection is asked lands at the request that asked, once, without values."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
import pytest
from psycopg import sql

from perfkit import operations

FRUITS = "SELECT * FROM fruits WHERE id = ?"
Asking = Callable[[Any], Any]


def ask_of_server_cursor(connection: Any) -> None:
    with connection.cursor("named") as cursor:
        cursor.execute("SELECT * FROM fruits WHERE id > %s", [0])
        cursor.fetchmany(1)
        cursor.fetchmany(1)


def ask_in_pipeline(connection: Any) -> None:
    with connection.pipeline():
        connection.execute("SELECT 1")
        connection.execute("SELECT 2")


def copy_out(connection: Any) -> None:
    with connection.cursor().copy("COPY fruits TO STDOUT") as copy:
        list(copy)


def ask_in_transaction(connection: Any) -> None:
    connection.execute("BEGIN")
    connection.execute("SELECT 1")
    connection.execute("ROLLBACK")


# fmt: off
CASES: list[tuple[str, Asking, list[str]]] = [
    ("connection", lambda c: c.execute("SELECT * FROM fruits WHERE id = %s", [1]), [FRUITS]),
    ("literal", lambda c: c.execute("SELECT * FROM fruits WHERE id = 1"), [FRUITS]),
    ("bytes", lambda c: c.execute(b"SELECT * FROM fruits WHERE id = 1"), [FRUITS]),
    ("composed", lambda c: c.execute(
        sql.SQL("SELECT * FROM {} WHERE id = {}").format(sql.Identifier("fruits"), 7)),
        ['SELECT * FROM "fruits" WHERE id = ?']),
    ("twice", lambda c: c.cursor().execute("SELECT 1").execute("SELECT 2"), ["SELECT ?"] * 2),
    ("rows", lambda c: c.cursor(row_factory=psycopg.rows.dict_row).execute("SELECT 1").fetchall(),
        ["SELECT ?"]),
    ("many", lambda c: c.cursor().executemany("SELECT %s", [[1], [2], [3]]), ["SELECT ?"]),
    ("stream", lambda c: list(c.cursor().stream("SELECT * FROM fruits")), ["SELECT * FROM fruits"]),
    ("copy", copy_out, ["COPY fruits TO STDOUT"]),
    ("server cursor", ask_of_server_cursor, ["SELECT * FROM fruits WHERE id > ?"]),
    ("pipeline", ask_in_pipeline, ["SELECT ?", "SELECT ?"]),
    ("prepared", lambda c: c.execute("SELECT 1", prepare=True), ["SELECT ?"]),
    ("transaction", ask_in_transaction, ["SELECT ?"]),
]
# fmt: on


@pytest.mark.parametrize(("ask", "names"), [case[1:] for case in CASES], ids=[c[0] for c in CASES])
def test_each_way_to_ask_counts_as_documented(
    ask: Asking, names: list[str], postgres_url: str, serving: Any
) -> None:
    with psycopg.connect(postgres_url) as connection:
        operations.watch(connection)

        with serving() as record:
            ask(connection)

    assert [each.name for each in record.operations] == names
    assert {each.system for each in record.operations} == {"postgresql"}
    assert all(each.seconds > 0 and each.error == "" for each in record.operations)


async def copy_in(connection: Any) -> None:
    async with connection.cursor().copy("COPY fruits FROM STDIN") as copy:
        await copy.write_row((99, "lime"))
    await connection.rollback()


async def stream(connection: Any) -> None:
    assert len([row async for row in connection.cursor().stream("SELECT * FROM fruits")]) == 3


async def ask_of_async_server_cursor(connection: Any) -> None:
    async with connection.cursor("named") as cursor:
        await cursor.execute("SELECT * FROM fruits WHERE id = 1")
        await cursor.fetchall()


# fmt: off
ASYNC_CASES: list[tuple[str, Callable[[Any], Awaitable[Any]], list[str]]] = [
    ("connection", lambda c: c.execute("SELECT * FROM fruits WHERE id = %s", [1]), [FRUITS]),
    ("many", lambda c: c.cursor().executemany("SELECT %s", [[1], [2], [3]]), ["SELECT ?"]),
    ("stream", stream, ["SELECT * FROM fruits"]),
    ("copy", copy_in, ["COPY fruits FROM STDIN"]),
    ("server cursor", ask_of_async_server_cursor, [FRUITS]),
]
# fmt: on


@pytest.mark.parametrize(
    ("ask", "names"), [case[1:] for case in ASYNC_CASES], ids=[c[0] for c in ASYNC_CASES]
)
def test_each_way_to_ask_counts_as_documented_on_an_event_loop(
    ask: Callable[[Any], Awaitable[Any]], names: list[str], postgres_url: str, serving: Any
) -> None:
    async def main() -> list[str]:
        async with await psycopg.AsyncConnection.connect(postgres_url) as connection:
            operations.watch(connection)
            with serving() as record:
                await ask(connection)
            return [each.name for each in record.operations]

    assert asyncio.run(main()) == names


def test_a_failed_query_counts_with_the_type_of_its_error(postgres_url: str, serving: Any) -> None:
    with psycopg.connect(postgres_url) as connection, serving() as record:
        operations.watch(connection)

        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("INSERT INTO fruits VALUES (4, 'fig')")

    (operation,) = record.operations
    assert (operation.name, operation.error) == (
        "INSERT INTO fruits VALUES (?)",
        "UniqueViolation",
    )


def test_a_stream_that_fails_counts_with_its_error(postgres_url: str, serving: Any) -> None:
    with psycopg.connect(postgres_url) as connection, serving() as record:
        operations.watch(connection)

        with pytest.raises(psycopg.errors.UndefinedTable):
            next(connection.cursor().stream("SELECT * FROM nowhere"))

    assert [each.error for each in record.operations] == ["UndefinedTable"]


def test_a_cancelled_query_counts_as_cancelled(postgres_url: str, serving: Any) -> None:
    async def main() -> list[str]:
        async with await psycopg.AsyncConnection.connect(postgres_url) as connection:
            operations.watch(connection)
            with serving() as record:
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(connection.execute("SELECT pg_sleep(60)"), 0.5)
                return [each.error for each in record.operations]

    assert asyncio.run(main()) == ["CancelledError"]


def test_a_query_lasts_as_long_as_the_caller_waits(postgres_url: str, serving: Any) -> None:
    with psycopg.connect(postgres_url) as connection, serving() as record:
        operations.watch(connection)

        connection.execute("SELECT pg_sleep(0.1)")

    (operation,) = record.operations
    assert 0.1 <= operation.seconds < 10
    assert operation.started >= record.started


def test_a_cursor_class_of_the_applications_own_is_kept(postgres_url: str, serving: Any) -> None:
    class Loud(psycopg.ClientCursor[Any]):
        pass

    with psycopg.connect(postgres_url, cursor_factory=Loud) as connection, serving() as record:
        operations.watch(connection)
        operations.watch(connection)

        cursor = connection.execute("SELECT 1")

    assert isinstance(cursor, Loud)
    assert len(record.operations) == 1


def test_a_connection_that_is_let_go_is_as_before(postgres_url: str, serving: Any) -> None:
    with psycopg.connect(postgres_url) as connection, serving() as record:
        operations.unwatch(operations.watch(connection))

        connection.execute("SELECT 1")

    assert connection.cursor_factory is psycopg.Cursor
    assert record.operations == []
