"""The requests that are compared, and what each must be answered with."""

import json

from perfkit.workload import Curve, Workload
from tests.benchmarks.peers.contents import ARTICLE, ETAG, ITEMS, MESSAGE

USER = {"name": "Ada", "email": "ada@example.org", "age": 36}
ROUTES = 200
LAST = ROUTES // 2 - 1

ROWS = [
    Workload("small", "small JSON", "/", content=MESSAGE),
    Workload("parameter", "path parameter", "/users/42", content={"id": "42"}),
    Workload(
        "dependencies",
        "three nested dependencies",
        "/dependencies",
        content={"user": "ada", "limit": 20},
    ),
    Workload(
        "post",
        "JSON POST validated by Pydantic, 201",
        "/users",
        method="POST",
        headers=[("content-type", "application/json")],
        body=json.dumps(USER).encode(),
        status=201,
        content=USER,
    ),
    Workload(
        "not-modified",
        "conditional GET, 304",
        "/article",
        headers=[("if-none-match", ETAG)],
        status=304,
        etag=ETAG,
        unconditional=ARTICLE,
    ),
    Workload(
        "not-found",
        f"404 among {ROUTES} routes",
        f"/collection{LAST}/1/more",
        status=404,
        routes=ROUTES,
    ),
    Workload(
        "last",
        f"last of {ROUTES} routes",
        f"/collection{LAST}",
        content={"number": LAST},
        routes=ROUTES,
    ),
    Workload(
        "last-parameter",
        f"last of {ROUTES} routes, with a parameter",
        f"/collection{LAST}/7",
        content={"item": "7"},
        routes=ROUTES,
    ),
    Workload("list", "list of 100, 20 KB", "/items", content=ITEMS),
    Workload("thread", "sync handler, off the loop", "/thread", content=MESSAGE),
    Workload(
        "threads", "sync handler, off the loop, 32 callers", "/thread", content=MESSAGE, callers=32
    ),
    Workload("inline", "sync handler, inline", "/inline", content=MESSAGE),
]


def last_of(routes):
    """Return the row that asks for the last route, which has a parameter."""
    return Workload(
        "last-parameter",
        "last route",
        f"/collection{routes // 2 - 1}/7",
        content={"item": "7"},
        routes=routes,
    )


def nested(depth):
    """Return a row whose handler needs that many dependencies, one through the other."""
    return Workload("nested", "nested dependencies", "/", content={"depth": depth}, depth=depth)


def with_fields(count):
    """Return the small row with more header fields in the request."""
    fields = [(f"x-field-{number}", "a value of some length") for number in range(count)]
    return Workload("fields", "header fields", "/", headers=fields, content=MESSAGE)


CURVES = [
    Curve("routes", "number of routes", [10, 100, 1000, 10_000], last_of),
    Curve("dependencies", "number of nested dependencies", [0, 3, 10], nested),
    Curve("fields", "header fields beyond three", [0, 10, 50], with_fields),
]
