"""A pool of five connections, and requests that fail: who gives the connections back?"""

from collections.abc import Callable, Iterator
from typing import Any

from psycopg2.pool import AbstractConnectionPool as AbstractPool
from psycopg2.pool import PoolError, ThreadedConnectionPool

from perfkit.claims import Experiment, Metric, Operation
from restmachine import Conflict, Request, RestApplication

REQUESTS, POOL = 20, 5

experiment = Experiment(
    theme="dependencies",
    claims=["O-05"],
    question="How many requests get a connection, when every request ends in an error?",
    hypothesis="A dependency that yields gives its connection back whatever happened, so that "
    "all of them do.",
    promised=REQUESTS / POOL,
    metric=Metric("requests with a connection", "requests", "count", higher_is_better=True),
    advice="Take connections by a dependency that yields within try and finally, never by hand in "
    "the handler.",
    conditions="psycopg2's pool of five, twenty requests one after another, each of which raises "
    "Conflict once it has its connection.",
)


@experiment.before
def given_back_by_the_handler(postgres: str) -> Operation:
    """Gives the connection back at the end of the handler, which an error never reaches."""

    def declare(app: RestApplication, taken: Callable[[], Any], pool: AbstractPool) -> None:
        @app.get("/")
        def fail() -> None:
            pool.putconn(worked(taken()))

    return lambda: served_by_the_pool(postgres, declare)


@experiment.after
def given_back_by_a_dependency(postgres: str) -> Operation:
    """Gives it back in a dependency, after the yield."""

    def declare(app: RestApplication, taken: Callable[[], Any], pool: AbstractPool) -> None:
        @app.dependency()
        def connection() -> Iterator[Any]:
            connection = taken()
            try:
                yield connection
            finally:
                pool.putconn(connection)

        @app.get("/")
        def fail(connection: Any) -> None:
            worked(connection)

    return lambda: served_by_the_pool(postgres, declare)


def worked(connection: Any) -> Any:
    """Fail, as work does."""
    if connection:
        raise Conflict("the work fails")
    return connection


def served_by_the_pool(
    url: str, declare: Callable[[RestApplication, Callable[[], Any], AbstractPool], None]
) -> int:
    """Return how many of the requests got a connection."""
    pool, app = ThreadedConnectionPool(1, POOL, url), RestApplication()
    got = []

    def taken() -> Any:
        try:
            got.append(pool.getconn())
        except PoolError as error:
            raise Conflict("no connection is free") from error
        return got[-1]

    declare(app, taken, pool)
    for _ in range(REQUESTS):
        app.execute(Request("GET", "/"))
    pool.closeall()
    return len(got)
