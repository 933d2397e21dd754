"""Pool, cache and gzip together, each alone, and none: where does the gain come from?"""

import http.client
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import psycopg
from psycopg_pool import ConnectionPool
from redis import Redis
from starlette.middleware.gzip import GZipMiddleware

from perfkit.claims import LATENCY, Experiment, Operation
from restmachine import ASGIAdapter, RestApplication

REQUESTS = 5
KEY = "claims:complete:user"
QUERY = "SELECT oid::int, relname FROM pg_class ORDER BY oid LIMIT 60"

experiment = Experiment(
    theme="caches",
    claims=["O-35"],
    promised=2,
    question="How much do pool, cache and compression gain together, and which of them gains it?",
    hypothesis="All three make a high-performance application; let that be twice as fast.",
    metric=LATENCY,
    advice="Add one thing at a time and look at what it gains. The gains of the parts do not "
    "multiply: behind a pool a cache has less left to save, and the other way round.",
    conditions=f"{REQUESTS} requests for one resource of 2 KB, of which the first misses the "
    "cache; restmachine on uvicorn, PostgreSQL, Redis and the client on this machine, where gzip "
    "has no slow link to save.",
    precision=0.3,
    budget_s=30,
)

Served = Callable[[Any], AbstractContextManager[tuple[str, int]]]


@experiment.before
def naive(postgres: str, redis: str, served: Served) -> Iterator[Operation]:
    """Connects for each request, and sends what it found as it is."""
    yield from asking(postgres, redis, served)


@experiment.after
def all_together(postgres: str, redis: str, served: Served) -> Iterator[Operation]:
    """Takes connections out of a pool, looks into Redis first, and compresses."""
    yield from asking(postgres, redis, served, pools=True, caches=True, compresses=True)


@experiment.beside
def pool_alone(postgres: str, redis: str, served: Served) -> Iterator[Operation]:
    """Takes connections out of a pool."""
    yield from asking(postgres, redis, served, pools=True)


@experiment.beside
def cache_alone(postgres: str, redis: str, served: Served) -> Iterator[Operation]:
    """Looks into Redis first."""
    yield from asking(postgres, redis, served, caches=True)


@experiment.beside
def gzip_alone(postgres: str, redis: str, served: Served) -> Iterator[Operation]:
    """Compresses."""
    yield from asking(postgres, redis, served, compresses=True)


def asking(
    postgres: str,
    redis: str,
    served: Served,
    *,
    pools: bool = False,
    caches: bool = False,
    compresses: bool = False,
) -> Iterator[Operation]:
    """Yield what asks five times, with an empty cache at first."""
    with ExitStack() as stack:
        client = stack.enter_context(Redis.from_url(redis))
        connect = connecting(stack, postgres, pools=pools)
        app = RestApplication()

        @app.get("/")
        def rows() -> Any:
            stored = client.get(KEY) if caches else None
            if isinstance(stored, bytes):
                return json.loads(stored)
            with connect() as connection:
                found = [list(row) for row in connection.execute(QUERY)]
            if caches:
                client.setex(KEY, 300, json.dumps(found))
            return found

        adapter = ASGIAdapter(app)
        site = GZipMiddleware(adapter, minimum_size=1000) if compresses else adapter
        browser = http.client.HTTPConnection(*stack.enter_context(served(site)))
        stack.callback(browser.close)

        def requests() -> None:
            client.delete(KEY)
            for _ in range(REQUESTS):
                browser.request("GET", "/", headers={"Accept-Encoding": "gzip"})
                response = browser.getresponse()
                assert response.status == 200
                response.read()

        yield requests


def connecting(
    stack: ExitStack, postgres: str, *, pools: bool
) -> Callable[[], AbstractContextManager[psycopg.Connection]]:
    """Return what gives a connection: a new one, or one of a pool."""
    if not pools:
        return lambda: psycopg.connect(postgres)
    pool = stack.enter_context(ConnectionPool(postgres, min_size=2, max_size=5))
    pool.wait()
    return pool.connection
