"""All rows in chunks by OFFSET, or through a cursor, while others insert and delete."""

from collections.abc import Callable, Iterator

import psycopg

from perfkit.claims import ERRORS, Experiment, Operation

ROWS, CHUNK = 100, 10
Chunks = Callable[["psycopg.Connection[tuple[int]]"], Iterator[list[tuple[int]]]]

experiment = Experiment(
    theme="pagination",
    claims=["O-45"],
    question="How many rows are skipped or read twice when others write between the chunks?",
    hypothesis="Chunks by OFFSET read each row once.",
    metric=ERRORS,
    hazard="An offset counts from the start: a row deleted before it makes the next chunk skip "
    "one, a row inserted there makes it repeat one. ORDER BY does not help.",
    advice="Read through a cursor of the server: all it reads is as it was when it was opened. Or "
    "go on after the last key, which neither skips nor repeats a row that stays.",
    conditions="A hundred rows, ten a chunk. After each chunk the first row that is left is "
    "deleted; after every third, two rows are put before all others.",
)


@experiment.before
def by_offset(postgres: str) -> Iterator[Operation]:
    """Asks for each chunk by its offset."""

    def chunks(connection: "psycopg.Connection[tuple[int]]") -> Iterator[list[tuple[int]]]:
        offset = 0
        query = "SELECT id FROM claims_moving ORDER BY id LIMIT %s OFFSET %s"
        while rows := connection.execute(query, [CHUNK, offset]).fetchall():
            yield rows
            offset += CHUNK

    yield from reading(postgres, chunks)


@experiment.after
def through_a_cursor(postgres: str) -> Iterator[Operation]:
    """Fetches each chunk from a cursor of the server."""

    def chunks(connection: "psycopg.Connection[tuple[int]]") -> Iterator[list[tuple[int]]]:
        with connection.cursor("claims", withhold=True) as cursor:
            cursor.execute("SELECT id FROM claims_moving ORDER BY id")
            while rows := cursor.fetchmany(CHUNK):
                yield rows

    yield from reading(postgres, chunks)


def reading(url: str, chunks: Chunks) -> Iterator[Operation]:
    """Yield what reads all chunks, writes meanwhile, and counts rows missed and read again."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TEMPORARY TABLE claims_moving (id int PRIMARY KEY)")

        def skipped_or_repeated() -> int:
            connection.execute("TRUNCATE claims_moving")
            connection.execute("INSERT INTO claims_moving SELECT generate_series(1, %s)", [ROWS])
            seen: list[int] = []
            for turn, rows in enumerate(chunks(connection), 1):
                seen += [key for (key,) in rows]
                least = "(SELECT min(id) FROM claims_moving)"
                connection.execute(f"DELETE FROM claims_moving WHERE id = {least}")
                if turn % 3 == 0:
                    connection.execute(
                        f"INSERT INTO claims_moving SELECT {least} - n FROM generate_series(1, 2) n"
                    )
            there_all_along = set(range(ROWS // 2, ROWS + 1))
            return len(there_all_along - set(seen)) + len(seen) - len(set(seen))

        yield skipped_or_repeated
