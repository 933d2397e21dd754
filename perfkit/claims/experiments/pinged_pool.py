"""SQLAlchemy without a pool, with one that pings first, and with one that does not."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import NullPool, create_engine, make_url, text

from perfkit.claims import LATENCY, Experiment, Operation
from perfkit.claims.link import Links

experiment = Experiment(
    theme="pools",
    claims=["O-95"],
    question="What is left of a pool's gain when it pings each connection before use?",
    hypothesis="A pool of 20 with 10 more, pinged before use, is faster than connecting.",
    metric=LATENCY,
    varies={"round_trip_ms": [0, 5]},
    because="A ping is one round trip more for each request; connecting takes several.",
    advice="Ping where a connection may have died unseen. Where that is rare, repeat the request "
    "that failed instead: SQLAlchemy throws away the whole pool at the first dead connection.",
    conditions="SQLAlchemy with psycopg 3 in autocommit mode, one query a request; PostgreSQL on "
    "this machine, the round trip is added by a proxy.",
    precision=0.15,
    budget_s=20,
)


@experiment.before
def connection_each(postgres: str, link: Links, round_trip_ms: float) -> Iterator[Operation]:
    """Connects for each request."""
    yield from asking(postgres, link, round_trip_ms, poolclass=NullPool)


@experiment.after
def pinged(postgres: str, link: Links, round_trip_ms: float) -> Iterator[Operation]:
    """Pings a connection of the pool before its use."""
    yield from asking(
        postgres, link, round_trip_ms, pool_size=20, max_overflow=10, pool_pre_ping=True
    )


@experiment.beside
def not_pinged(postgres: str, link: Links, round_trip_ms: float) -> Iterator[Operation]:
    """Takes the pool's connection for alive."""
    yield from asking(postgres, link, round_trip_ms, pool_size=20, max_overflow=10)


def asking(url: str, link: Links, round_trip_ms: float, **pool: Any) -> Iterator[Operation]:
    """Yield what asks once on a connection of an engine."""
    with link.to_url(url, round_trip_s=round_trip_ms / 1000) as linked:
        named = make_url(linked).set(drivername="postgresql+psycopg")
        engine = create_engine(named, isolation_level="AUTOCOMMIT", **pool)
        statement = text("SELECT 1")

        def ask() -> object:
            with engine.connect() as connection:
                return connection.execute(statement).scalar()

        yield ask
        engine.dispose()
