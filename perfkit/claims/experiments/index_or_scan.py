"""The latest posts of a user: a scan, an index on the filter, or one on filter and order."""

from collections.abc import Iterator

import psycopg

from perfkit.claims import LATENCY, Experiment, Operation

QUERY = (
    "SELECT id, created_at FROM claims_indexed WHERE user_id = 7 AND status = 'published' "
    "ORDER BY created_at DESC LIMIT 20"
)

experiment = Experiment(
    theme="queries",
    claims=["O-65", "O-80", "O-96"],
    question="From how many rows on does an index make a query faster?",
    hypothesis="Indexes on what is filtered and sorted by make a query fast.",
    metric=LATENCY,
    varies={"rows": [50, 2000, 50_000]},
    because="A scan reads all rows and a look into the index only those that fit; PostgreSQL scans "
    "a table of a page or two whatever indexes there are.",
    advice="Index filter and order together, in that order. An index on the filter alone finds the "
    "rows and leaves them to be sorted.",
    conditions="PostgreSQL on this machine, psycopg 3, all rows in memory; one row in ten is of "
    "the user.",
    matters=0.15,
    precision=0.15,
    budget_s=12,
)


@experiment.before
def without_index(postgres: str, rows: int) -> Iterator[Operation]:
    """Has the primary key alone."""
    yield from asking(postgres, rows, "")


@experiment.after
def filter_and_order(postgres: str, rows: int) -> Iterator[Operation]:
    """Has an index on the columns of filter and order."""
    yield from asking(postgres, rows, "user_id, status, created_at DESC")


@experiment.beside
def filter_alone(postgres: str, rows: int) -> Iterator[Operation]:
    """Has an index on one column of the filter."""
    yield from asking(postgres, rows, "user_id")


def asking(url: str, rows: int, indexed: str) -> Iterator[Operation]:
    """Yield what asks for the latest posts of a user."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "CREATE TEMPORARY TABLE claims_indexed AS SELECT i AS id, i %% 10 AS user_id, "
            "'published' AS status, now() - i * interval '1 s' AS created_at "
            "FROM generate_series(1, %s) i",
            [rows],
        )
        connection.execute("ALTER TABLE claims_indexed ADD PRIMARY KEY (id)")
        if indexed:
            connection.execute(f"CREATE INDEX ON claims_indexed ({indexed})".encode())
        connection.execute("ANALYZE claims_indexed")

        yield lambda: connection.execute(QUERY).fetchall()
