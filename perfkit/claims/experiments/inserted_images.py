"""A product and its images: single statements, executemany in a transaction, or one unnest."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg

from perfkit.claims import LATENCY, Experiment, Operation
from perfkit.claims.link import Links

PRODUCT = "INSERT INTO claims_new_products (name) VALUES ('product') RETURNING id"
IMAGE = "INSERT INTO claims_new_images VALUES ($1, $2)"

experiment = Experiment(
    theme="queries",
    claims=["O-59"],
    question="Is a product with its images written faster in one transaction with executemany?",
    hypothesis="A row and its images in one transaction with executemany are faster than a loop.",
    metric=LATENCY,
    varies={"images": [1, 5, 30]},
    because="BEGIN, COMMIT and the sending of a batch are round trips of their own: with an image "
    "or two they are more than the loop needs, with many they are not.",
    advice="Keep the transaction whatever it costs: without one a failure leaves half a product. "
    "One statement, INSERT ... SELECT FROM unnest, costs a round trip for all images.",
    conditions="asyncpg; PostgreSQL on this machine, to which a proxy adds 1 ms a round trip.",
    precision=0.15,
    budget_s=12,
)


@experiment.before
async def loop(postgres: str, link: Links, images: int) -> AsyncIterator[Operation]:
    """Writes each image by itself, without a transaction."""

    async def write(connection: Any, urls: list[str]) -> None:
        key = await connection.fetchval(PRODUCT)
        for url in urls:
            await connection.execute(IMAGE, key, url)

    async for operation in writing(postgres, link, images, write):
        yield operation


@experiment.after
async def executemany(postgres: str, link: Links, images: int) -> AsyncIterator[Operation]:
    """Writes all images with executemany, in a transaction with the product."""

    async def write(connection: Any, urls: list[str]) -> None:
        async with connection.transaction():
            key = await connection.fetchval(PRODUCT)
            await connection.executemany(IMAGE, [(key, url) for url in urls])

    async for operation in writing(postgres, link, images, write):
        yield operation


@experiment.beside
async def unnest(postgres: str, link: Links, images: int) -> AsyncIterator[Operation]:
    """Writes all images with one statement, in a transaction with the product."""

    async def write(connection: Any, urls: list[str]) -> None:
        async with connection.transaction():
            key = await connection.fetchval(PRODUCT)
            await connection.execute(
                "INSERT INTO claims_new_images SELECT $1, unnest($2::text[])", key, urls
            )

    async for operation in writing(postgres, link, images, write):
        yield operation


async def writing(
    url: str, link: Links, images: int, write: Callable[[Any, list[str]], Awaitable[None]]
) -> AsyncIterator[Operation]:
    """Yield what writes one product."""
    urls = [f"https://example.org/{number}" for number in range(images)]
    with link.to_url(url, round_trip_s=0.001) as linked:
        connection = await asyncpg.connect(linked)
        await connection.execute(
            "CREATE TEMPORARY TABLE claims_new_products (id serial, name text);"
            "CREATE TEMPORARY TABLE claims_new_images (product_id int, url text)"
        )

        yield lambda: write(connection, urls)
        await connection.close()
