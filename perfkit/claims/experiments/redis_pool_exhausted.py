"""Thirty threads and twenty connections to Redis: a pool that refuses, or one that waits."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Barrier

from redis import BlockingConnectionPool, ConnectionPool, Redis, RedisError

from perfkit.claims import ERRORS, Experiment, Operation
from perfkit.claims.link import Links

THREADS, CONNECTIONS = 30, 20

experiment = Experiment(
    theme="caches",
    claims=["O-24"],
    question="How many requests fail when more ask Redis at once than max_connections allows?",
    hypothesis="max_connections=20 gives the cache a pool of twenty connections.",
    metric=ERRORS,
    hazard="redis-py's pool does not wait: it raises for the twenty-first request at once. The "
    "cache that should help under load fails under load.",
    advice="Use BlockingConnectionPool with a timeout, or allow as many connections as threads "
    "can ask at once; and answer from the database when the cache cannot be asked.",
    conditions=f"{THREADS} threads, one GET each at the same time, over a link of 40 ms, so that "
    f"all are under way together; {CONNECTIONS} connections.",
)


@experiment.before
def refusing(redis: str, link: Links) -> Iterator[Operation]:
    """Makes the pool that Redis(max_connections=20) makes."""
    with link.to_url(redis, round_trip_s=0.04) as url:
        pool = ConnectionPool.from_url(url, max_connections=CONNECTIONS)
        yield from failing(pool)


@experiment.after
def waiting(redis: str, link: Links) -> Iterator[Operation]:
    """Makes a pool that waits for a connection to come back."""
    with link.to_url(redis, round_trip_s=0.04) as url:
        pool = BlockingConnectionPool.from_url(url, max_connections=CONNECTIONS, timeout=20)
        yield from failing(pool)


def failing(connections: ConnectionPool) -> Iterator[Operation]:
    """Yield what lets all threads ask at once and returns how many could not."""
    with closing(connections), ThreadPoolExecutor(THREADS) as threads:
        client, together = Redis(connection_pool=connections), Barrier(THREADS)

        def fails(_: int) -> bool:
            together.wait()
            try:
                client.get("claims:any")
            except RedisError:
                return True
            return False

        yield lambda: sum(threads.map(fails, range(THREADS)))
