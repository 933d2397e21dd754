"""A target of 50 ms for cached answers, before a cache that never hits."""

import time
from collections.abc import Callable, Iterator

import psycopg
from redis import Redis

from perfkit.claims import ERRORS, Experiment, Operation

REQUESTS, TARGET_S = 10, 0.05

experiment = Experiment(
    theme="load testing",
    claims=["O-88"],
    question="How many answers pass as cached that came from the database?",
    hypothesis="Cached answers are below 50 ms.",
    metric=ERRORS,
    hazard="The target is so far above what a hit takes that a query meets it too. A cache that "
    "never hits passes, and nobody looks.",
    advice="Set the target of a hit by what a hit takes, and count misses by a counter, not by "
    "the clock.",
    conditions=f"{REQUESTS} requests through a cache whose entries are stored under another key "
    "than is looked for; the query adds up twenty thousand numbers. What is counted are misses "
    "that the check lets pass.",
    alone=True,
)


@experiment.before
def told_by_the_target(postgres: str, redis: str) -> Iterator[Operation]:
    """Takes an answer below the target for a hit."""
    yield from overlooking(postgres, redis, passes=lambda seconds, hit: seconds < TARGET_S)


@experiment.after
def told_by_the_counter(postgres: str, redis: str) -> Iterator[Operation]:
    """Takes an answer that the cache counted as a hit for one."""
    yield from overlooking(postgres, redis, passes=lambda seconds, hit: hit)


def overlooking(
    postgres: str, redis: str, passes: Callable[[float, bool], bool]
) -> Iterator[Operation]:
    """Yield what asks through the broken cache and returns how many misses pass for hits."""
    with psycopg.connect(postgres, autocommit=True) as connection, Redis.from_url(redis) as client:

        def request() -> tuple[float, bool]:
            started = time.perf_counter()
            found = client.get("claims:target:total")
            if found is None:
                connection.execute("SELECT sum(i) FROM generate_series(1, 20000) i").fetchone()
                client.setex("claims:target:totals", 60, "stored")
            return time.perf_counter() - started, found is not None

        def misses_that_pass() -> int:
            answers = [request() for _ in range(REQUESTS)]
            return sum(passes(seconds, hit) and not hit for seconds, hit in answers)

        yield misses_that_pass
        client.delete("claims:target:totals")
