"""A row behind a cache that changes: the cache is told, or it is not."""

from collections.abc import Iterator

import psycopg
from redis import Redis

from perfkit.claims import ERRORS, Experiment, Operation

WRITES = 10
KEY = "claims:stale:user"

experiment = Experiment(
    theme="caches",
    claims=["O-24", "O-82"],
    question="How many reads are out of date that follow a write, behind a cache of five minutes?",
    hypothesis="A result is cached for 300 s.",
    metric=ERRORS,
    hazard="Nothing tells the cache of a write: who has just changed the row is shown the old "
    "one for five minutes, and takes the change for lost.",
    advice="Delete the key, after the commit, wherever the row is written; keep the lifetime for "
    "what you forget. Two requests at once may still store the old row: version what matters.",
    conditions=f"{WRITES} writes to one row, each followed by a read through the cache; what is "
    "counted are the reads that give the old value.",
)


@experiment.before
def left_to_expire(postgres: str, redis: str) -> Iterator[Operation]:
    """Writes to the database alone."""
    yield from writing(postgres, redis, invalidates=False)


@experiment.after
def deleted_by_the_write(postgres: str, redis: str) -> Iterator[Operation]:
    """Deletes the key after each write."""
    yield from writing(postgres, redis, invalidates=True)


def writing(postgres: str, redis: str, *, invalidates: bool) -> Iterator[Operation]:
    """Yield what writes and reads by turns and returns the number of stale reads."""
    with (
        psycopg.connect(postgres, autocommit=True) as connection,
        Redis.from_url(redis, decode_responses=True) as client,
    ):
        connection.execute("CREATE TEMPORARY TABLE claims_row AS SELECT 0 AS version")

        def read() -> int:
            cached = client.get(KEY)
            if isinstance(cached, str):
                return int(cached)
            row = connection.execute("SELECT version FROM claims_row").fetchone()
            assert row
            client.setex(KEY, 300, row[0])
            return int(row[0])

        def write(version: int) -> None:
            connection.execute("UPDATE claims_row SET version = %s", [version])
            if invalidates:
                client.delete(KEY)

        def stale_reads() -> int:
            client.delete(KEY)
            write(0)
            read()
            stale = 0
            for version in range(1, WRITES + 1):
                write(version)
                stale += read() != version
            return stale

        yield stale_reads
        client.delete(KEY)
