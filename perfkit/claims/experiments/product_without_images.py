"""array_agg over a LEFT JOIN that finds nothing."""

from collections.abc import Iterator
from typing import LiteralString

import psycopg

from perfkit.claims import ERRORS, Experiment, Operation

PRODUCTS = 10

experiment = Experiment(
    theme="queries",
    claims=["O-58"],
    question="How many of ten products without images are answered with an image that is null?",
    hypothesis="array_agg gives the images of a product, and none for one that has none.",
    metric=ERRORS,
    hazard="A LEFT JOIN makes one row of nulls for a product without images, and array_agg "
    "collects it: the client reads a list of one image, whose address is null.",
    advice="coalesce(array_agg(url ORDER BY place) FILTER (WHERE url IS NOT NULL), '{}'): the "
    "order is undefined as well, unless it is named there.",
    conditions="Ten products, none of which has an image.",
)


@experiment.before
def aggregated(postgres: str) -> Iterator[Operation]:
    """Aggregates all rows of the join."""
    yield from asking(postgres, "array_agg(url)")


@experiment.after
def aggregated_and_filtered(postgres: str) -> Iterator[Operation]:
    """Aggregates the images that there are."""
    yield from asking(
        postgres, "coalesce(array_agg(url ORDER BY place) FILTER (WHERE url IS NOT NULL), '{}')"
    )


def asking(url: str, images: LiteralString) -> Iterator[Operation]:
    """Yield what reads the products and counts those with a null for an image."""
    query = (
        f"SELECT id, {images} FROM generate_series(1, %s) id "
        "LEFT JOIN claims_pictures ON product_id = id GROUP BY id"
    )
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "CREATE TEMPORARY TABLE claims_pictures (product_id int, place int, url text)"
        )

        def with_null() -> int:
            return sum(None in urls for _, urls in connection.execute(query, [PRODUCTS]))

        yield with_null
