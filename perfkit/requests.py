"""Counts, times and weighs the requests of an application, once each of them is over.

A request looks its numbers up in two plain dicts, by method and route and then by status, and
adds to them under one lock, in one pass over what its timeline tells; names and labels matter
only to a scrape.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable

from perfkit import exemplars
from perfkit.exemplars import EXEMPLARS, Exemplar
from perfkit.meter import Meter, Numbers
from perfkit.metrics import (
    ACTIVE_REQUESTS,
    BYTES_BUCKETS,
    DECISIONS_ENDED,
    DEPENDENCY_DURATION,
    METHODS,
    OTHER,
    REQUEST_DURATION,
    REQUEST_SIZE,
    RESPONSE_SIZE,
    SECONDS_BUCKETS,
    UNMATCHED,
    WORKER_WAIT,
)
from perfkit.record import Record
from perfkit.store import after_fork
from restmachine.hooks import CONTENT, DEPENDENCY, WORKER

QUICK = SECONDS_BUCKETS[0]


def nothing() -> None:
    """Do nothing."""


class RouteSeries:
    """The numbers of one method and route."""

    __slots__ = ("_labels", "_meter", "active", "answers", "contents", "lock")

    def __init__(self, meter: Meter, method: str, route: str) -> None:
        self.lock = meter.lock
        self.active = meter.numbers(ACTIVE_REQUESTS, method, route)
        self.answers: dict[int, Answers] = {}
        self.contents: Numbers | None = None
        self._meter = meter
        self._labels = (method, route)

    def begin(self) -> None:
        """Count a request as in flight."""
        with self.lock:
            self.active[0] += 1

    def leave(self) -> None:
        """Take back that a request is in flight; it counts elsewhere."""
        with self.lock:
            self.active[0] -= 1

    def end(self, seconds: float, status: int, sent_bytes: int) -> Answers:
        """Count a request as answered, and no longer in flight."""
        answers = self.answers.get(status) or self.new_answers(status)
        durations, sizes = answers.durations, answers.sizes
        with self.lock:
            self.active[0] -= 1
            durations[0] += seconds
            durations[1 + bisect_left(SECONDS_BUCKETS, seconds)] += 1
            sizes[0] += sent_bytes
            sizes[1 + bisect_left(BYTES_BUCKETS, sent_bytes)] += 1
        return answers

    def received(self, size: int) -> None:
        """Count the content of a request, in bytes."""
        with self.lock:
            if self.contents is None:
                self.contents = self._meter.numbers(REQUEST_SIZE, *self._labels)
            self.contents[0] += size
            self.contents[1 + bisect_left(BYTES_BUCKETS, size)] += 1

    def new_answers(self, status: int) -> Answers:
        """Return the numbers of answers with a status that is new."""
        key, label = (status, str(status)) if 100 <= status <= 599 else (0, OTHER)
        with self.lock:
            if key not in self.answers:
                self.answers[key] = Answers(self._meter, (*self._labels, label))
            return self.answers[key]


class Answers:
    """The numbers of answers with one status: *durations*, *sizes*, and traces of some.

    *endings* has a number for each decision at which such an answer was decided.
    """

    __slots__ = ("_labels", "_meter", "_traces", "durations", "endings", "sizes")

    def __init__(self, meter: Meter, labels: tuple[str, str, str]) -> None:
        self.durations = meter.numbers(REQUEST_DURATION, *labels)
        self.sizes = meter.numbers(RESPONSE_SIZE, *labels)
        self.endings: dict[str, Numbers] = {}
        self._meter = meter
        self._labels = labels
        self._traces: Numbers | None = None

    def new_ending(self, decision: str) -> Numbers:
        """Return the number of answers that a decision gave."""
        numbers = self._meter.numbers(DECISIONS_ENDED, decision, self._labels[2])
        self.endings[decision] = numbers
        return numbers

    def trace(self, seconds: float, trace_id: str) -> None:
        """Remember in which trace a request took so long."""
        with self._meter.lock:
            if self._traces is None:
                width = exemplars.length(len(SECONDS_BUCKETS))
                self._traces = self._meter.other_numbers(EXEMPLARS, self._labels, width)
            bucket = bisect_left(SECONDS_BUCKETS, seconds)
            exemplars.keep(self._traces, bucket, Exemplar(seconds, time.time(), trace_id))


class Routes:
    """The numbers of every method and route, made when they are first asked for.

    Args:
        first: Is called whenever there is a new one, so soon in the life of each process.
    """

    def __init__(self, meter: Meter, first: Callable[[], None]) -> None:
        self._meter = meter
        self._first = first
        self._start()
        after_fork(self._start)

    def _start(self) -> None:
        self._series: dict[tuple[str, str | None], RouteSeries] = {}

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
            series = self._series.setdefault(key, RouteSeries(self._meter, known, label))
            self._first()
        return series


class RequestMetrics:
    """Counts, times and weighs requests; safe under threads and overlapping requests.

    For `timing.attach`: *begin* is told of each request that has started, and *finish* of each
    that is over.
    """

    def __init__(self, meter: Meter, first: Callable[[], None] = nothing) -> None:
        self._meter = meter
        self.routes = Routes(meter, first)
        self._start()
        after_fork(self._start)

    def _start(self) -> None:
        self._lock = self._meter.lock
        self._dependencies: dict[str, Numbers] = {}

    # Hot path: a lock that is taken by name takes 0.13 us, by `with` 0.29 us
    # (bench_instrument.py::bench_instrumented_get).
    def begin(self, record: Record, exchange: object) -> None:
        """Count a request as in flight."""
        series = record.series = self.routes.find(record.method, record.route)
        self._lock.acquire()
        try:
            series.active[0] += 1
        finally:
            self._lock.release()

    # Hot path: in one piece and under one lock, for a call or a lock for each histogram would
    # take twice as long (bench_instrument.py::bench_instrumented_get).
    def finish(self, record: Record) -> None:
        """Record what a request took, received and sent, and what its timeline tells."""
        series = record.series
        if series is None:
            return
        answers = series.answers.get(record.status) or series.new_answers(record.status)
        durations, sizes, dependencies = answers.durations, answers.sizes, self._dependencies
        taken, sent_bytes, received = record.finished - record.started, record.sent_bytes, 0
        self._lock.acquire()
        try:
            series.active[0] -= 1
            durations[0] += taken
            durations[1 + bisect_left(SECONDS_BUCKETS, taken)] += 1
            sizes[0] += sent_bytes
            sizes[1 + bisect_left(BYTES_BUCKETS, sent_bytes)] += 1
            if decision := record.decision:
                (answers.endings.get(decision) or answers.new_ending(decision))[0] += 1
            for kind, subject, started, ended in record.timeline:
                if kind is DEPENDENCY:
                    seconds = ended - started
                    numbers = dependencies.get(subject) or self._new_dependency(subject)
                    numbers[0] += seconds
                    # Most are made in no time; a comparison is quicker than a search.
                    bucket = 1 if seconds <= QUICK else 1 + bisect_left(SECONDS_BUCKETS, seconds)
                    numbers[bucket] += 1
                elif kind is CONTENT:
                    received += subject
                elif kind is WORKER:
                    self._meter.observe(WORKER_WAIT, value=ended - started)
            if received:
                series.received(received)
        finally:
            self._lock.release()
        trace = record.trace
        if trace is not None and trace.sampled:
            answers.trace(taken, trace.trace_id)

    def _new_dependency(self, name: str) -> Numbers:
        label = self._meter.bounded("dependency", name)
        numbers = self._meter.numbers(DEPENDENCY_DURATION, label)
        return self._dependencies.setdefault(label, numbers)
