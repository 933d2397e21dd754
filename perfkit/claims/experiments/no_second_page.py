"""A list that ends after twenty rows, and one that tells where it goes on."""

import json
from collections.abc import Iterator

import psycopg

from perfkit.claims import Experiment, Metric, Operation
from restmachine import Request, RestApplication

POSTS = 100

experiment = Experiment(
    theme="pagination",
    claims=["O-81"],
    question="How many of a hundred posts can no client reach?",
    hypothesis="LIMIT 20 is pagination.",
    metric=Metric("posts out of reach", "posts", "count"),
    hazard="LIMIT alone makes a list fast by leaving the rest away: there is no second page, and "
    "nothing in the answer says that it is not all.",
    advice="Answer with the key to go on from, and take it as a parameter; leave it away on the "
    "last page only.",
    conditions="A client which asks on for as long as an answer offers a next page.",
)


@experiment.before
def first_twenty(postgres: str) -> Iterator[Operation]:
    """Answers twenty posts."""
    yield from reading(postgres, pages=False)


@experiment.after
def twenty_a_page(postgres: str) -> Iterator[Operation]:
    """Answers twenty posts and the key to go on from."""
    yield from reading(postgres, pages=True)


def reading(url: str, *, pages: bool) -> Iterator[Operation]:
    """Yield what reads as many posts as it can and counts those that are left."""
    app = RestApplication()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "CREATE TEMPORARY TABLE claims_listed AS SELECT i AS id FROM generate_series(1, %s) i",
            [POSTS],
        )

        @app.get("/posts")
        def posts(request: Request) -> dict[str, object]:
            after = int(request.query_params.get("after") or 0)
            rows = connection.execute(
                "SELECT id FROM claims_listed WHERE id > %s ORDER BY id LIMIT 20", [after]
            ).fetchall()
            return {"posts": [key for (key,) in rows]} | (
                {"next": rows[-1][0]} if pages and len(rows) == 20 else {}
            )

        def out_of_reach() -> int:
            seen, query = 0, {"after": "0"}
            while query:
                answer = app.execute(Request("GET", "/posts", query_params=query))
                page = json.loads(answer.body)
                seen += len(page["posts"])
                query = {"after": str(page["next"])} if "next" in page else {}
            return POSTS - seen

        yield out_of_reach
