"""A user who does not exist: dict(None) fails, a test for None answers 404."""

import logging
from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg.rows import dict_row

from perfkit.claims import ERRORS, Experiment, Operation
from restmachine import Request, RestApplication

REQUESTS = 10
QUERY = "SELECT oid, relname FROM pg_class WHERE oid = 0"

experiment = Experiment(
    theme="caches",
    claims=["O-76"],
    question="How many requests for a user who does not exist end as server errors?",
    hypothesis="dict(row) of what the query found goes into the cache and to the client.",
    metric=ERRORS,
    hazard="A query without a row gives None, and dict(None) raises: a link that is out of date "
    "is a 500 with a traceback each time, and is never cached.",
    advice="Say that the resource does not exist, and cache that too, for a shorter time: "
    "clients that ask for nothing ask often.",
    conditions=f"{REQUESTS} requests for a missing row; what is counted are answers of status 500.",
)


@experiment.before
def taken_for_a_row(postgres: str) -> Iterator[Operation]:
    """Makes a dictionary of whatever the query gave."""
    app = RestApplication()
    with psycopg.connect(postgres, autocommit=True, row_factory=dict_row) as connection:

        @app.get("/user")
        def user() -> dict[str, Any]:
            return dict(connection.execute(QUERY).fetchone())  # type: ignore[arg-type]  # the mistake

        yield lambda: server_errors(app)


@experiment.after
def resource_that_may_be_absent(postgres: str) -> Iterator[Operation]:
    """Lets the row say whether the resource exists."""
    app = RestApplication()
    with psycopg.connect(postgres, autocommit=True, row_factory=dict_row) as connection:

        @app.resource_exists
        def row() -> dict[str, Any] | None:
            return connection.execute(QUERY).fetchone()

        app.get("/user")(lambda row: row)

        yield lambda: server_errors(app)


def server_errors(app: RestApplication) -> int:
    """Return how many requests are answered as the server's fault."""
    # The tracebacks are expected here, and would fill the terminal.
    logging.getLogger("restmachine").setLevel(logging.CRITICAL)
    return sum(app.execute(Request("GET", "/user")).status_code == 500 for _ in range(REQUESTS))
