"""A query on a connection of its own, or on one from a pool, over links of any length."""

from collections.abc import Iterator

import psycopg
from psycopg_pool import ConnectionPool

from perfkit.claims import LATENCY, Experiment, Operation
from perfkit.claims.link import Links

experiment = Experiment(
    theme="pools",
    claims=["O-18", "O-36", "O-75"],
    promises={"O-75": 25},
    question="What does a pool save against a connection for each request?",
    hypothesis="A query takes 2 ms from a pool where a new connection made it 50 ms: 25 times.",
    metric=LATENCY,
    varies={"round_trip_ms": [0, 2, 10]},
    because="Connecting takes several round trips and a process of PostgreSQL's; a query takes "
    "one round trip.",
    advice="Keep a pool as long as the application lives, and no larger than the work that can "
    "run at once. Count its connections for all processes together.",
    conditions="PostgreSQL on this machine, psycopg 3, no TLS and no password: with those "
    "connecting costs more. The round trip is added by a proxy.",
    precision=0.15,
)


@experiment.before
def connection_each(postgres: str, link: Links, round_trip_ms: float) -> Iterator[Operation]:
    """Connects, asks, and closes."""
    with link.to_url(postgres, round_trip_s=round_trip_ms / 1000) as url:

        def query() -> object:
            with psycopg.connect(url, autocommit=True) as connection:
                return connection.execute("SELECT 1").fetchone()

        yield query


@experiment.after
def pooled(postgres: str, link: Links, round_trip_ms: float) -> Iterator[Operation]:
    """Takes a connection out of a pool and puts it back."""
    with (
        link.to_url(postgres, round_trip_s=round_trip_ms / 1000) as url,
        ConnectionPool(url, min_size=1, max_size=2, kwargs={"autocommit": True}) as pool,
    ):
        pool.wait()

        def query() -> object:
            with pool.connection() as connection:
                return connection.execute("SELECT 1").fetchone()

        yield query
