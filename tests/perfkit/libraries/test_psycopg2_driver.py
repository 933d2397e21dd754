"""What a psycopg2 connection is asked lands at the request that asked, once, without values."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import psycopg2
import psycopg2.extras
import pytest
from psycopg2 import sql
from psycopg2.pool import ThreadedConnectionPool

from perfkit import operations, pools
from perfkit.errors import UnknownVersionError
from perfkit.psycopg2_driver import reading

FRUITS = "SELECT * FROM fruits WHERE id = ?"


@pytest.fixture
def connection(postgres_url: str) -> Iterator[Any]:
    with closing(psycopg2.connect(postgres_url)) as connected:
        yield connected


@pytest.fixture
def pool(postgres_url: str) -> Iterator[Any]:
    with closing_all(ThreadedConnectionPool(1, 2, postgres_url)) as opened:
        yield opened


class closing_all(closing[Any]):  # noqa: N801 (like closing)
    """Close a pool, whose method has another name."""

    def __exit__(self, *error: object) -> None:
        self.thing.closeall()


def ask_of_named_cursor(cursor: Any) -> None:
    named = cursor.connection.cursor("named")
    named.execute("SELECT * FROM fruits WHERE id = 1")
    named.fetchall()


def ask_in_transaction(cursor: Any) -> None:
    cursor.execute("ROLLBACK")
    cursor.execute("SELECT 1")
    cursor.connection.commit()


# fmt: off
CASES: list[tuple[str, Callable[[Any], Any], list[str]]] = [
    ("parameter", lambda c: c.execute("SELECT * FROM fruits WHERE id = %s", [1]), [FRUITS]),
    ("bytes", lambda c: c.execute(b"SELECT * FROM fruits WHERE id = 1"), [FRUITS]),
    ("composed", lambda c: c.execute(
        sql.SQL("SELECT {} FROM fruits").format(sql.Literal("s3cret"))), ["SELECT ? FROM fruits"]),
    ("many", lambda c: c.executemany("SELECT %s", [[1], [2]]), ["SELECT ?"]),
    ("procedure", lambda c: c.callproc("abs", [-7]), ["SELECT * FROM abs()"]),
    ("copy out", lambda c: c.copy_to(io.StringIO(), "fruits"), ['COPY "fruits" TO STDOUT']),
    ("copy in", lambda c: c.copy_from(io.StringIO(""), "fruits"), ['COPY "fruits" FROM STDIN']),
    ("copy", lambda c: c.copy_expert("COPY fruits TO STDOUT", io.StringIO()),
        ["COPY fruits TO STDOUT"]),
    ("pages", lambda c: psycopg2.extras.execute_values(
        c, "SELECT * FROM (VALUES %s) x", [[n] for n in range(5)], page_size=2),
        ["SELECT * FROM (VALUES (?)) x"] * 3),
    ("named cursor", ask_of_named_cursor, [FRUITS]),
    ("transaction", ask_in_transaction, ["SELECT ?"]),
]
# fmt: on


@pytest.mark.parametrize(("ask", "names"), [case[1:] for case in CASES], ids=[c[0] for c in CASES])
def test_each_way_to_ask_counts_as_documented(
    ask: Callable[[Any], Any], names: list[str], connection: Any, serving: Any
) -> None:
    operations.watch(connection)

    with serving() as record:
        ask(connection.cursor())

    assert [each.name for each in record.operations] == names
    assert {(each.system, each.error) for each in record.operations} == {("postgresql", "")}


def test_a_failed_query_counts_with_the_type_of_its_error(connection: Any, serving: Any) -> None:
    operations.watch(connection)

    with serving() as record, pytest.raises(psycopg2.errors.UndefinedTable):
        connection.cursor().execute("SELECT * FROM nowhere")

    assert [each.error for each in record.operations] == ["UndefinedTable"]


def test_a_cursor_class_of_the_applications_own_is_kept(connection: Any, serving: Any) -> None:
    connection.cursor_factory = psycopg2.extras.DictCursor
    operations.watch(connection)

    with serving() as record, connection.cursor() as cursor:
        cursor.execute("SELECT 7 AS number")
        row = cursor.fetchone()

    assert row["number"] == 7
    assert len(record.operations) == 1
    operations.unwatch(connection)
    assert connection.cursor_factory is psycopg2.extras.DictCursor


def test_connections_that_the_pool_had_before_are_watched(pool: Any, serving: Any) -> None:
    operations.watch(pool)

    with serving() as record:
        connection = pool.getconn()
        connection.cursor().execute("SELECT 1")
        pool.putconn(connection)

    assert [each.name for each in record.operations] == ["SELECT ?"]
    operations.unwatch(pool)
    assert type(pool) is ThreadedConnectionPool


def test_a_reading_tells_limit_size_and_use(pool: Any) -> None:
    pools.watch("old fruits", pool)
    connection = pool.getconn()
    other = pool.getconn()
    pool.putconn(other)

    (read,) = [each for each in pools.readings() if each.name == "old fruits"]

    pool.putconn(connection)
    assert (read.system, read.limit, read.size, read.in_use) == ("psycopg2", 2, 2, 1)
    assert (read.waiting, read.waits, read.wait_seconds) == (0, 0, 0.0)


def test_a_pool_without_the_known_names_cannot_be_read() -> None:
    with pytest.raises(UnknownVersionError, match=r"psycopg2: .*_used"):
        reading("fruits", object())
