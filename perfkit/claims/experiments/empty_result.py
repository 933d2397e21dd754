"""A cached list that is empty: truth takes it for a miss, a test for None does not."""

import json
from collections.abc import Callable, Iterator

import psycopg
from redis import Redis

from perfkit.claims import QUERIES, Experiment, Operation

REQUESTS = 10
KEY = "claims:empty:posts"

experiment = Experiment(
    theme="caches",
    claims=["O-24", "O-55", "O-82"],
    question="How many queries too many does an empty result cost behind a cache?",
    hypothesis="A cached result spares the query.",
    metric=QUERIES,
    hazard="if cached: is false for an empty list, and for 0 and '' as well. A user without "
    "posts is asked for in the database each time, and stored again each time.",
    advice="Test for None, which is what Redis answers for a missing key: it is not None.",
    conditions=f"{REQUESTS} requests for the posts of a user who has none; what is counted are "
    "the queries beyond the first.",
)


@experiment.before
def tested_for_truth(postgres: str, redis: str) -> Iterator[Operation]:
    """Takes from the cache what is true."""
    yield from asking(postgres, redis, lambda cached: bool(cached))


@experiment.after
def tested_for_none(postgres: str, redis: str) -> Iterator[Operation]:
    """Takes from the cache what is there."""
    yield from asking(postgres, redis, lambda cached: cached is not None)


def asking(postgres: str, redis: str, is_hit: Callable[[object], bool]) -> Iterator[Operation]:
    """Yield what asks ten times and returns the number of queries that were not needed."""
    with (
        psycopg.connect(postgres, autocommit=True) as connection,
        Redis.from_url(redis, decode_responses=True) as client,
    ):

        def queries_too_many() -> int:
            client.delete(KEY)
            queries = 0
            for _ in range(REQUESTS):
                stored = client.get(KEY)
                if not is_hit(json.loads(stored) if isinstance(stored, str) else None):
                    found = connection.execute("SELECT oid FROM pg_class WHERE oid = 0").fetchall()
                    client.setex(KEY, 300, json.dumps(found))
                    queries += 1
            return queries - 1

        yield queries_too_many
        client.delete(KEY)
