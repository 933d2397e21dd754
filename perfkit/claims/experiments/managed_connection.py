"""Orders of two rows, half of which fail between the rows: on a bare cursor, or managed."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

from psycopg2.extensions import connection as Connection  # noqa: N812  # a class by a small name
from psycopg2.pool import ThreadedConnectionPool

from perfkit.claims import Experiment, Metric, Operation
from perfkit.claims.experiments._tables import table

ORDERS = 10

experiment = Experiment(
    theme="pools",
    claims=["O-19"],
    question="How many of ten orders, half of which fail halfway, leave the database in order?",
    hypothesis="A context manager commits, rolls back and gives back whatever happens.",
    promised=2,
    metric=Metric("orders as they should be", "orders", "count", higher_is_better=True),
    advice="One transaction for what belongs together, entered and left in one place. psycopg 3 "
    "has it ready: with pool.connection().",
    conditions="psycopg2's pool; each order writes two rows, every second one fails after the "
    "first. As it should be are two rows of an order that succeeds and none of one that fails.",
)


@experiment.prepare
def lines(postgres: str) -> Iterator[None]:
    """Have an empty table."""
    with table(postgres, "claims_lines", "order_id int, line int"):
        yield


@experiment.before
def bare_cursor(postgres: str) -> Iterator[Operation]:
    """Writes each row by itself."""

    @contextmanager
    def bare(pool: ThreadedConnectionPool) -> Iterator[Connection]:
        connection = pool.getconn()
        connection.autocommit = True
        try:
            yield connection
        finally:
            pool.putconn(connection)

    yield from ordering(postgres, bare)


@experiment.after
def managed(postgres: str) -> Iterator[Operation]:
    """Commits at the end, rolls back on an error, and gives the connection back."""

    @contextmanager
    def managed(pool: ThreadedConnectionPool) -> Iterator[Connection]:
        connection = pool.getconn()
        try:
            with connection:
                yield connection
        finally:
            pool.putconn(connection)

    yield from ordering(postgres, managed)


def ordering(
    url: str, connect: Callable[[ThreadedConnectionPool], AbstractContextManager[Connection]]
) -> Iterator[Operation]:
    """Yield what writes the orders and counts those that are as they should be."""
    pool = ThreadedConnectionPool(1, 2, url)

    def order(number: int) -> None:
        with connect(pool) as connection, connection.cursor() as cursor:
            cursor.execute("INSERT INTO claims_lines VALUES (%s, 1)", [number])
            if number % 2:
                raise ValueError("the order fails halfway")
            cursor.execute("INSERT INTO claims_lines VALUES (%s, 2)", [number])

    def orders_in_order() -> int:
        for number in range(ORDERS):
            with suppress(ValueError):
                order(number)
        with connect(pool) as connection, connection.cursor() as cursor:
            cursor.execute("DELETE FROM claims_lines RETURNING order_id")
            rows: list[Any] = [order_id for (order_id,) in cursor.fetchall()]
        return sum(rows.count(number) == (0 if number % 2 else 2) for number in range(ORDERS))

    yield orders_in_order
    pool.closeall()
