"""The start times that a log of slow queries keeps, once queries fail."""

import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from sqlalchemy import Connection, ExceptionContext, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError

from perfkit.claims import Experiment, Metric, Operation

QUERIES = 10

experiment = Experiment(
    theme="monitoring",
    claims=["O-117"],
    question="How many start times stay on a connection after ten queries failed?",
    hypothesis="A start time put on a stack before each query is taken off after it.",
    metric=Metric("start times left behind", "start times", "count"),
    hazard="after_cursor_execute is not called for a query that fails: its start time stays on a "
    "connection which the pool keeps, and the list grows with each failure. Nor is the failed "
    "query ever logged, however slow it was. Later times are right, as they are taken from the "
    "end.",
    advice="Take the time off in handle_error as well, or keep one start time in the context of "
    "the execution, which ends with it.",
    conditions="SQLAlchemy with psycopg 3, ten queries that divide by zero on one connection, then "
    "one that succeeds.",
)


@experiment.before
def taken_off_after_success(postgres: str) -> Iterator[Operation]:
    """Listens to the end of queries that succeed."""
    yield from failing(postgres, listens_to_errors=False)


@experiment.after
def taken_off_after_failure_too(postgres: str) -> Iterator[Operation]:
    """Listens to errors as well."""
    yield from failing(postgres, listens_to_errors=True)


def failing(url: str, *, listens_to_errors: bool) -> Iterator[Operation]:
    """Yield what makes the queries and counts the start times left on the connection."""
    named = make_url(url).set(drivername="postgresql+psycopg")
    engine = create_engine(named, isolation_level="AUTOCOMMIT")

    def starting(connection: Connection, *_: Any) -> None:
        connection.info.setdefault("started", []).append(time.perf_counter())

    def failed(context: ExceptionContext) -> None:
        assert context.connection
        context.connection.info["started"].pop()

    event.listen(engine, "before_cursor_execute", starting)
    event.listen(
        engine, "after_cursor_execute", lambda connection, *_: connection.info["started"].pop()
    )
    if listens_to_errors:
        event.listen(engine, "handle_error", failed)

    def left_behind() -> int:
        with engine.connect() as connection:
            connection.info.pop("started", None)
            for _ in range(QUERIES):
                with suppress(DBAPIError):
                    connection.execute(text("SELECT 1 / 0"))
            connection.execute(text("SELECT 1"))
            return len(connection.info["started"])

    yield left_behind
    engine.dispose()
