"""The first requests after a start, with a cold cache or a warmed one."""

import time
from collections.abc import Callable, Iterator

import psycopg
from redis import Redis

from perfkit.claims import Experiment, Metric, Operation

REQUESTS = 20
KEYS = [f"claims:warm:{number}" for number in range(REQUESTS)]

experiment = Experiment(
    theme="caches",
    claims=["O-63"],
    question="How much sooner are the first requests answered by a warmed cache?",
    hypothesis="A cache filled at the start spares the first users the wait.",
    metric=Metric("time of the first requests", "s", "told"),
    advice="Warm what is dear and sure to be asked for, and let the server say that it is ready "
    "only afterwards. See what that costs the start.",
    conditions=f"The first {REQUESTS} requests, each for another key; the query sleeps 2 ms in "
    "PostgreSQL. Warming is not timed here.",
    precision=0.25,
)


@experiment.before
def cold(postgres: str, redis: str) -> Iterator[Operation]:
    """Starts with an empty cache."""
    yield from starting(postgres, redis, lambda read: None)


@experiment.after
def warmed(postgres: str, redis: str) -> Iterator[Operation]:
    """Reads every key once before the first request."""
    yield from starting(postgres, redis, lambda read: [read(key) for key in KEYS])


def starting(
    postgres: str, redis: str, warm: Callable[[Callable[[str], object]], object]
) -> Iterator[Operation]:
    """Yield what starts anew and returns how long the first requests take."""
    with psycopg.connect(postgres, autocommit=True) as connection, Redis.from_url(redis) as client:

        def read(key: str) -> object:
            found = client.get(key)
            if found is None:
                connection.execute("SELECT pg_sleep(0.002)")
                client.setex(key, 300, "found")
            return found

        def first_requests() -> float:
            client.unlink(*KEYS)
            warm(read)
            started = time.perf_counter()
            for key in KEYS:
                read(key)
            return time.perf_counter() - started

        yield first_requests
        client.unlink(*KEYS)
