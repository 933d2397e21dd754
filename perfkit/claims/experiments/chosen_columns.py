"""Fifty rows with all their columns or with four, by how wide the others are."""

import json
from collections.abc import Iterator

import psycopg

from perfkit.claims import LATENCY, Experiment, Operation
from perfkit.claims.experiments._tables import table

experiment = Experiment(
    theme="queries",
    claims=["O-32", "O-79"],
    question="What does it save to ask for four columns instead of all?",
    hypothesis="Chosen columns are faster than SELECT *.",
    metric=LATENCY,
    varies={"wide_bytes": [0, 500, 10_000]},
    because="What is not asked for is not read, sent, decoded and encoded; narrow rows have little "
    "of that to save, and a value above 2 KB is kept apart and read only when asked for.",
    advice="Leave away what is wide and not needed: texts, documents, images. Among narrow "
    "columns choose what the answer should say, not what is fast.",
    conditions="PostgreSQL on this machine, psycopg 3, fifty rows with five columns, of which one "
    "is as wide as said; the answer is made as JSON. Wide values do not compress.",
    matters=0.15,
    precision=0.15,
    budget_s=12,
)


@experiment.prepare
def users(postgres: str) -> Iterator[None]:
    """Have fifty rows for each width."""
    columns = "id int, name text, email text, created_at text, wide int, bio text"
    rows = (
        "SELECT i, 'name ' || i, i || '@example.org', now(), wide, left(noise, wide) "
        "FROM (SELECT string_agg(md5(n || ''), '') noise FROM generate_series(1, 320) n) one, "
        "generate_series(1, 50) i, unnest(ARRAY[0, 500, 10000]) wide"
    )
    with table(postgres, "claims_wide", columns, rows) as connection:
        connection.execute("CREATE INDEX ON claims_wide (wide)")
        yield


@experiment.before
def all_columns(postgres: str, wide_bytes: int) -> Iterator[Operation]:
    """Asks for all columns."""
    yield from answering(postgres, b"SELECT * FROM claims_wide WHERE wide = %s", wide_bytes)


@experiment.after
def four_columns(postgres: str, wide_bytes: int) -> Iterator[Operation]:
    """Asks for four of them."""
    yield from answering(
        postgres,
        b"SELECT id, name, email, created_at FROM claims_wide WHERE wide = %s",
        wide_bytes,
    )


def answering(url: str, query: bytes, wide_bytes: int) -> Iterator[Operation]:
    """Yield what reads the rows and makes JSON of them."""
    with psycopg.connect(url, autocommit=True) as connection:
        yield lambda: json.dumps(connection.execute(query, [wide_bytes]).fetchall())
