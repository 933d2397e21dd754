"""A filter that may be absent: one statement for both cases, or one for each."""

from collections.abc import Iterator
from typing import Any, LiteralString

import psycopg

from perfkit.claims import LATENCY, Experiment, Operation
from perfkit.claims.experiments._tables import table

experiment = Experiment(
    theme="queries",
    claims=["O-57"],
    question="What does it cost that one statement serves with the filter and without it?",
    hypothesis="`$1 IS NULL OR category = $1` makes one prepared statement for both cases.",
    metric=LATENCY,
    varies={"plans": ["auto", "force_generic_plan"]},
    because="Left to itself PostgreSQL plans such a statement anew each time, as the plan for any "
    "value is bad; where that one is used, it cannot use the index and reads the whole table.",
    hazard="A prepared statement keeps its plan if that is good for every value. With the filter "
    "optional none is: each query is planned again, or reads all rows.",
    advice="Build the statement of the conditions which there are: as many statements as "
    "combinations are used, each with its plan.",
    conditions="PostgreSQL on this machine, psycopg 3 with the statement prepared; the count of a "
    "category of 10 among 30 000 rows, with an index. plan_cache_mode is what is varied.",
    precision=0.15,
    budget_s=10,
)


@experiment.prepare
def products(postgres: str) -> Iterator[None]:
    """Have 30 000 products in 3000 categories."""
    rows = "SELECT i, 'category ' || i % 3000 FROM generate_series(1, 30000) i"
    with table(postgres, "claims_filtered", "id int, category text", rows) as connection:
        connection.execute("CREATE INDEX ON claims_filtered (category)")
        yield


@experiment.before
def for_both_cases(postgres: str, plans: str) -> Iterator[Operation]:
    """Asks with a condition that holds when there is no filter."""
    yield from counting(postgres, plans, "%(name)s::text IS NULL OR category = %(name)s")


@experiment.after
def for_the_filter(postgres: str, plans: str) -> Iterator[Operation]:
    """Asks with the condition that is needed."""
    yield from counting(postgres, plans, "category = %(name)s")


def counting(url: str, plans: str, condition: LiteralString) -> Iterator[Operation]:
    """Yield what counts the rows of a category."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT set_config('plan_cache_mode', %s, false)", [plans])
        statement = f"SELECT count(*) FROM claims_filtered WHERE {condition}"

        def count() -> Any:
            return connection.execute(statement, {"name": "category 7"}, prepare=True).fetchone()

        yield count
