"""Writes through a dependency that gives its connection back without a commit."""

from collections.abc import Iterator
from typing import Any

from psycopg2.pool import ThreadedConnectionPool

from perfkit.claims import ERRORS, Experiment, Operation
from perfkit.claims.experiments._tables import table
from restmachine import Request, RestApplication

REQUESTS = 10

experiment = Experiment(
    theme="dependencies",
    claims=["O-05"],
    question="How many of ten writes that were answered with 201 are not in the database?",
    hypothesis="A dependency that takes a connection and gives it back is all that is needed.",
    metric=ERRORS,
    hazard="putconn rolls back what is not committed, and tells nobody: the client reads 201, and "
    "the row is gone.",
    advice="Commit after the yield, where the handler has succeeded, or take the connection in "
    "autocommit mode. Test a write by reading it on another connection.",
    conditions="Ten POSTs, one after another; what is counted are the rows missing.",
)


@experiment.prepare
def entries(postgres: str) -> Iterator[None]:
    """Have an empty table."""
    with table(postgres, "claims_written", "id int"):
        yield


@experiment.before
def given_back(postgres: str) -> Iterator[Operation]:
    """Gives the connection back after the yield."""
    yield from writing(postgres, commits=False)


@experiment.after
def committed(postgres: str) -> Iterator[Operation]:
    """Commits first."""
    yield from writing(postgres, commits=True)


def writing(url: str, *, commits: bool) -> Iterator[Operation]:
    """Yield what writes ten rows by requests and counts those that are missing."""
    pool, app = ThreadedConnectionPool(1, 5, url), RestApplication()

    @app.dependency()
    def connection() -> Iterator[Any]:
        connection = pool.getconn()
        try:
            yield connection
            if commits:
                connection.commit()
        finally:
            pool.putconn(connection)

    @app.post("/entries")
    def create(connection: Any) -> tuple[str, int]:
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO claims_written VALUES (1)")
        return "written", 201

    def missing_rows() -> int:
        promised = [app.execute(Request("POST", "/entries")).status_code for _ in range(REQUESTS)]
        with pool.getconn() as connection, connection.cursor() as cursor:
            cursor.execute("DELETE FROM claims_written")
            missing = promised.count(201) - cursor.rowcount
        pool.putconn(connection)
        return missing

    yield missing_rows
    pool.closeall()
