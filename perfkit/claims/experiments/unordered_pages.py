"""Pages without ORDER BY, while rows are updated between one page and the next."""

from collections.abc import Iterator

import psycopg

from perfkit.claims import ERRORS, Experiment, Operation

ROWS, PAGE = 100, 20

experiment = Experiment(
    theme="pagination",
    claims=["O-20", "O-31", "O-97"],
    question="How many of a hundred rows does a client miss or see twice that reads all pages?",
    hypothesis="LIMIT and OFFSET divide a table into pages.",
    metric=ERRORS,
    hazard="Without ORDER BY any rows are a correct answer, and each query may choose others. An "
    "update moves its row within the table, and all behind it move into other pages.",
    advice="Name an order that is complete: one that ends with a unique column.",
    conditions="A hundred rows, twenty a page. Before each page but the first, one row of the page "
    "before is updated, which changes nothing of the order by id.",
)


@experiment.before
def in_no_order(postgres: str) -> Iterator[Operation]:
    """Leaves the order to the database."""
    yield from reading(postgres, "SELECT id FROM claims_paged LIMIT %s OFFSET %s")


@experiment.after
def in_order(postgres: str) -> Iterator[Operation]:
    """Orders by the key."""
    yield from reading(postgres, "SELECT id FROM claims_paged ORDER BY id LIMIT %s OFFSET %s")


def reading(url: str, page: str) -> Iterator[Operation]:
    """Yield what reads all pages and counts the rows missed and those seen again."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TEMPORARY TABLE claims_paged (id int PRIMARY KEY, views int)")

        def missed_or_repeated() -> int:
            connection.execute("TRUNCATE claims_paged")
            connection.execute(
                "INSERT INTO claims_paged SELECT i, 0 FROM generate_series(1, %s) i", [ROWS]
            )
            seen: list[int] = []
            for offset in range(0, ROWS, PAGE):
                if seen:
                    change = "UPDATE claims_paged SET views = views + 1 WHERE id = %s"
                    connection.execute(change, [seen[-1]])
                rows = connection.execute(page.encode(), [PAGE, offset]).fetchall()
                seen += [key for (key,) in rows]
            return (ROWS - len(set(seen))) + (len(seen) - len(set(seen)))

        yield missed_or_repeated
