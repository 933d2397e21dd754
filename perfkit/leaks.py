"""Whether a route keeps memory of each request that it answers.

The same request is answered again and again, in rounds. After each round all that is garbage is
collected, and what has become more since the round before, divided by the requests, is one
sample. A leak grows in every round; a cache grows until it is full, a pool until it is warm.
"""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from perfkit.allocations import Line, Trace, traces, tracing
from perfkit.errors import PerfkitError
from perfkit.stats import Interval, signed_rank_interval
from restmachine import Request, RestApplication

ROUNDS = 12
CONFIDENCE = 0.99
LAST = 3
"""A leak grows in the last rounds as well: what does not, has been filled."""
NEGLIGIBLE_BYTES = 4.0
"""Growth by request that no object is small enough for."""
TOP = 10

Place = tuple[str, int]


@dataclass(frozen=True, slots=True)
class LeakReport:
    """What a route kept of each request.

    Attributes:
        leaks: Whether memory grew in all rounds, to the last.
        bytes_per_request: The growth and its interval, 99 times in 100.
        blocks_per_request: The same in blocks of memory, the middle of all rounds.
        rounds: The bytes by request of each round.
        lines: Lines whose memory became more over all rounds; *size* and *blocks* are totals.
        requests: How many requests were counted; as many as a round has came before, to warm up.
        status: The status of the last response.
    """

    leaks: bool
    bytes_per_request: Interval
    blocks_per_request: float
    rounds: tuple[float, ...]
    lines: tuple[Line, ...]
    requests: int
    status: int

    def __str__(self) -> str:
        low, estimate, high = self.bytes_per_request
        verdict = "LEAK" if self.leaks else "no leak"
        figures = (
            f"{verdict}: {estimate:.0f} bytes ({low:.0f} to {high:.0f}) and "
            f"{self.blocks_per_request:.1f} blocks kept of each of {self.requests} requests, "
            f"answered with {self.status}"
        )
        return "\n  ".join((figures, *map(str, self.lines)))


def leak_check(
    app: RestApplication, request: Request | Callable[[], Request], n: int = 1200
) -> LeakReport:
    """Answer a request *n* times and tell whether the application keeps something of each.

    Run it where nothing else happens, in a test for example: all memory of the process counts.

    Args:
        request: The request, or what makes one, for requests that must differ.
        n: Requests in all rounds, at least one in each of the 12; more of them see smaller leaks.

    Raises:
        PerfkitError: There are too few requests for the rounds, or the answer is a 5xx.
        TracingError: Allocations cannot be traced here.
    """
    if n < ROUNDS:
        raise PerfkitError(f"n={n} requests are too few: give {ROUNDS} at least, better 1000")
    size = n // ROUNDS
    make = request if callable(request) else lambda: request
    tracing.start()
    try:
        status = _answer(app, make, size)
        before = _by_line(traces())
        marks = [_mark()]
        for _ in range(ROUNDS):
            status = _answer(app, make, size)
            marks.append(_mark())
        after = _by_line(traces())
    finally:
        tracing.stop()
    growth = tuple((late[0] - early[0]) / size for early, late in pairwise(marks))
    blocks = [(late[1] - early[1]) / size for early, late in pairwise(marks)]
    interval = signed_rank_interval(growth, CONFIDENCE)
    return LeakReport(
        leaks=is_leak(growth, interval),
        bytes_per_request=interval,
        blocks_per_request=median(blocks),
        rounds=growth,
        lines=_grown(before, after),
        requests=size * ROUNDS,
        status=status,
    )


def is_leak(growth: tuple[float, ...], interval: Interval) -> bool:
    """Return whether rounds grew as those of a leak do, by the bytes that each request left."""
    return interval.low > NEGLIGIBLE_BYTES and median(growth[-LAST:]) > interval.estimate / 2


def _answer(app: RestApplication, make: Callable[[], Request], times: int) -> int:
    status = 0
    for _ in range(times):
        status = app.execute(make()).status_code
        if status >= 500:
            raise PerfkitError(f"the request was answered with {status}: mend that first")
    return status


def _mark() -> tuple[int, int]:
    """Return the bytes and the blocks that are in use."""
    gc.collect()
    return tracemalloc.get_traced_memory()[0], sys.getallocatedblocks()


def _by_line(blocks_now: Sequence[Trace]) -> dict[Place, tuple[int, int]]:
    sizes: Counter[Place] = Counter()
    blocks: Counter[Place] = Counter()
    for _, size, calls, _ in blocks_now:
        sizes[calls[0]] += size
        blocks[calls[0]] += 1
    return {place: (size, blocks[place]) for place, size in sizes.items()}


def _grown(
    before: dict[Place, tuple[int, int]], after: dict[Place, tuple[int, int]]
) -> tuple[Line, ...]:
    own = {__file__, tracemalloc.__file__}
    more = []
    for place, (size, blocks) in after.items():
        former_size, former_blocks = before.get(place, (0, 0))
        if place[0] not in own:
            more.append(Line(*place, size=size - former_size, blocks=blocks - former_blocks))
    grown = sorted((line for line in more if line.size > 0), key=lambda line: -line.size)
    return tuple(grown[:TOP])
