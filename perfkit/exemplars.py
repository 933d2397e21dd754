"""A trace for each bucket of a histogram: the last sampled request that fell into it.

An exemplar is kept as a row of doubles, like every other number, so that it can be read from
a file that another process maps: the value, the time, the 128 bits of the trace id in three
parts which a double holds exactly, and their sum. The sum tells a row that was read while it
was written, which counts as none.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableSequence, Sequence
from typing import NamedTuple

EXEMPLARS = "http_server_request_duration_seconds exemplars"
"""Under this name a store keeps the exemplars of a series, by the same labels."""

WIDTH = 6
_PART_BITS = 43
_PART = (1 << _PART_BITS) - 1


class Exemplar(NamedTuple):
    """One observed value of a histogram, and the request it was observed in.

    *timestamp* is in seconds since 1970, *trace_id* 32 hexadecimal digits.
    """

    value: float
    timestamp: float
    trace_id: str


def length(buckets: int) -> int:
    """Return how many numbers the exemplars of a histogram take, one beyond the last bound."""
    return WIDTH * (buckets + 1)


def keep(numbers: MutableSequence[float], bucket: int, exemplar: Exemplar) -> None:
    """Put an exemplar into its place, instead of the one that is there."""
    trace = int(exemplar.trace_id, 16)
    parts = [float(trace >> shift & _PART) for shift in (2 * _PART_BITS, _PART_BITS, 0)]
    row = [exemplar.value, exemplar.timestamp, *parts, sum(parts) + exemplar.timestamp]
    for index, number in enumerate(row, WIDTH * bucket):
        numbers[index] = number


def read(numbers: Sequence[float]) -> Iterator[Exemplar | None]:
    """Yield the exemplar of each bucket, None where there is none."""
    for start in range(0, len(numbers), WIDTH):
        value, timestamp, *parts, check = numbers[start : start + WIDTH]
        if not timestamp or check != sum(parts) + timestamp:
            yield None
            continue
        high, middle, low = (int(part) for part in parts)
        trace = high << 2 * _PART_BITS | middle << _PART_BITS | low
        yield Exemplar(value, timestamp, f"{trace:032x}")


def latest(left: Sequence[float], right: Sequence[float]) -> Sequence[float]:
    """Return of each bucket the later exemplar."""
    later: list[float] = []
    for start in range(0, len(left), WIDTH):
        is_later = right[start + 1] > left[start + 1]
        later.extend((right if is_later else left)[start : start + WIDTH])
    return later
