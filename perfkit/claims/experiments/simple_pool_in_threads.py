"""psycopg2's SimpleConnectionPool under handlers that run in threads."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from psycopg2.extensions import connection
from psycopg2.pool import AbstractConnectionPool, PoolError, SimpleConnectionPool
from psycopg2.pool import ThreadedConnectionPool as ThreadedPool

from perfkit.claims import CONNECTIONS, Experiment, Operation
from perfkit.claims.link import Links

THREADS, POOL = 10, 5

experiment = Experiment(
    theme="dependencies",
    claims=["O-05"],
    question="By how many connections do ten threads exceed a SimpleConnectionPool of five?",
    hypothesis="A pool of a given size never opens more connections than that.",
    metric=CONNECTIONS,
    hazard="SimpleConnectionPool has no lock, and synchronous handlers run in threads: those that "
    "ask while another connects all pass the check of the size, and connect as well.",
    advice="ThreadedConnectionPool, or psycopg_pool, which lets a request wait for a connection "
    "where psycopg2's pools raise an error.",
    conditions="Ten threads ask at the same moment for one of five connections; connecting takes "
    "some 50 ms, as over a network. What is counted are the connections above five.",
)


@experiment.before
def simple_pool(postgres: str, link: Links) -> Iterator[Operation]:
    """Asks a SimpleConnectionPool."""
    with link.to_url(postgres, round_trip_s=0.02) as url:
        yield lambda: connections_too_many(SimpleConnectionPool, url)


@experiment.after
def threaded_pool(postgres: str, link: Links) -> Iterator[Operation]:
    """Asks a ThreadedConnectionPool."""
    with link.to_url(postgres, round_trip_s=0.02) as url:
        yield lambda: connections_too_many(ThreadedPool, url)


def connections_too_many(kind: type[AbstractConnectionPool], url: str) -> int:
    """Return how many connections were opened above the limit of the pool."""
    opened = []
    start = threading.Barrier(THREADS)

    def connect(dsn: str) -> connection:
        opened.append(connection(dsn))
        return opened[-1]

    def ask(_: int) -> None:
        start.wait()
        try:
            pool.getconn()
        except PoolError:
            return

    pool = kind(0, POOL, url, connection_factory=connect)
    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(ask, range(THREADS)))
    for each in opened:
        each.close()
    return max(0, len(opened) - POOL)
