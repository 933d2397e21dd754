"""Tables that experiments measure on."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, LiteralString

import psycopg


@contextmanager
def table(
    url: str, name: LiteralString, columns: LiteralString, rows: LiteralString = ""
) -> Iterator[psycopg.Connection[Any]]:
    """Have a table with the *rows* that a query returns, and none when the block ends.

    What is there by that name goes first.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"DROP TABLE IF EXISTS {name} CASCADE")
        connection.execute(f"CREATE TABLE {name} ({columns})")
        if rows:
            connection.execute(f"INSERT INTO {name} {rows}")
        connection.execute(f"VACUUM ANALYZE {name}")
        yield connection
        connection.execute(f"DROP TABLE {name} CASCADE")
