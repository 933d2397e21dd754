"""A list answered whole, or its first twenty rows, by how many there are."""

import json
from collections.abc import Iterator

import psycopg

from perfkit.claims import LATENCY, Experiment, Operation

experiment = Experiment(
    theme="pagination",
    claims=["O-20", "O-38", "O-81", "O-97"],
    question="What does a limit of twenty rows save?",
    hypothesis="A list that is limited is fast, however long the table grows.",
    metric=LATENCY,
    varies={"rows": [20, 300, 5000]},
    because="Reading, decoding and encoding cost in proportion to the rows; twenty rows of "
    "twenty are all of them.",
    advice="Limit every list, name the order, and offer the next page.",
    conditions="PostgreSQL on this machine, psycopg 3; the answer is made as JSON and sent to "
    "nobody: over a network the difference is larger.",
    matters=0.15,
    precision=0.2,
    budget_s=12,
)


@experiment.before
def all_rows(postgres: str, rows: int) -> Iterator[Operation]:
    """Answers all rows."""
    yield from answering(postgres, "SELECT * FROM claims_capped ORDER BY id", rows)


@experiment.after
def twenty_rows(postgres: str, rows: int) -> Iterator[Operation]:
    """Answers the first twenty."""
    yield from answering(postgres, "SELECT * FROM claims_capped ORDER BY id LIMIT 20", rows)


def answering(url: str, query: str, rows: int) -> Iterator[Operation]:
    """Yield what reads the rows of a query and makes JSON of them."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "CREATE TEMPORARY TABLE claims_capped "
            "(id int PRIMARY KEY, title text, created_at timestamptz)"
        )
        connection.execute(
            "INSERT INTO claims_capped SELECT i, 'entry ' || i, now() "
            "FROM generate_series(1, %s) i",
            [rows],
        )
        connection.execute("ANALYZE claims_capped")

        def answer() -> str:
            found = connection.execute(query.encode()).fetchall()
            return json.dumps([[key, title, created.isoformat()] for key, title, created in found])

        yield answer
