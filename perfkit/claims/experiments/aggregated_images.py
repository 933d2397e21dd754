"""A product and its images with two queries or with one that aggregates."""

from collections.abc import Iterator

import psycopg

from perfkit.claims import LATENCY, Experiment, Operation
from perfkit.claims.experiments._tables import table
from perfkit.claims.link import Links

experiment = Experiment(
    theme="queries",
    claims=["O-58"],
    question="What does it save to aggregate the images in the query for the product?",
    hypothesis="One query instead of two is faster.",
    metric=LATENCY,
    varies={"round_trip_ms": [0, 2]},
    because="It saves a round trip; what the database has to do stays about the same, and "
    "aggregating is no cheaper than a second look into an index.",
    advice="Aggregate where the database is far: with FILTER for the product without images, and "
    "ORDER BY within the aggregate.",
    conditions="PostgreSQL on this machine, psycopg 3, a product with five images; the round trip "
    "is added by a proxy.",
    precision=0.15,
    budget_s=10,
)


@experiment.prepare
def products(postgres: str) -> Iterator[None]:
    """Have a thousand products with five images each."""
    rows = "SELECT i, 'product ' || i FROM generate_series(1, 1000) i"
    images = "SELECT i / 5 + 1, i % 5, 'https://example.org/' || i FROM generate_series(0, 4999) i"
    columns = "product_id int, place int, url text, PRIMARY KEY (product_id, place)"
    with (
        table(postgres, "claims_products", "id int PRIMARY KEY, name text", rows),
        table(postgres, "claims_images", columns, images),
    ):
        yield


@experiment.before
def two_queries(postgres: str, link: Links, round_trip_ms: float) -> Iterator[Operation]:
    """Reads the product, then its images."""
    with (
        link.to_url(postgres, round_trip_s=round_trip_ms / 1000) as url,
        psycopg.connect(url, autocommit=True) as connection,
    ):

        def product() -> tuple[object, object]:
            row = connection.execute("SELECT name FROM claims_products WHERE id = %s", [7])
            images = "SELECT url FROM claims_images WHERE product_id = %s ORDER BY place"
            return row.fetchone(), connection.execute(images, [7]).fetchall()

        yield product


@experiment.after
def one_query(postgres: str, link: Links, round_trip_ms: float) -> Iterator[Operation]:
    """Reads both with one query."""
    with (
        link.to_url(postgres, round_trip_s=round_trip_ms / 1000) as url,
        psycopg.connect(url, autocommit=True) as connection,
    ):
        query = (
            "SELECT name, array_agg(url ORDER BY place) FILTER (WHERE url IS NOT NULL) "
            "FROM claims_products p LEFT JOIN claims_images ON product_id = p.id "
            "WHERE p.id = %s GROUP BY p.id"
        )

        yield lambda: connection.execute(query, [7]).fetchone()
