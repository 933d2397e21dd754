"""A load test that signs up with the same address each time."""

import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from http.client import HTTPConnection
from typing import Any

import psycopg

from perfkit.claims import ERRORS, Experiment, Operation
from restmachine import ASGIAdapter, Request, RestApplication

USERS = 10

experiment = Experiment(
    theme="load testing",
    claims=["O-118"],
    question=f"How many of {USERS} sign-ups of the load test fail?",
    hypothesis="A task that posts a user loads the server with sign-ups.",
    metric=ERRORS,
    hazard="An address is unique: all but the first of the same address are refused, so that the "
    "test measures how fast the server refuses, and nobody looks at the failures.",
    advice="Make up data for each request, spread reads over many rows, and let the test fail when "
    "requests do: a test without limits passes whatever happens.",
    conditions="restmachine on uvicorn with PostgreSQL, whose table has a unique address; what "
    "counts are the answers other than 201.",
)

Served = Callable[[Any], AbstractContextManager[tuple[str, int]]]
numbers = itertools.count()


@experiment.before
def same_address(served: Served, postgres: str) -> Iterator[Operation]:
    """Posts the same address each time."""
    yield from signing_up(served, postgres, lambda: "test@example.com")


@experiment.after
def address_each(served: Served, postgres: str) -> Iterator[Operation]:
    """Posts an address of its own for each user."""
    yield from signing_up(served, postgres, lambda: f"user{next(numbers)}@example.com")


def signing_up(served: Served, postgres: str, address: Callable[[], str]) -> Iterator[Operation]:
    """Yield what signs users up and returns how many fail."""
    with psycopg.connect(postgres, autocommit=True) as database:
        database.execute("CREATE TEMPORARY TABLE users (email text PRIMARY KEY)")
        app = RestApplication()

        @app.post("/users")
        def sign_up(request: Request) -> tuple[dict[str, str], int]:
            email = json.loads(bytes(request.body or b""))["email"]
            try:
                database.execute("INSERT INTO users VALUES (%s)", [email])
            except psycopg.errors.UniqueViolation:
                return {"error": "there is such a user"}, 409
            return {"email": email}, 201

        with (
            served(ASGIAdapter(app)) as (host, port),
            closing(HTTPConnection(host, port, timeout=10)) as client,
        ):

            def failures() -> int:
                database.execute("TRUNCATE users")
                return sum(posted(client, address()) != 201 for _ in range(USERS))

            yield failures


def posted(client: HTTPConnection, email: str) -> int:
    """Sign one user up and return the status."""
    content = json.dumps({"email": email})
    client.request("POST", "/users", content, {"Content-Type": "application/json"})
    response = client.getresponse()
    response.read()
    return response.status
