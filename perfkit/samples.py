"""What a load generator tells the runner each second, and how it is counted.

This room knows nothing of Locust, so both sides of the pipe may import it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from perfkit.histogram import Latencies

ERROR_TEXTS_KEPT = 20
OTHER_ERRORS = "other errors"


@dataclass(slots=True)
class RouteCounts:
    """The requests of one route: *latencies* of those answered, whatever the answer was."""

    requests: int = 0
    failures: int = 0
    latencies: Latencies = field(default_factory=Latencies)
    errors: dict[str, int] = field(default_factory=dict)

    def record(self, latency_s: float | None, error: str | None) -> None:
        """Count one request; *latency_s* is None when no answer came."""
        self.requests += 1
        if latency_s is not None:
            self.latencies.record(latency_s)
        if error is not None:
            self.failures += 1
            self._count_error(error, 1)

    def add(self, other: RouteCounts) -> None:
        """Count everything that *other* counted."""
        self.requests += other.requests
        self.failures += other.failures
        self.latencies.add(other.latencies)
        for text, count in other.errors.items():
            self._count_error(text, count)

    def _count_error(self, text: str, count: int) -> None:
        if text not in self.errors and len(self.errors) >= ERROR_TEXTS_KEPT:
            text = OTHER_ERRORS
        self.errors[text] = self.errors.get(text, 0) + count


@dataclass(frozen=True, slots=True)
class Gauges:
    """The state of one generator process, taken once a second.

    *cpu* and *waiting* are shares of one core: computing, and ready but kept off the core.
    *lag_s* is how late the latest request of an open-loop load started.
    """

    users: int = 0
    cpu: float = 0.0
    waiting: float = 0.0
    lag_s: float = 0.0


@dataclass(slots=True)
class Second:
    """What one generator process counted in second *at* of the run."""

    source: str
    at: int
    gauges: Gauges
    routes: dict[str, RouteCounts]

    def to_json(self) -> dict[str, Any]:
        """Return plain data: histograms in their encoded form."""
        return {
            "source": self.source,
            "at": self.at,
            "users": self.gauges.users,
            "cpu": round(self.gauges.cpu, 4),
            "waiting": round(self.gauges.waiting, 4),
            "lag_s": round(self.gauges.lag_s, 6),
            "routes": {
                name: {
                    "requests": counts.requests,
                    "failures": counts.failures,
                    "latencies": counts.latencies.encode(),
                    "errors": counts.errors,
                }
                for name, counts in self.routes.items()
            },
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Second:
        """Read what `to_json` returned."""
        return cls(
            source=data["source"],
            at=data["at"],
            gauges=Gauges(data["users"], data["cpu"], data["waiting"], data["lag_s"]),
            routes={
                name: RouteCounts(
                    counts["requests"],
                    counts["failures"],
                    Latencies(counts["latencies"]),
                    dict(counts["errors"]),
                )
                for name, counts in data["routes"].items()
            },
        )


@dataclass(frozen=True, slots=True)
class End:
    """The last word of a generator that ended by itself: how long users were sending."""

    elapsed_s: float

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {"elapsed_s": round(self.elapsed_s, 6)}


def read_line(line: str | bytes) -> Second | End:
    """Read one line of the stream."""
    data = json.loads(line)
    return End(data["elapsed_s"]) if "elapsed_s" in data else Second.from_json(data)


class Recorder:
    """Counts the requests of this process by second since `start`, on a monotonic *clock*."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._started: float | None = None
        self._open: dict[int, dict[str, RouteCounts]] = {}
        self._next = 0

    @property
    def elapsed_s(self) -> float:
        """Seconds since `start`, 0 before it."""
        return 0.0 if self._started is None else self._clock() - self._started

    def start(self) -> None:
        """Forget what was counted; second 0 begins now."""
        self._started = self._clock()
        self._open.clear()
        self._next = 0

    def record(self, route: str, latency_s: float | None, error: str | None) -> None:
        """Count one request in the second in which it ended."""
        routes = self._open.setdefault(int(self.elapsed_s), {})
        if route not in routes:
            routes[route] = RouteCounts()
        routes[route].record(latency_s, error)

    def take(self, *, unfinished: bool = False) -> Iterator[tuple[int, dict[str, RouteCounts]]]:
        """Hand out each second that is over exactly once, those without requests too.

        With *unfinished* the running second is handed out as well: for the end of a run.
        """
        if self._started is None:
            return
        stop = int(self.elapsed_s) + unfinished
        for at in range(self._next, stop):
            yield at, self._open.pop(at, {})
        self._next = max(self._next, stop)
