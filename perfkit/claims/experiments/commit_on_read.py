"""Reading through a context manager that commits, or in autocommit mode, over the network."""

from collections.abc import Iterator
from contextlib import closing

import psycopg2

from perfkit.claims import LATENCY, Experiment, Operation
from perfkit.claims.link import Links

experiment = Experiment(
    theme="pools",
    claims=["O-19"],
    question="What does it cost to commit a read?",
    hypothesis="One context manager that commits serves reads and writes alike.",
    metric=LATENCY,
    varies={"round_trip_ms": [0, 2]},
    because="BEGIN and COMMIT are a round trip each: two more for a single query.",
    hazard="Each read waits three times for the database where once would do, and holds its "
    "connection all that time, so a pool serves a third of the requests.",
    advice="Read in autocommit mode, where one query needs no transaction; open one for writes, "
    "and for reads that have to agree with one another.",
    conditions="PostgreSQL on this machine, psycopg2, one query; the round trip is added by a "
    "proxy.",
    precision=0.15,
    budget_s=10,
)


@experiment.before
def committed(postgres: str, link: Links, round_trip_ms: float) -> Iterator[Operation]:
    """Reads within a transaction, and commits it."""
    yield from reading(postgres, link, round_trip_ms, autocommit=False)


@experiment.after
def in_autocommit(postgres: str, link: Links, round_trip_ms: float) -> Iterator[Operation]:
    """Reads in autocommit mode."""
    yield from reading(postgres, link, round_trip_ms, autocommit=True)


def reading(
    url: str, link: Links, round_trip_ms: float, *, autocommit: bool
) -> Iterator[Operation]:
    """Yield what reads one row and commits, if there is anything to commit."""
    with (
        link.to_url(url, round_trip_s=round_trip_ms / 1000) as linked,
        closing(psycopg2.connect(linked)) as connection,
    ):
        connection.autocommit = autocommit

        def read() -> object:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
                found = cursor.fetchone()
            if not autocommit:
                connection.commit()
            return found

        yield read
