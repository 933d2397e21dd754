"""What an engine of SQLAlchemy is asked counts once, whatever driver does it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from threading import Thread
from typing import Any

import psycopg
import pytest
import sqlalchemy
from sqlalchemy import MetaData, Table, create_engine, insert, select, text
from sqlalchemy.exc import IntegrityError, ProgrammingError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool, QueuePool

from perfkit import operations, pools
from perfkit.errors import PerfkitError
from perfkit.sqlite_driver import Connection

ALL = "SELECT * FROM fruits"
DRIVERS = ["psycopg", "psycopg2"]


@pytest.fixture(params=DRIVERS)
def engine(request: pytest.FixtureRequest, postgres_url: str) -> Iterator[sqlalchemy.Engine]:
    made = create_engine(postgres_url.replace("postgresql", f"postgresql+{request.param}"))
    with made.connect():  # the driver's first questions are none of the application's
        pass
    yield made
    made.dispose()


def fruits(engine: sqlalchemy.Engine) -> Table:
    return Table("fruits", MetaData(), autoload_with=engine)


# fmt: off
CASES: list[tuple[str, Callable[[Any], Any], list[str]]] = [
    ("text", lambda c: c.execute(text("SELECT * FROM fruits WHERE id = :id"), {"id": 1}),
        ["SELECT * FROM fruits WHERE id = ?"]),
    ("driver", lambda c: c.exec_driver_sql("SELECT * FROM fruits WHERE id = 1"),
        ["SELECT * FROM fruits WHERE id = ?"]),
    ("many", lambda c: c.execute(text("UPDATE fruits SET id = :id WHERE id = :id"),
        [{"id": 7}, {"id": 8}]), ["UPDATE fruits SET id = ? WHERE id = ?"]),
    ("stream", lambda c: c.execution_options(stream_results=True).execute(text(ALL)).fetchall(),
        [ALL]),
    ("in", lambda c: c.execute(select(text("id")).select_from(text("fruits")).where(
        sqlalchemy.column("id").in_([1, 2, 3]))), ["SELECT id FROM fruits WHERE id IN (?)"]),
    ("savepoint", lambda c: c.begin_nested().commit(), []),
]
# fmt: on


@pytest.mark.parametrize(("ask", "names"), [case[1:] for case in CASES], ids=[c[0] for c in CASES])
def test_each_way_to_ask_counts_as_documented(
    ask: Callable[[Any], Any], names: list[str], engine: sqlalchemy.Engine, serving: Any
) -> None:
    operations.watch(engine)
    operations.watch(engine)

    with serving() as record, engine.connect() as connection:
        ask(connection)

    assert [each.name for each in record.operations] == names
    assert {each.system for each in record.operations} <= {"postgresql"}
    assert all(each.seconds > 0 and each.error == "" for each in record.operations)


def test_each_batch_of_a_long_insert_counts(engine: sqlalchemy.Engine, serving: Any) -> None:
    table = fruits(engine)
    operations.watch(engine)
    rows = [{"id": 100 + n, "name": f"many {n}"} for n in range(5)]
    statement = insert(table).returning(table.c.id).execution_options(insertmanyvalues_page_size=2)

    with serving() as record, engine.connect() as connection:
        assert len(connection.execute(statement, rows).fetchall()) == 5

    assert len(record.operations) == 3
    assert all(each.name.startswith("INSERT INTO fruits") for each in record.operations)
    assert not any("many" in each.name for each in record.operations)


def test_a_failed_query_counts_with_the_error_of_the_driver(
    engine: sqlalchemy.Engine, serving: Any
) -> None:
    operations.watch(engine)

    with serving() as record, engine.connect() as connection:
        with pytest.raises(IntegrityError):
            connection.execute(text("INSERT INTO fruits VALUES (9, 'fig')"))
        connection.rollback()
        connection.execute(text(ALL))

    assert [(each.name, each.error) for each in record.operations] == [
        ("INSERT INTO fruits VALUES (?)", "UniqueViolation"),
        (ALL, ""),
    ]


def test_a_connection_that_cannot_be_made_is_no_query(serving: Any) -> None:
    engine = operations.watch(create_engine("postgresql+psycopg://perfkit@127.0.0.1:1/none"))

    with serving() as record, pytest.raises(sqlalchemy.exc.OperationalError):
        engine.connect()

    assert record.operations == []


def test_a_query_counts_once_though_the_driver_is_watched_too(
    postgres_url: str, serving: Any
) -> None:
    def connect() -> psycopg.Connection[Any]:
        return operations.watch(psycopg.connect(postgres_url))

    engine = operations.watch(create_engine("postgresql+psycopg://", creator=connect))
    with engine.connect():
        pass

    with serving() as record, engine.connect() as connection:
        connection.execute(text(ALL))
        with pytest.raises(ProgrammingError):
            connection.execute(text("SELECT * FROM nowhere"))
        connection.connection.cursor().execute("ROLLBACK").execute("SELECT 1")

    engine.dispose()
    assert [each.name for each in record.operations] == [ALL, "SELECT * FROM nowhere", "SELECT ?"]


def test_a_query_counts_once_though_sqlite_is_watched_too(serving: Any) -> None:
    engine = create_engine(
        "sqlite://", creator=lambda: sqlite3.connect(":memory:", factory=Connection)
    )
    operations.watch(engine)
    with engine.connect():
        pass

    with serving() as record, engine.connect() as connection:
        connection.execute(text("SELECT 1"))

    engine.dispose()
    assert [(each.system, each.name) for each in record.operations] == [("sqlite", "SELECT ?")]


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
def test_queries_of_an_async_engine_count_once_at_their_requests(
    driver: str, postgres_url: str, serving: Any
) -> None:
    engine = create_async_engine(postgres_url.replace("postgresql", f"postgresql+{driver}"))
    operations.watch(engine)

    async def request(number: int) -> list[str]:
        with serving() as record:
            async with engine.connect() as connection:
                for _ in range(number):
                    await connection.execute(text(f"SELECT pg_sleep(0.01) AS of_{number}"))
            return [each.name for each in record.operations]

    async def main() -> list[list[str]]:
        async with engine.connect():
            pass
        asked = await asyncio.gather(*(request(number) for number in range(1, 5)))
        await engine.dispose()
        return asked

    names = asyncio.run(main())

    assert names == [[f"SELECT pg_sleep(?) AS of_{n}"] * n for n in range(1, 5)]


def test_a_cancelled_query_counts_as_cancelled(postgres_url: str, serving: Any) -> None:
    engine = operations.watch(create_async_engine(postgres_url.replace("://", "+asyncpg://")))

    async def main() -> list[Any]:
        with serving() as record:
            async with engine.connect() as connection:
                with pytest.raises(TimeoutError):
                    sleep = connection.execute(text("SELECT pg_sleep(60)"))
                    await asyncio.wait_for(sleep, 0.5)
            async with engine.connect() as connection:
                await connection.execute(text("SELECT 1"))
        await engine.dispose()
        return [(each.name, each.error) for each in record.operations]

    asked = asyncio.run(main())

    assert asked == [("SELECT pg_sleep(?)", "CancelledError"), ("SELECT ?", "")]


def test_an_engine_that_is_let_go_is_as_before(engine: sqlalchemy.Engine, serving: Any) -> None:
    operations.unwatch(operations.watch(engine))

    with serving() as record, engine.connect() as connection:
        connection.execute(text(ALL))

    assert record.operations == []
    assert type(engine.pool) is QueuePool


def test_a_reading_tells_limit_use_and_waits_also_after_dispose(
    postgres_url: str, until: Any
) -> None:
    engine = create_engine(postgres_url.replace("://", "+psycopg://"), pool_size=1, max_overflow=0)
    operations.watch(engine, "engine")
    engine.dispose()

    with engine.connect():
        thread = Thread(target=lambda: engine.connect().close())
        thread.start()
        until(lambda: read("engine").waiting == 1)
        busy = read("engine")
    thread.join()

    idle = read("engine")
    engine.dispose()
    assert (busy.system, busy.limit, busy.size, busy.in_use) == ("sqlalchemy", 1, 1, 1)
    assert (idle.in_use, idle.waiting, idle.waits) == (0, 0, 1)
    assert idle.wait_seconds > 0


def read(name: str) -> Any:
    (reading,) = [each for each in pools.readings() if each.name == name]
    return reading


def test_a_pool_without_a_limit_cannot_be_read() -> None:
    engine = create_engine("sqlite://", poolclass=NullPool)

    with pytest.raises(PerfkitError, match="NullPool has no limit"):
        pools.watch("none", engine)
