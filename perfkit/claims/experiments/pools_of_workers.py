"""A pool of thirty connections in each process, by the number of processes."""

from contextlib import ExitStack

from sqlalchemy import create_engine, make_url
from sqlalchemy.exc import OperationalError

from perfkit.claims import ERRORS, Experiment, Operation

experiment = Experiment(
    theme="pools",
    claims=["O-04", "O-52", "O-95"],
    question="How many connections are refused when each process may open thirty?",
    hypothesis="A pool of 20 with 10 more for peaks suits an application.",
    metric=ERRORS,
    varies={"processes": [2, 4]},
    because="Each process has a pool of its own, and PostgreSQL allows a hundred connections "
    "unless it is told otherwise: three times thirty fit, four times do not.",
    hazard="At the peak for which the overflow was meant, connections are refused, to other "
    "applications of the database as well.",
    advice="Divide the connections of the database by all processes that use it, and leave some "
    "free for maintenance. Ten for each process are many: on two cores no more than a few queries "
    "run at once. Above that, let a pooler such as PgBouncer hold them.",
    conditions="As many engines of SQLAlchemy in one process as there would be processes, each at "
    "its peak. Safe is a share of 48 connections, divided by the processes.",
)


@experiment.before
def thirty_each(postgres: str, processes: int) -> Operation:
    """Lets each open 20, and 10 more."""
    return lambda: refused(postgres, processes, size=20, overflow=10)


@experiment.after
def share_of_the_limit(postgres: str, processes: int) -> Operation:
    """Lets each open its share of what there is."""
    return lambda: refused(postgres, processes, size=48 // processes, overflow=0)


def refused(url: str, processes: int, *, size: int, overflow: int) -> int:
    """Return how many connections are refused, when every pool is used up."""
    named = make_url(url).set(drivername="postgresql+psycopg")
    refusals = 0
    with ExitStack() as stack:
        for _ in range(processes):
            engine = create_engine(named, pool_size=size, max_overflow=overflow)
            stack.callback(engine.dispose)
            for _ in range(size + overflow):
                try:
                    stack.enter_context(engine.connect())
                except OperationalError:
                    refusals += 1
    return refusals
