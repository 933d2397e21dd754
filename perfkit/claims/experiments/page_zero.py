"""Page 0, and a page of a hundred thousand rows: parameters taken as they come, or checked."""

import json
from collections.abc import Callable, Iterator

import psycopg

from perfkit.claims import Experiment, Metric, Operation
from restmachine import BadRequest, Request, RestApplication

ROWS, MOST = 2000, 100
ASKED = [(1, 20), (0, 20), (-1, 20), (1, 2000), (1, -5)]

experiment = Experiment(
    theme="pagination",
    claims=["O-97"],
    question="How many of five requests for a page fail, or are answered with over 100 rows?",
    hypothesis="A page is (page - 1) * page_size rows from the start, and page_size rows long.",
    metric=Metric("harmful pages", "pages", "count"),
    hazard="Page 0 becomes a negative OFFSET, which PostgreSQL refuses: a fault of the client is "
    "a 500 of the server. A page size without a limit asks for the whole table.",
    advice="Check both before they reach the database: 400 for what makes no sense, and a page "
    "size of at most a hundred.",
    conditions="Pages 1, 0 and -1 of twenty rows, and page 1 with 2000 and with -5 rows.",
)


@experiment.before
def as_they_come(postgres: str) -> Iterator[Operation]:
    """Calculates with the parameters."""
    yield from paging(postgres, lambda page, size: (page, size))


@experiment.after
def checked(postgres: str) -> Iterator[Operation]:
    """Refuses what makes no sense and limits the size."""

    def checked(page: int, size: int) -> tuple[int, int]:
        if page < 1 or size < 1:
            raise BadRequest("page and page_size begin at 1")
        return page, min(size, MOST)

    yield from paging(postgres, checked)


def paging(url: str, check: Callable[[int, int], tuple[int, int]]) -> Iterator[Operation]:
    """Yield what asks for the pages and counts those that fail or are too long."""
    app = RestApplication()
    with psycopg.connect(url, autocommit=True) as connection:

        @app.get("/rows")
        def rows(request: Request) -> list[int] | tuple[str, int]:
            page, size = check(
                int(request.query_params["page"]), int(request.query_params["page_size"])
            )
            try:
                found = connection.execute(
                    "SELECT i FROM generate_series(1, %s) i ORDER BY i LIMIT %s OFFSET %s",
                    [ROWS, size, (page - 1) * size],
                )
            except psycopg.DataError:
                return "the database refused", 500
            return [row for (row,) in found]

        def harmful(page: int, size: int) -> bool:
            query = {"page": str(page), "page_size": str(size)}
            answer = app.execute(Request("GET", "/rows", query_params=query))
            return answer.status_code == 500 or (
                answer.status_code == 200 and len(json.loads(answer.body)) > MOST
            )

        yield lambda: sum(harmful(page, size) for page, size in ASKED)
