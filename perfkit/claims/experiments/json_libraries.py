"""Encoding rows of a table as JSON: the standard library, ujson and orjson."""

import json

import orjson
import ujson

from perfkit.claims import LATENCY, Experiment, Operation

experiment = Experiment(
    theme="responses",
    claims=["O-53"],
    question="How much faster than the standard library does ujson encode rows?",
    hypothesis="ujson is the faster way to encode what is cached or sent.",
    metric=LATENCY,
    varies={"rows": [1, 20, 500]},
    because="Each call has a cost of its own, beside that of each row.",
    advice="Take orjson where encoding matters: it is faster than ujson, and knows datetimes. "
    "restmachine uses it when it is installed.",
    conditions="Rows of five fields: numbers, texts and a truth value.",
)


def table(rows: int) -> list[dict[str, object]]:
    """Return rows as a database gives them."""
    return [
        {"id": row, "name": f"item {row}", "price": row / 7, "stock": row % 9, "active": True}
        for row in range(rows)
    ]


@experiment.before
def standard_library(rows: int) -> Operation:
    """Encodes with json."""
    found = table(rows)
    return lambda: json.dumps(found)


@experiment.after
def with_ujson(rows: int) -> Operation:
    """Encodes with ujson."""
    found = table(rows)
    return lambda: ujson.dumps(found)


@experiment.beside
def with_orjson(rows: int) -> Operation:
    """Encodes with orjson."""
    found = table(rows)
    return lambda: orjson.dumps(found)
