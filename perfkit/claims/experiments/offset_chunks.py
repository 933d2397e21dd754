"""All rows in chunks by OFFSET, or through a cursor of the server: the time for all."""

from collections.abc import Iterator

import psycopg

from perfkit.claims import LATENCY, Experiment, Operation
from perfkit.claims.experiments._tables import table

CHUNK = 100

experiment = Experiment(
    theme="pagination",
    claims=["O-45"],
    question="How long does it take to read a table in chunks by OFFSET?",
    hypothesis="Chunks by OFFSET read a table of any size.",
    metric=LATENCY,
    varies={"rows": [200, 2000, 10_000]},
    because="Each chunk reads and drops all rows before it: ten times the rows take a hundred "
    "times as many.",
    hazard="The work grows with the square of the rows: what was quick in the test takes hours "
    "with the table of a few years.",
    advice="A cursor of the server reads each row once; where no transaction can stay open so "
    "long, chunks that go on after the last key do, too.",
    conditions="PostgreSQL on this machine, psycopg 3, a hundred rows a chunk: a thousand a chunk "
    "need ten times the rows for the same.",
    precision=0.2,
    budget_s=15,
)


@experiment.prepare
def entries(postgres: str) -> Iterator[None]:
    """Have 10 000 rows."""
    rows = "SELECT i, 'entry ' || i FROM generate_series(1, 10000) i"
    with table(postgres, "claims_offsets", "id int PRIMARY KEY, title text", rows):
        yield


@experiment.before
def by_offset(postgres: str, rows: int) -> Iterator[Operation]:
    """Asks for each chunk by its offset."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        query = "SELECT * FROM claims_offsets ORDER BY id LIMIT %s OFFSET %s"

        def read() -> int:
            return sum(
                len(connection.execute(query, [CHUNK, offset]).fetchall())
                for offset in range(0, rows, CHUNK)
            )

        yield read


@experiment.after
def through_a_cursor(postgres: str, rows: int) -> Iterator[Operation]:
    """Fetches each chunk from a cursor of the server."""
    with psycopg.connect(postgres) as connection:

        def read() -> int:
            with connection.cursor("claims") as cursor:
                cursor.execute("SELECT * FROM claims_offsets ORDER BY id LIMIT %s", [rows])
                return sum(len(cursor.fetchmany(CHUNK)) for _ in range(0, rows, CHUNK))

        yield read


@experiment.beside
def by_last_key(postgres: str, rows: int) -> Iterator[Operation]:
    """Asks for each chunk by the last key of the one before."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        query = "SELECT * FROM claims_offsets WHERE id > %s ORDER BY id LIMIT %s"

        def read() -> int:
            last = 0
            for _ in range(0, rows, CHUNK):
                last = connection.execute(query, [last, CHUNK]).fetchall()[-1][0]
            return last

        yield read
