"""Requests to a pool of SQLAlchemy after its connections were closed from outside."""

from collections.abc import Iterator
from contextlib import ExitStack

from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import OperationalError

from perfkit.claims import Experiment, Metric, Operation

POOL = 5

experiment = Experiment(
    theme="pools",
    claims=["O-95"],
    question="How many of ten requests are served after a restart of the database?",
    hypothesis="A ping before use replaces what has died, and no request fails.",
    promised=1.5,
    metric=Metric("requests served", "requests", "count", higher_is_better=True),
    advice="Ping, or repeat a request that failed on a dead connection and changed nothing.",
    conditions="SQLAlchemy with psycopg 3. pg_terminate_backend closes five idle connections, as "
    "a restart or a firewall does. Two times five requests follow, those of each five at the "
    "same time.",
)


@experiment.before
def not_pinged(postgres: str) -> Iterator[Operation]:
    """Takes the pool's connections for alive."""
    yield from asking(postgres, ping=False)


@experiment.after
def pinged(postgres: str) -> Iterator[Operation]:
    """Pings each before its use."""
    yield from asking(postgres, ping=True)


def asking(url: str, *, ping: bool) -> Iterator[Operation]:
    """Yield what breaks the connections of a pool and counts the requests that it serves."""
    named = make_url(url).set(drivername="postgresql+psycopg")
    # Only idle connections of this engine shall die: the database is others' too.
    engine = create_engine(named, pool_size=POOL, pool_pre_ping=ping, isolation_level="AUTOCOMMIT")
    others = create_engine(named, isolation_level="AUTOCOMMIT")

    def served() -> int:
        with ExitStack() as stack:
            taken = [stack.enter_context(engine.connect()) for _ in range(POOL)]
            own = [each.execute(text("SELECT pg_backend_pid()")).scalar() for each in taken]
        with others.connect() as connection:
            connection.execute(
                text("SELECT pg_terminate_backend(pid, 5000) FROM unnest(:own) pid"), {"own": own}
            )
        return five_at_once() + five_at_once()

    def five_at_once() -> int:
        answered = 0
        with ExitStack() as stack:
            for connection in [stack.enter_context(engine.connect()) for _ in range(POOL)]:
                try:
                    answered += connection.execute(text("SELECT 1")).scalar_one()
                except OperationalError:
                    pass
        return answered

    yield served
    engine.dispose()
    others.dispose()
