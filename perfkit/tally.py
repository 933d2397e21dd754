"""What is counted of requests that ended alike, as one row of numbers.

Requests of one method and route that got the same status from the same decision are counted
in one place, so that a request looks for one thing and not for each metric. A scrape makes the
metrics of the table out of such rows. A row has the sum of the durations and a count for each
bucket, the same for the bytes of the responses, and then, if its labels name dependencies, a
count of the requests that made all of them within the first bucket's bound, and the seconds
that each took in those.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from perfkit.metrics import (
    DECISIONS_ENDED,
    DEPENDENCY_DURATION,
    REQUEST_DURATION,
    RESPONSE_SIZE,
)
from perfkit.store import Series

TALLY = "http_server_requests tally"
"""Under this name a store keeps such rows, by method, route, status, decision, dependencies."""

SECONDS = 0
BYTES = SECONDS + REQUEST_DURATION.length
QUICK = BYTES + RESPONSE_SIZE.length
DEPENDENCIES = QUICK + 1

_REST = (0.0,) * (DEPENDENCY_DURATION.length - 2)


def length(dependencies: int) -> int:
    """Return how many numbers a row has."""
    return DEPENDENCIES + dependencies if dependencies else QUICK


def told(labels: Sequence[str], numbers: Sequence[float]) -> Iterator[Series]:
    """Yield the series of the table that a row stands for."""
    method, route, status, decision, *dependencies = labels
    answered = (method, route, status)
    durations = numbers[SECONDS:BYTES]
    yield Series(REQUEST_DURATION.name, answered, durations, True)
    yield Series(RESPONSE_SIZE.name, answered, numbers[BYTES:QUICK], True)
    if decision:
        yield Series(DECISIONS_ENDED.name, (decision, status), [sum(durations[1:])], True)
    for name, seconds in zip(dependencies, numbers[DEPENDENCIES:], strict=True):
        if numbers[QUICK]:
            row = (seconds, numbers[QUICK], *_REST)
            yield Series(DEPENDENCY_DURATION.name, (name,), row, True)
