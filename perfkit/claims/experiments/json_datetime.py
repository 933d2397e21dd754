"""A row with a datetime in a cache: ujson refuses it, so that the first miss is an error."""

from collections.abc import Callable
from datetime import UTC, datetime

import orjson
import ujson

from perfkit.claims import ERRORS, Experiment, Operation

ROWS = [
    {"id": row, "created_at": datetime(2024, 1, 1 + row % 28, tzinfo=UTC)} for row in range(100)
]

experiment = Experiment(
    theme="responses",
    claims=["O-53"],
    question="How many of a hundred rows with a datetime can be encoded for the cache?",
    hypothesis="Rows of SELECT * go through ujson as they are.",
    metric=ERRORS,
    hazard="Nearly every table has a datetime, and the first row that is to be cached raises.",
    advice="Take orjson, or give the encoder a default for what JSON does not know.",
    conditions="Rows of an id and a datetime.",
)


@experiment.before
def with_ujson() -> Operation:
    """Encodes each row with ujson."""
    return lambda: failures(ujson.dumps)


@experiment.after
def with_orjson() -> Operation:
    """Encodes each row with orjson."""
    return lambda: failures(orjson.dumps)


def failures(dumps: Callable[[object], object]) -> int:
    """Return how many rows cannot be encoded."""
    failed = 0
    for row in ROWS:
        try:
            dumps(row)
        except TypeError:
            failed += 1
    return failed
