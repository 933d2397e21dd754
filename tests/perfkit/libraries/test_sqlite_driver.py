"""What an SQLite connection is asked lands at the request that asked, once, without values."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from perfkit import operations
from perfkit.errors import PerfkitError
from perfkit.sqlite_driver import Connection

FRUITS = "SELECT * FROM fruits WHERE id = ?"


@pytest.fixture
def connection() -> Iterator[Any]:
    with closing(sqlite3.connect(":memory:", factory=Connection)) as connected:
        connected.execute("CREATE TABLE fruits (id int, name text UNIQUE)")
        yield connected


def ask_in_transaction(connection: Any) -> None:
    with connection:
        connection.execute("BEGIN")
        connection.execute("SELECT 1")


# fmt: off
CASES: list[tuple[str, Callable[[Any], Any], list[str]]] = [
    ("connection", lambda c: c.execute("SELECT * FROM fruits WHERE id = ?", [1]), [FRUITS]),
    ("named", lambda c: c.execute("SELECT * FROM fruits WHERE id = :id", {"id": 1}), [FRUITS]),
    ("cursor", lambda c: c.cursor().execute("SELECT * FROM fruits WHERE id = 1"), [FRUITS]),
    ("many", lambda c: c.executemany("INSERT INTO fruits VALUES (?, ?)", [(1, "a"), (2, "b")]),
        ["INSERT INTO fruits VALUES (?)"]),
    ("script", lambda c: c.executescript("SELECT 1; SELECT 2"), ["SELECT ?; SELECT ?"]),
    ("transaction", ask_in_transaction, ["SELECT ?"]),
]
# fmt: on


@pytest.mark.parametrize(("ask", "names"), [case[1:] for case in CASES], ids=[c[0] for c in CASES])
def test_each_way_to_ask_counts_as_documented(
    ask: Callable[[Any], Any], names: list[str], connection: Any, serving: Any
) -> None:
    with serving() as record:
        ask(connection)

    assert [each.name for each in record.operations] == names
    assert {(each.system, each.error) for each in record.operations} == {("sqlite", "")}


def test_a_failed_query_counts_with_the_type_of_its_error(connection: Any, serving: Any) -> None:
    with serving() as record, pytest.raises(sqlite3.OperationalError):
        connection.execute("SELECT * FROM nowhere")

    assert [each.error for each in record.operations] == ["OperationalError"]


def test_a_cursor_class_of_the_applications_own_is_kept(connection: Any, serving: Any) -> None:
    class Loud(sqlite3.Cursor):
        pass

    with serving() as record:
        cursor = connection.cursor(Loud)
        cursor.execute("SELECT 1")

    assert isinstance(cursor, Loud)
    assert len(record.operations) == 1


def test_a_connection_made_with_the_factory_is_watched_as_it_is(connection: Any) -> None:
    assert operations.watch(connection) is connection


def test_a_connection_made_without_the_factory_is_refused_with_the_way_to_do_it() -> None:
    with (
        closing(sqlite3.connect(":memory:")) as connection,
        pytest.raises(PerfkitError, match=r"factory=perfkit\.sqlite_driver\.Connection"),
    ):
        operations.watch(connection)


def test_a_connection_made_with_the_factory_cannot_be_let_go(connection: Any) -> None:
    with pytest.raises(PerfkitError, match="until it is closed"):
        operations.unwatch(connection)
