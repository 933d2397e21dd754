"""A body whose list of images is a string: taken as it comes, or checked."""

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
from pydantic import BaseModel

from perfkit.claims import Experiment, Metric, Operation
from restmachine import Request, RestApplication

BODY = '{"name": "chair", "images": "https://example.org/chair.png"}'

experiment = Experiment(
    theme="queries",
    claims=["O-59"],
    question="How many rows of rubbish does a body write, whose images are one string?",
    hypothesis="A body with all required fields can be written.",
    metric=Metric("rows of rubbish", "rows", "count"),
    hazard="A string is a sequence too: each of its letters becomes an image, within a perfect "
    "transaction, and the client reads 201.",
    advice="Let a model check types as well as names: it answers 422 and says which field.",
    conditions="One POST; what is counted are images that are no address.",
)


class Product(BaseModel):
    """What a client may send."""

    name: str
    images: list[str] = []


@experiment.before
def as_it_comes(postgres: str) -> Iterator[Operation]:
    """Looks for the required field, and writes."""

    def declare(app: RestApplication, write: Callable[[Any], None]) -> None:
        @app.post("/products")
        def create(json_body: dict[str, Any]) -> tuple[str, int]:
            if "name" not in json_body:
                return "name is missing", 400
            write(json_body.get("images", []))
            return "created", 201

    yield from posting(postgres, declare)


@experiment.after
def checked(postgres: str) -> Iterator[Operation]:
    """Lets a model check the body."""

    def declare(app: RestApplication, write: Callable[[Any], None]) -> None:
        @app.validates
        def product(json_body: dict[str, Any]) -> Product:
            return Product.model_validate(json_body)

        @app.post("/products")
        def create(product: Product) -> tuple[str, int]:
            write(product.images)
            return "created", 201

    yield from posting(postgres, declare)


def posting(
    url: str, declare: Callable[[RestApplication, Callable[[Any], None]], None]
) -> Iterator[Operation]:
    """Yield what sends the body and counts the rubbish."""
    app = RestApplication()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TEMPORARY TABLE claims_posted (url text)")

        def write(images: Any) -> None:
            with connection.transaction():
                connection.cursor().executemany(
                    "INSERT INTO claims_posted VALUES (%s)", [[image] for image in images]
                )

        declare(app, write)
        request = Request(
            "POST", "/products", headers={"Content-Type": "application/json"}, body=BODY
        )

        def rubbish() -> int:
            app.execute(request)
            written = connection.execute("DELETE FROM claims_posted RETURNING url").fetchall()
            return sum(not url.startswith("https://") for (url,) in written)

        yield rubbish
