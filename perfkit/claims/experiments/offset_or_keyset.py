"""The next page of a list by OFFSET or by the last key seen, at growing depth."""

from collections.abc import Iterator

import psycopg

from perfkit.claims import LATENCY, Experiment, Operation

PAGE = 20

experiment = Experiment(
    theme="pagination",
    claims=["O-29", "O-97"],
    question="What does the page at depth N cost by OFFSET, and what by the last key?",
    hypothesis="LIMIT with OFFSET is an efficient way to page.",
    metric=LATENCY,
    varies={"depth": [0, 1000, 10_000, 100_000]},
    because="PostgreSQL reads all the rows before the offset and throws them away, while an index "
    "leads to a key at once.",
    hazard="OFFSET reads and drops every row before the page: who asks for a deep page, a "
    "crawler for one, makes the database work in proportion to the depth.",
    advice="Page by the last key seen: WHERE (created_at, id) < (..., ...) ORDER BY both, with an "
    "index on both. It also neither skips nor repeats rows when others are inserted.",
    conditions="PostgreSQL on this machine, psycopg 3, 200 000 rows, 20 a page, an index on the "
    "order; all rows in memory.",
    precision=0.15,
)


@experiment.prepare
def table(postgres: str) -> Iterator[None]:
    """Have a table of 200 000 rows in order of an index."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS claims_entries")
        connection.execute("CREATE TABLE claims_entries (id int PRIMARY KEY, title text)")
        connection.execute(
            "INSERT INTO claims_entries SELECT i, 'entry ' || i FROM generate_series(1, 200000) i"
        )
        connection.execute("VACUUM ANALYZE claims_entries")
        yield
        connection.execute("DROP TABLE claims_entries")


@experiment.before
def offset(postgres: str, depth: int) -> Iterator[Operation]:
    """Skips the rows before the page with OFFSET."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        page = "SELECT id, title FROM claims_entries ORDER BY id LIMIT %s OFFSET %s"

        yield lambda: connection.execute(page, [PAGE, depth]).fetchall()


@experiment.after
def keyset(postgres: str, depth: int) -> Iterator[Operation]:
    """Goes on after the last key of the page before."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        page = "SELECT id, title FROM claims_entries WHERE id > %s ORDER BY id LIMIT %s"

        yield lambda: connection.execute(page, [depth, PAGE]).fetchall()
