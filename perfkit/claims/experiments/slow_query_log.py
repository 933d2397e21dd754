"""Requests of many quick queries, under a log of slow queries and under a count of queries."""

import time
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text

from perfkit.claims import Experiment, Metric, Operation

REQUESTS, QUERIES_EACH = 5, 51
SLOW_S, MANY = 1.0, 10

experiment = Experiment(
    theme="monitoring",
    claims=["O-117"],
    question="How many of five requests with 51 queries each go unnoticed?",
    hypothesis="A log of queries slower than a second finds what makes requests slow.",
    metric=Metric("requests unnoticed", "requests", "count"),
    hazard="A request that asks once for each row has no slow query: it has many quick ones, and "
    "the log stays empty however long it takes.",
    advice="Count the queries of a request beside their times, and let a budget fail the test: "
    "perfkit counts both, and names statements that are repeated.",
    conditions="SQLAlchemy with psycopg 3; five requests that make 51 queries one after another. "
    "More than ten are too many.",
)


@experiment.before
def slow_queries(postgres: str) -> Iterator[Operation]:
    """Looks for queries over a second."""

    def watch(engine: Engine, noticed: Callable[[], None]) -> None:
        def starting(connection: Connection, *_: Any) -> None:
            connection.info["started"] = time.perf_counter()

        def ending(connection: Connection, *_: Any) -> None:
            if time.perf_counter() - connection.info["started"] > SLOW_S:
                noticed()

        event.listen(engine, "before_cursor_execute", starting)
        event.listen(engine, "after_cursor_execute", ending)

    yield from working(postgres, watch)


@experiment.after
def queries_of_a_request(postgres: str) -> Iterator[Operation]:
    """Counts the queries of each request."""

    def watch(engine: Engine, noticed: Callable[[], None]) -> None:
        def checked_out(_: Any, record: Any, *__: Any) -> None:
            record.info["queries"] = 0

        def ended(connection: Connection, *_: Any) -> None:
            connection.info["queries"] += 1
            if connection.info["queries"] == MANY + 1:
                noticed()

        event.listen(engine, "checkout", checked_out)
        event.listen(engine, "after_cursor_execute", ended)

    yield from working(postgres, watch)


def working(url: str, watch: Callable[[Engine, Callable[[], None]], None]) -> Iterator[Operation]:
    """Yield what makes the requests and counts those that nobody noticed."""
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"))
    noticed: list[bool] = []
    watch(engine, lambda: noticed.append(True))

    def request() -> bool:
        noticed.clear()
        with engine.connect() as connection:
            for _ in range(QUERIES_EACH):
                connection.execute(text("SELECT 1"))
        return bool(noticed)

    yield lambda: sum(not request() for _ in range(REQUESTS))
    engine.dispose()
