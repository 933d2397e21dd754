"""Adds up the seconds that generators report, in memory that requests do not fill."""

from __future__ import annotations

from dataclasses import dataclass, field

from perfkit.histogram import Digest
from perfkit.samples import End, Gauges, RouteCounts, Second

TOTAL = "total"
# Generators on several machines report the same second at different times.
OPEN_SECONDS = 10


@dataclass(frozen=True, slots=True)
class TimelineRow:
    """One route, or all together as `TOTAL`, in one second; *latency* is None without answers."""

    at: int
    route: str
    requests: int
    failures: int
    latency: Digest | None


@dataclass(slots=True)
class GeneratorLog:
    """The gauges of one generator process: one entry a second, from second 0 on."""

    gauges: dict[int, Gauges] = field(default_factory=dict)

    def full_seconds(self, seconds: int) -> list[Gauges]:
        """Return the gauges of the first *seconds* seconds, those that users filled."""
        return [gauges for at, gauges in sorted(self.gauges.items()) if at < seconds]


class Results:
    """Totals by route, and a timeline of digests."""

    def __init__(self) -> None:
        self.routes: dict[str, RouteCounts] = {}
        self.timeline: list[TimelineRow] = []
        self.generators: dict[str, GeneratorLog] = {}
        self.elapsed_s = 0.0
        self.ended = False
        self._open: dict[int, dict[str, RouteCounts]] = {}
        self._newest = -1
        self._closed = 0

    def add(self, line: Second | End) -> None:
        """Count one line of the stream."""
        if isinstance(line, End):
            self.elapsed_s = line.elapsed_s
            self.ended = True
            return
        self.generators.setdefault(line.source, GeneratorLog()).gauges[line.at] = line.gauges
        for route, counts in line.routes.items():
            self.routes.setdefault(route, RouteCounts()).add(counts)
        if line.at >= self._closed:
            second = self._open.setdefault(line.at, {})
            for route, counts in line.routes.items():
                second.setdefault(route, RouteCounts()).add(counts)
        if line.at > self._newest:
            self._newest = line.at
            self.elapsed_s = max(self.elapsed_s, float(line.at + 1))
            self._close(line.at - OPEN_SECONDS)

    def finish(self) -> None:
        """Close every second: the stream has ended."""
        self._close(self._newest + 1)
        self.timeline.sort(key=lambda row: (row.at, row.route != TOTAL, row.route))

    @property
    def total(self) -> RouteCounts:
        """All routes together."""
        return merge(self.routes)

    def latest(self) -> TimelineRow | None:
        """Return the last second of which every generator has told, for showing progress."""
        if not self.generators:
            return None
        at = min(max(log.gauges) for log in self.generators.values())
        return _row(at, TOTAL, merge(self._open[at])) if at in self._open else None

    def _close(self, before: int) -> None:
        for at in sorted(second for second in self._open if second < before):
            routes = self._open.pop(at)
            self.timeline.append(_row(at, TOTAL, merge(routes)))
            self.timeline.extend(_row(at, route, counts) for route, counts in routes.items())
        self._closed = max(self._closed, before)


def merge(routes: dict[str, RouteCounts]) -> RouteCounts:
    """Return the sum of *routes*."""
    total = RouteCounts()
    for counts in routes.values():
        total.add(counts)
    return total


def _row(at: int, route: str, counts: RouteCounts) -> TimelineRow:
    return TimelineRow(at, route, counts.requests, counts.failures, counts.latencies.digest())
