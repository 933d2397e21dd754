"""EXPLAIN ANALYZE of a statement that writes."""

from collections.abc import Iterator
from typing import Any

import psycopg

from perfkit.claims import Experiment, Metric, Operation

ROWS = 10

experiment = Experiment(
    theme="queries",
    claims=["O-46"],
    question="How many of ten rows are gone once somebody asked for the plan of a DELETE?",
    hypothesis="EXPLAIN ANALYZE tells how long a statement takes.",
    metric=Metric("rows lost", "rows", "count"),
    hazard="EXPLAIN ANALYZE executes the statement to time it: a DELETE deletes, and a query that "
    "takes an hour takes an hour.",
    advice="EXPLAIN alone for the plan. For the times, ANALYZE within a transaction that is "
    "rolled back, and never on statements that a client may write.",
    conditions="A table of ten rows, of which the statement deletes all.",
)


@experiment.before
def analysed(postgres: str) -> Iterator[Operation]:
    """Asks by EXPLAIN ANALYZE."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        yield lambda: rows_lost(connection)


@experiment.after
def analysed_and_rolled_back(postgres: str) -> Iterator[Operation]:
    """Asks by EXPLAIN ANALYZE in a transaction that is rolled back."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        yield lambda: rows_lost(connection, roll_back=True)


def rows_lost(connection: psycopg.Connection[Any], *, roll_back: bool = False) -> int:
    """Fill the table, ask for the plan of a DELETE, and return how many rows are gone."""
    connection.execute("CREATE TEMPORARY TABLE IF NOT EXISTS claims_explained (id int)")
    connection.execute("TRUNCATE claims_explained")
    connection.execute("INSERT INTO claims_explained SELECT generate_series(1, %s)", [ROWS])
    with connection.transaction(force_rollback=roll_back):
        plan = connection.execute("EXPLAIN ANALYZE DELETE FROM claims_explained").fetchall()
    assert any("Execution Time" in line for (line,) in plan), plan
    left = connection.execute("SELECT count(*) FROM claims_explained").fetchone()
    assert left is not None
    return ROWS - int(left[0])
