"""A table read at once, in chunks, or through a cursor of the server: the peak of memory."""

from collections.abc import Iterator

import psycopg

from perfkit.claims import PEAK_MEMORY, Experiment, Operation
from perfkit.claims.experiments._tables import table

CHUNK = 100

experiment = Experiment(
    theme="pagination",
    claims=["O-45"],
    question="How much memory does it take to read all rows in chunks?",
    hypothesis="Chunks keep memory in check, however many rows there are.",
    metric=PEAK_MEMORY,
    varies={"rows": [100, 1000, 5000]},
    because="Read at once, all rows are in memory together; in chunks there are as many as a chunk "
    "has, so a table of one chunk gains nothing.",
    advice="Read what may grow through a cursor of the server, which needs as little memory.",
    conditions="psycopg 3, rows of some fifty bytes, a hundred a chunk; what Python allocated at "
    "the peak, to which libpq adds its own copy of what is read at once.",
    precision=0.25,
)


@experiment.prepare
def entries(postgres: str) -> Iterator[None]:
    """Have 5000 rows."""
    rows = "SELECT i, repeat('x', 50) || i FROM generate_series(1, 5000) i"
    with table(postgres, "claims_chunked", "id int PRIMARY KEY, title text", rows):
        yield


@experiment.before
def at_once(postgres: str, rows: int) -> Iterator[Operation]:
    """Fetches all rows."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        query = "SELECT * FROM claims_chunked WHERE id <= %s ORDER BY id"

        yield lambda: sum(len(row) for row in connection.execute(query, [rows]).fetchall())


@experiment.after
def in_chunks(postgres: str, rows: int) -> Iterator[Operation]:
    """Fetches a hundred at a time with OFFSET."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        query = "SELECT * FROM claims_chunked WHERE id <= %s ORDER BY id LIMIT %s OFFSET %s"

        def read() -> int:
            return sum(
                len(row)
                for offset in range(0, rows, CHUNK)
                for row in connection.execute(query, [rows, CHUNK, offset]).fetchall()
            )

        yield read


@experiment.beside
def through_a_cursor(postgres: str, rows: int) -> Iterator[Operation]:
    """Fetches a hundred at a time through a cursor of the server."""
    with psycopg.connect(postgres) as connection:

        def read() -> int:
            with connection.cursor("claims") as cursor:
                cursor.itersize = CHUNK
                cursor.execute("SELECT * FROM claims_chunked WHERE id <= %s ORDER BY id", [rows])
                return sum(len(row) for row in cursor)

        yield read
