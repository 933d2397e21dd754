"""A page with a count of all rows, or with one row more than it shows, by the rows there are."""

from collections.abc import Iterator

import psycopg

from perfkit.claims import LATENCY, Experiment, Operation
from perfkit.claims.experiments._tables import table

PAGE = 20

experiment = Experiment(
    theme="pagination",
    claims=["O-31"],
    question="What does a count of all rows add to a page?",
    hypothesis="Each page can tell how many rows and pages there are.",
    metric=LATENCY,
    varies={"rows": [100, 5000, 200_000]},
    because="PostgreSQL counts by looking at every row, as each transaction may see others, while "
    "an index leads to the page at once.",
    hazard="Every page costs a walk over the whole table: the list gets slower as it grows, and "
    "the page itself is the small part of it.",
    advice="Ask for one row more than the page shows: it tells whether there is a next one. Where "
    "people want a number, take the planner's estimate, or count seldom and keep the result.",
    conditions="PostgreSQL on this machine, psycopg 3, twenty rows a page, all rows in memory and "
    "visible to all: a table that is written to is slower to count.",
    precision=0.2,
    budget_s=12,
)


@experiment.prepare
def tables(postgres: str) -> Iterator[None]:
    """Have a table of each size."""
    rows = "SELECT i, 'entry ' || i FROM generate_series(1, {}) i"
    columns = "id int PRIMARY KEY, title text"
    with (
        table(postgres, "claims_counted_100", columns, rows.format(100)),
        table(postgres, "claims_counted_5000", columns, rows.format(5000)),
        table(postgres, "claims_counted_200000", columns, rows.format(200_000)),
    ):
        yield


@experiment.before
def with_count(postgres: str, rows: int) -> Iterator[Operation]:
    """Counts all rows, then reads the page."""
    with psycopg.connect(postgres, autocommit=True) as connection:

        def page() -> tuple[object, object]:
            total = connection.execute(f"SELECT count(*) FROM claims_counted_{rows:d}").fetchone()
            return total, connection.execute(first_page(rows), [PAGE]).fetchall()

        yield page


@experiment.after
def with_one_row_more(postgres: str, rows: int) -> Iterator[Operation]:
    """Reads one row more than the page shows."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        yield lambda: connection.execute(first_page(rows), [PAGE + 1]).fetchall()


@experiment.beside
def with_estimate(postgres: str, rows: int) -> Iterator[Operation]:
    """Asks the planner how many rows it believes there are, then reads the page."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        estimate = "SELECT reltuples FROM pg_class WHERE oid = %s::regclass"

        def page() -> tuple[object, object]:
            total = connection.execute(estimate, [f"claims_counted_{rows}"]).fetchone()
            return total, connection.execute(first_page(rows), [PAGE]).fetchall()

        yield page


def first_page(rows: int) -> bytes:
    """Return the query for the first page of the table of this size."""
    return b"SELECT id, title FROM claims_counted_%d ORDER BY id LIMIT %%s" % rows
