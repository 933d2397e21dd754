"""What inserting costs with four more indexes on the table."""

from collections.abc import Iterator

import psycopg

from perfkit.claims import LATENCY, Experiment, Operation

ROWS = 2000

experiment = Experiment(
    theme="queries",
    claims=["O-65", "O-96"],
    question="What do four indexes cost those who insert?",
    hypothesis="Each column that is filtered or sorted by should have an index.",
    metric=LATENCY,
    hazard="Each index is written by each insert, and by most updates: what makes reading fast is "
    "paid for by writing.",
    advice="Index what a query is known to need, and look in pg_stat_user_indexes for those that "
    "none uses.",
    conditions="PostgreSQL on this machine, a statement that inserts 2000 rows into a temporary "
    "table, which is emptied each time; no write-ahead log is in it.",
    precision=0.15,
    budget_s=10,
)


@experiment.before
def four_indexes(postgres: str) -> Iterator[Operation]:
    """Has an index on each column."""
    yield from inserting(postgres, ["user_id", "status", "created_at", "user_id, created_at"])


@experiment.after
def primary_key_alone(postgres: str) -> Iterator[Operation]:
    """Has the primary key alone."""
    yield from inserting(postgres, [])


def inserting(url: str, indexes: list[str]) -> Iterator[Operation]:
    """Yield what inserts rows into an empty table."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "CREATE TEMPORARY TABLE claims_inserted "
            "(id int PRIMARY KEY, user_id int, status text, created_at timestamptz)"
        )
        for columns in indexes:
            connection.execute(f"CREATE INDEX ON claims_inserted ({columns})".encode())

        def insert() -> None:
            with connection.transaction(force_rollback=True):
                connection.execute("TRUNCATE claims_inserted")
                connection.execute(
                    "INSERT INTO claims_inserted SELECT i, i * 7919 %% 1000, 'status ' || i %% 5, "
                    "now() - i * 7919 %% 3000 * interval '1 s' FROM generate_series(1, %s) i",
                    [ROWS],
                )

        yield insert
