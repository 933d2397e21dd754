"""A look into Redis before the database: what a hit saves depends on what the query costs."""

import json
from collections.abc import Iterator

import psycopg
from redis import Redis

from perfkit.claims import LATENCY, Experiment, Operation

ROWS = 50_000
KEY = "claims:aside:totals"

experiment = Experiment(
    theme="caches",
    claims=["O-24", "O-55", "O-76", "O-82", "O-99"],
    promises={"O-76": 50},
    question="How much faster is a hit in Redis than the query that it stands for?",
    hypothesis="A hit takes 1 ms where the database takes 50 ms.",
    metric=LATENCY,
    varies={"rows_read": [1, 1000, 50_000]},
    because="A hit costs a round trip and the decoding of what it brings. A query by key costs "
    "little more than that; one that adds up many rows costs what it reads.",
    advice="Measure the query first: look-ups by key on an index are not worth a second store. "
    "Cache what reads much and says little, and what is asked for again.",
    conditions="PostgreSQL and Redis on this machine, psycopg 3 and redis-py, a connection kept "
    "to each; every look into the cache is a hit of five small fields as JSON.",
    precision=0.15,
)

QUERY = """
    SELECT count(*), sum(price), min(price), max(price), max(id)
    FROM claims_products WHERE id <= %s
"""


@experiment.prepare
def products(postgres: str) -> Iterator[None]:
    """Have products with prices."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS claims_products")
        connection.execute("CREATE TABLE claims_products (id int PRIMARY KEY, price int)")
        connection.execute(
            "INSERT INTO claims_products SELECT i, i %% 1000 FROM generate_series(1, %s) i", [ROWS]
        )
        connection.execute("ANALYZE claims_products")
        yield
        connection.execute("DROP TABLE claims_products")


@experiment.before
def from_the_database(postgres: str, rows_read: int) -> Iterator[Operation]:
    """Asks the database each time."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        yield lambda: totals(connection, rows_read)


@experiment.after
def from_the_cache(postgres: str, redis: str, rows_read: int) -> Iterator[Operation]:
    """Finds in Redis what the first request stored."""
    with (
        psycopg.connect(postgres, autocommit=True) as connection,
        Redis.from_url(redis, decode_responses=True) as client,
    ):

        def cached_totals() -> list[int]:
            stored = client.get(KEY)
            if isinstance(stored, str):
                return list(json.loads(stored))
            found = totals(connection, rows_read)
            client.setex(KEY, 300, json.dumps(found))
            return found

        client.delete(KEY)
        yield cached_totals
        client.delete(KEY)


def totals(connection: psycopg.Connection, rows_read: int) -> list[int]:
    """Return five figures about the first products."""
    row = connection.execute(QUERY, [rows_read]).fetchone()
    assert row
    return [int(figure) for figure in row]
