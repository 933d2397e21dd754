"""Counts, times and weighs the requests of an application, once each of them is over.

What a request is added to, its route knows from the first request that ended alike on: one row
of numbers, under one lock; names and labels matter only to a scrape.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Iterable
from threading import get_ident
from typing import TYPE_CHECKING
from weakref import WeakSet

from perfkit import exemplars, tally
from perfkit.exemplars import EXEMPLARS, Exemplar
from perfkit.meter import Meter, Numbers
from perfkit.metrics import (
    ACTIVE_REQUESTS,
    BYTES_BUCKETS,
    DEPENDENCY_DURATION,
    METHODS,
    OTHER,
    REQUEST_SIZE,
    SECONDS_BUCKETS,
    UNMATCHED,
    WORKER_WAIT,
)
from perfkit.record import Entry, Record, asked, current
from perfkit.store import after_fork
from perfkit.tally import BEGUN, BYTES, DEPENDENCIES, MADE, QUICK, SECONDS, TALLY
from perfkit.timing import TIMER, TimedRoute, TimingObserver
from restmachine.hooks import CONTENT, DEPENDENCY, WORKER, Places, entries

if TYPE_CHECKING:
    from perfkit.tracing import Trace
    from restmachine.exchange import Exchange

QUICK_SECONDS = SECONDS_BUCKETS[0]
FEW_BYTES = BYTES_BUCKETS[0]
"""Most values are in the first bucket: a comparison is quicker than a search."""


def nothing() -> None:
    """Do nothing."""


class Dependencies(dict[str, Numbers]):
    """The numbers of each dependency by its name, made when they are first asked for."""

    def __init__(self, meter: Meter) -> None:
        super().__init__()
        self._meter = meter

    def __missing__(self, name: str) -> Numbers:
        label = self._meter.bounded("dependency", name)
        numbers = self._meter.numbers(DEPENDENCY_DURATION, label)
        # A name that was folded is looked up again each time, and counted.
        return self.setdefault(name, numbers) if label == name else numbers

    def knows_all(self, names: Iterable[str]) -> bool:
        """Return whether each of them has numbers of its own."""
        return all(name in self for name in names)


class RouteSeries:
    """The numbers of one method and route; safe under threads."""

    def __init__(self, meter: Meter, method: str, route: str, dependencies: Dependencies) -> None:
        self.dependencies = dependencies
        self._active = meter.numbers(ACTIVE_REQUESTS, method, route)
        self._contents: Numbers | None = None
        self._rows: dict[tuple[int, str], Numbers] = {}
        self._lock = meter.lock
        self._meter = meter
        self._labels = (method, route)

    @property
    def is_folded(self) -> bool:
        """Whether other routes share these numbers."""
        return self._labels[1] == OTHER

    def begin(self) -> None:
        """Count a request as in flight."""
        with self._lock:
            self._active[0] += 1

    def leave(self) -> None:
        """Take back that a request is in flight; it counts elsewhere."""
        with self._lock:
            self._active[0] -= 1

    def end(
        self,
        seconds: float,
        status: int,
        sent_bytes: int,
        decision: str = "",
        timeline: Iterable[Entry] = (),
    ) -> None:
        """Count a request as over, and what happened to it."""
        row = self._rows.get((status, decision)) or self.row(status, decision)
        received, dependencies = 0, self.dependencies
        with self._lock:
            self._active[0] -= 1
            row[BEGUN] += 1
            row[SECONDS] += seconds
            row[SECONDS + 1 + bisect_left(SECONDS_BUCKETS, seconds)] += 1
            row[BYTES] += sent_bytes
            row[BYTES + 1 + bisect_left(BYTES_BUCKETS, sent_bytes)] += 1
            for kind, subject, started, ended in timeline:
                if kind is DEPENDENCY:
                    observe(dependencies[subject], ended - started)
                elif kind is CONTENT:
                    received += subject
                elif kind is WORKER:
                    self._meter.observe(WORKER_WAIT, value=ended - started)
            if received:
                self.received(received)

    def count_dependencies(self, timeline: Iterable[Entry]) -> None:
        """Count what was made for a request that is counted without it."""
        with self._lock:
            for kind, subject, started, ended in timeline:
                if kind is DEPENDENCY:
                    observe(self.dependencies[subject], ended - started)

    def received(self, size: int) -> None:
        """Count the content of a request, in bytes."""
        with self._lock:
            if self._contents is None:
                self._contents = self._meter.numbers(REQUEST_SIZE, *self._labels)
            self._contents[0] += size
            self._contents[1 + bisect_left(BYTES_BUCKETS, size)] += 1

    def row(self, status: int, decision: str) -> Numbers:
        """Return the row of the requests that end so (`tally`)."""
        key = (status, decision) if 100 <= status <= 599 else (0, decision)
        with self._lock:
            if key not in self._rows:
                self._rows[key] = self.new_row(status, decision)
            return self._rows[key]

    def new_row(self, status: int, decision: str, dependencies: Iterable[str] = ()) -> Numbers:
        """Return a row of its own, also for the dependencies that are made on the way."""
        label = f"{status}" if 100 <= status <= 599 else OTHER
        names = tuple(dependencies)
        labels = (*self._labels, label, decision, *names)
        return self._meter.new_numbers(TALLY, labels, tally.length(len(names)))

    def trace(self, seconds: float, status: int, trace: Trace | None) -> None:
        """Remember in which trace a request took so long, if that is sampled."""
        if trace is None or not trace.sampled:
            return
        labels = (*self._labels, f"{status}" if 100 <= status <= 599 else OTHER)
        width = exemplars.length(len(SECONDS_BUCKETS))
        with self._lock:
            kept = self._meter.other_numbers(EXEMPLARS, labels, width)
            bucket = bisect_left(SECONDS_BUCKETS, seconds)
            exemplars.keep(kept, bucket, Exemplar(seconds, time.time(), trace.trace_id))


def observe(numbers: Numbers, seconds: float) -> None:
    """Put a duration into a histogram whose lock is taken."""
    numbers[0] += seconds
    numbers[1 if seconds <= QUICK_SECONDS else 1 + bisect_left(SECONDS_BUCKETS, seconds)] += 1


class Routes:
    """The numbers of every method and route, made when they are first asked for.

    Args:
        first: Is called whenever there is a new one, so soon in the life of each process.
    """

    def __init__(self, meter: Meter, first: Callable[[], None] = nothing) -> None:
        self._meter = meter
        self._first = first
        self._counted: WeakSet[CountedRoute] = WeakSet()
        self._start()
        after_fork(self._start)

    def _start(self) -> None:
        self._series: dict[tuple[str, str | None], RouteSeries] = {}
        self._dependencies = Dependencies(self._meter)
        for counted in self._counted:
            counted.forget()

    def find(self, method: str, route: str | None) -> RouteSeries:
        """Return the numbers of a method and a route, None for a path that has none."""
        return self._series.get((method, route)) or self._new(method, route)

    def _new(self, method: str, route: str | None) -> RouteSeries:
        known = method if method in METHODS else OTHER
        label = UNMATCHED if route is None else self._meter.bounded("http_route", route)
        # A method or a route that was folded is looked up again each time: the dict stays bounded.
        key = (known, OTHER if label == OTHER else route)
        series = self._series.get(key)
        if series is None:
            new = RouteSeries(self._meter, known, label, self._dependencies)
            series = self._series.setdefault(key, new)
            self._first()
        return series

    def counted(self, observer: TimingObserver, method: str, template: str | None) -> CountedRoute:
        """Return what times the requests of a route and counts them here (`timing.attach`)."""
        counted = CountedRoute(self, observer, method, template)
        self._counted.add(counted)
        return counted


class CountedRoute(TimedRoute):
    """Times and counts the requests of one route; safe under threads and overlapping requests.

    Most requests of a route go the direct way on one thread. That thread adds to a row of its
    own without a lock.

    Hot path: in one piece, for each call would take as long as it takes to count
    (bench_instrument.py::bench_instrumented_get).
    """

    def __init__(
        self, routes: Routes, observer: TimingObserver, method: str, template: str | None
    ) -> None:
        super().__init__(observer, method, template)
        self._routes = routes
        self._method = method
        self._template = template
        self._quick_seconds = min(QUICK_SECONDS, self._slow_seconds)
        self._loose: dict[Exchange, RouteSeries] = {}
        self.forget()

    def forget(self) -> None:
        """Begin afresh, in a forked child."""
        self._series: RouteSeries | None = None
        self._row: Numbers = ()  # type: ignore[assignment]  # nobody adds to it
        self._thread = self._dependencies = self._status = 0
        self._places: Places = ()
        self._decision = ""

    def enters(self, now: float) -> bool:
        """Count a request of the thread that has the row, for which that is enough."""
        if get_ident() != self._thread:
            return False
        self._row[BEGUN] += 1
        if asked.for_current:
            current.set(Record(self._method, self._template, now))
        return True

    def passed(self, marks: list[float], sent_bytes: int) -> None:
        """Count what a request took and sent in the row, and hand on its record if it was slow."""
        row, former = self._row, marks[0]
        count, taken = self._dependencies, marks[-1] - former
        size = 0 if sent_bytes <= FEW_BYTES else bisect_left(BYTES_BUCKETS, sent_bytes)
        row[SECONDS] += taken
        row[BYTES] += sent_bytes
        if taken <= self._quick_seconds:
            row[QUICK + size] += 1
        else:
            row[SECONDS + 1 + bisect_left(SECONDS_BUCKETS, taken)] += 1
            row[BYTES + 1 + size] += 1
            if taken >= self._slow_seconds:
                self._hand_on(marks, sent_bytes)
            if marks[count] - former > QUICK_SECONDS:
                assert self._series is not None
                self._series.count_dependencies(entries(self._places, marks, sent_bytes))
                return
            row[MADE] += 1
        if count:
            place = DEPENDENCIES
            for mark in marks[1 : count + 1]:
                row[place] += mark - former
                former = mark
                place += 1

    def _hand_on(self, marks: list[float], sent_bytes: int) -> None:
        """Hand on the record of a request that had no exchange."""
        record = current.get()
        if not isinstance(record, Record) or record.started is not marks[0]:
            record = Record(self._method, self._template, marks[0])
        record.timeline.extend(entries(self._places, marks, sent_bytes))
        record.decision = self._decision
        record.complete(self._status, sent_bytes, marks[-1])
        self._observer.hand_on(record)

    def request_started(self, exchange: Exchange, now: float) -> None:
        """Count a request as in flight, and make it current."""
        self._find(exchange).begin()
        self._enter(exchange)

    def request_finished(
        self, exchange: Exchange, status: int, sent_bytes: int, now: float
    ) -> None:
        """Count what a request took, received and sent, and hand on its record."""
        taken = now - exchange.marks[0]
        self._end(exchange, status, sent_bytes, taken)
        self._leave(exchange)
        if taken >= self._slow_seconds:
            record = self._observer.finish(exchange, status, sent_bytes, now)
            series = self._routes.find(exchange.method, self._template)
            series.trace(taken, status, record.trace)

    def _find(self, exchange: Exchange) -> RouteSeries:
        """Return the numbers of a request."""
        if self._series is not None:
            return self._series
        series = self._routes.find(exchange.method, self._template)
        if self._template is None or series.is_folded or exchange.method != self._method:
            self._loose[exchange] = series
        else:
            self._series = series
        return series

    def _end(self, exchange: Exchange, status: int, sent_bytes: int, taken: float) -> None:
        """Count a request that did not end like most of its route, or is among the first."""
        series = self._loose.pop(exchange, None) or self._series
        if series is None:  # it began in the parent process
            return
        series.end(taken, status, sent_bytes, exchange.decision, exchange.timeline)
        places = exchange.plan.places
        went = bool(places) and len(exchange.marks) == len(places) + 1
        if went and series is self._series and not self._thread:
            self._keep_row(series, exchange, status)

    def _keep_row(self, series: RouteSeries, exchange: Exchange, status: int) -> None:
        """Give this thread a row of its own, if nobody needs more of a request than its marks."""
        plan = exchange.plan
        names = [name for kind, name in plan.places if kind is DEPENDENCY]
        if self._begins or TIMER in plan.reached or not series.dependencies.knows_all(names):
            return
        self._status, self._decision, self._places = status, exchange.decision, plan.places
        self._row = series.new_row(status, exchange.decision, names)
        self._dependencies = len(names)
        self._thread = get_ident()
