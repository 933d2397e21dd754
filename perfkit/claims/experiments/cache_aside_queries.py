"""A page of products asked for again and again: the queries with a cache and without."""

import json
from collections.abc import Iterator
from itertools import cycle, islice

import psycopg
from redis import Redis

from perfkit.claims import QUERIES, Experiment, Operation

REQUESTS = 60
QUERY = "SELECT relname FROM pg_class ORDER BY oid OFFSET %s LIMIT 10"

experiment = Experiment(
    theme="caches",
    claims=["O-24", "O-55", "O-82", "O-99"],
    question="How many queries does a cache spare a list of pages?",
    hypothesis="Pages kept for five minutes spare the database the repeated queries.",
    metric=QUERIES,
    varies={"pages": [1, 10, 60]},
    because="Each page is asked for once and then found until it expires: a cache spares the "
    "repetitions, and nothing where there are none.",
    advice="Cache what is asked for again within its lifetime: the first pages of a list, hardly "
    "the tenth; and count hits to know.",
    conditions=f"{REQUESTS} requests in a row, spread evenly over so many pages; PostgreSQL and "
    "Redis, nothing expires meanwhile.",
)


@experiment.before
def uncached(postgres: str, pages: int) -> Iterator[Operation]:
    """Asks the database for each page."""
    with psycopg.connect(postgres, autocommit=True) as connection:

        def queries() -> int:
            return sum(bool(page_of(connection, page)) for page in asked_for(pages))

        yield queries


@experiment.after
def cached(postgres: str, redis: str, pages: int) -> Iterator[Operation]:
    """Looks into Redis first."""
    with psycopg.connect(postgres, autocommit=True) as connection, Redis.from_url(redis) as client:

        def queries() -> int:
            asked = 0
            for page in asked_for(pages):
                key = f"claims:page:{page}"
                if client.get(key) is None:
                    client.setex(key, 300, json.dumps(page_of(connection, page)))
                    asked += 1
            client.unlink(*(f"claims:page:{page}" for page in range(pages)))
            return asked

        yield queries


def asked_for(pages: int) -> list[int]:
    """Return the page of each request."""
    return list(islice(cycle(range(pages)), REQUESTS))


def page_of(connection: psycopg.Connection, page: int) -> list[str]:
    """Return ten names."""
    return [name for (name,) in connection.execute(QUERY, [page])]
