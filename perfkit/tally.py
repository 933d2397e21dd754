"""What is counted of requests that end alike, as one row of numbers.

Requests of one method and route that got the same status from the same decision are counted
in one place, so that a request looks for one thing and not for each metric. A scrape makes the
metrics of the table out of such rows. A row has:

1. the sum of the durations, and a count for each bucket;
2. the same for the bytes of the responses;
3. how many have begun, those that are in flight included;
4. how many requests were quick, which is within the first bucket of durations, for each bucket of
   bytes: one count stands for both buckets, which are without these requests;
5. how many others made all their dependencies within the first bucket's bound, and the seconds
   that each dependency named by the labels took in those and in the quick ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from operator import add

from perfkit.metrics import (
    ACTIVE_REQUESTS,
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
BEGUN = BYTES + RESPONSE_SIZE.length
QUICK = BEGUN + 1
MADE = QUICK + RESPONSE_SIZE.length - 1
DEPENDENCIES = MADE + 1

_REST = (0.0,) * (DEPENDENCY_DURATION.length - 2)


def length(dependencies: int) -> int:
    """Return how many numbers a row has."""
    return DEPENDENCIES + dependencies


def told(series: Iterable[Series]) -> Iterator[Series]:
    """Yield series of the table, those that such rows stand for in their place."""
    rows: dict[tuple[tuple[str, ...], bool], Sequence[float]] = {}
    for each in series:
        if each.metric != TALLY:
            yield each
            continue
        # Rows are added up first, which is quicker than to add up what they stand for.
        key = (each.labels, each.alive)
        row = rows.get(key)
        rows[key] = each.numbers if row is None else list(map(add, row, each.numbers))
    for (labels, alive), numbers in rows.items():
        yield from _told(Series(TALLY, labels, numbers, alive))


def _told(row: Series) -> Iterator[Series]:
    method, route, status, decision, *dependencies = row.labels
    numbers, alive = row.numbers, row.alive
    quick = numbers[QUICK:MADE]
    durations, sizes = [*numbers[SECONDS:BYTES]], [*numbers[BYTES:BEGUN]]
    durations[1] += sum(quick)
    sizes[1:] = map(add, sizes[1:], quick)
    ended = sum(durations[1:])
    answered = (method, route, status)
    yield Series(ACTIVE_REQUESTS.name, (method, route), [numbers[BEGUN] - ended], alive)
    if not ended:
        return
    yield Series(REQUEST_DURATION.name, answered, durations, alive)
    yield Series(RESPONSE_SIZE.name, answered, sizes, alive)
    if decision:
        yield Series(DECISIONS_ENDED.name, (decision, status), [ended], alive)
    made = sum(quick) + numbers[MADE]
    for name, seconds in zip(dependencies, numbers[DEPENDENCIES:], strict=True):
        if made:
            yield Series(DEPENDENCY_DURATION.name, (name,), (seconds, made, *_REST), alive)
