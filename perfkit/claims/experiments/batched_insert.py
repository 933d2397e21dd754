"""Rows inserted one by one, in one transaction, by executemany, or by COPY."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import psycopg

from perfkit.claims import THROUGHPUT, Experiment, Operation
from perfkit.claims.link import Links

ROWS_AT_ONCE = 25
ROWS = [(f"user {number}", f"user{number}@example.org") for number in range(ROWS_AT_ONCE)]
SCHEMA = f"claims_batch_{os.getpid()}".encode()
"""Of this process alone: the variants fill a table of the same name."""
INSERT = "INSERT INTO claims_batch VALUES (%s, %s)"

experiment = Experiment(
    theme="queries",
    claims=["O-44"],
    question="How many more rows a second does one transaction insert, when rows go one by one?",
    hypothesis="Many rows in a transaction are inserted faster than one by one.",
    metric=THROUGHPUT,
    varies={"round_trip_ms": [0, 5]},
    because="A transaction saves the commit of each row, but no round trip: the longer the way, "
    "the less of the whole that is. executemany sends rows without waiting, COPY sends a stream.",
    advice="Send many rows by executemany of a driver that sends them together, as psycopg 3 and "
    "asyncpg do, or by COPY. A loop around single statements is none of them, whatever it is "
    "called: look at what goes over the wire.",
    conditions="PostgreSQL on this machine; a commit waits until its log is written, but without "
    "fsync not until it is on the disk: where that has to be waited for, the transaction gains "
    f"more. {ROWS_AT_ONCE} rows; the round trip is added by a proxy.",
    matters=0.15,
    precision=0.2,
    budget_s=25,
)


@experiment.before
def one_by_one(postgres: str, link: Links, round_trip_ms: float) -> Iterator[Operation]:
    """Commits each row."""

    def insert(connection: psycopg.Connection[Any]) -> None:
        for row in ROWS:
            connection.execute(INSERT, row)

    yield from inserting(postgres, link, round_trip_ms, insert)


@experiment.after
def in_one_transaction(postgres: str, link: Links, round_trip_ms: float) -> Iterator[Operation]:
    """Sends each row by itself, within one transaction."""

    def insert(connection: psycopg.Connection[Any]) -> None:
        with connection.transaction():
            for row in ROWS:
                connection.execute(INSERT, row)

    yield from inserting(postgres, link, round_trip_ms, insert)


@experiment.beside
def by_executemany(postgres: str, link: Links, round_trip_ms: float) -> Iterator[Operation]:
    """Sends all rows without waiting for each."""

    def insert(connection: psycopg.Connection[Any]) -> None:
        with connection.transaction():
            connection.cursor().executemany(INSERT, ROWS)

    yield from inserting(postgres, link, round_trip_ms, insert)


@experiment.beside
def by_copy(postgres: str, link: Links, round_trip_ms: float) -> Iterator[Operation]:
    """Sends all rows as one stream."""

    def insert(connection: psycopg.Connection[Any]) -> None:
        with connection.cursor().copy("COPY claims_batch FROM STDIN") as copy:
            for row in ROWS:
                copy.write_row(row)

    yield from inserting(postgres, link, round_trip_ms, insert)


def inserting(
    url: str,
    link: Links,
    round_trip_ms: float,
    insert: Callable[[psycopg.Connection[Any]], None],
) -> Iterator[Operation]:
    """Yield what inserts all rows into an empty table and tells how many."""
    with (
        link.to_url(url, round_trip_s=round_trip_ms / 1000) as linked,
        psycopg.connect(linked, autocommit=True) as connection,
    ):
        # A temporary table would have no log to write, which is what a commit waits for.
        connection.execute(b"CREATE SCHEMA " + SCHEMA)
        connection.execute(b"SET search_path TO " + SCHEMA)
        connection.execute("SET synchronous_commit TO on")
        connection.execute("CREATE TABLE claims_batch (name text, email text)")

        def inserted() -> int:
            insert(connection)
            return connection.execute("DELETE FROM claims_batch").rowcount

        yield inserted
        connection.execute(b"DROP SCHEMA " + SCHEMA + b" CASCADE")
