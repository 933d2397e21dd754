"""Counts, times and weighs the requests of an application, through its observer events.

A request looks its numbers up in two plain dicts, by method and route and then by
status, and adds to them under one lock; names and labels matter only to a scrape.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Collection
from threading import Lock
from time import perf_counter
from typing import TYPE_CHECKING

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
from perfkit.store import after_fork
from restmachine.hooks import Observer

if TYPE_CHECKING:
    from restmachine.exchange import Exchange

Trace = Callable[[], str | None]
"""Returns the trace id of the running request as 32 digits, None if it is not sampled."""


def untraced() -> None:
    """Return that no request is sampled."""
    return


class RouteSeries:
    """The numbers of one method and route; *lock* is held to change any of them."""

    __slots__ = ("_labels", "_meter", "active", "answers", "contents", "lock")

    def __init__(self, meter: Meter, method: str, route: str) -> None:
        self.lock = Lock()
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
        # Hot path: a histogram with a lock of its own for each would take twice as long
        # (bench_instrument.py::bench_instrumented_get).
        with self.lock:
            self.active[0] -= 1
            durations[0] += seconds
            durations[1 + bisect_left(SECONDS_BUCKETS, seconds)] += 1
            sizes[0] += sent_bytes
            sizes[1 + bisect_left(BYTES_BUCKETS, sent_bytes)] += 1
        return answers

    def received(self, announced: bytes) -> None:
        """Count the content of a request, by its Content-Length."""
        if not announced.isdigit() or not (size := int(announced)):
            return
        if self.contents is None:
            self.contents = self._meter.numbers(REQUEST_SIZE, *self._labels)
        with self.lock:
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
    """The numbers of answers with one status: *durations*, *sizes*, and traces of some."""

    __slots__ = ("_labels", "_meter", "_traces", "durations", "sizes")

    def __init__(self, meter: Meter, labels: tuple[str, str, str]) -> None:
        self.durations = meter.numbers(REQUEST_DURATION, *labels)
        self.sizes = meter.numbers(RESPONSE_SIZE, *labels)
        self._meter = meter
        self._labels = labels
        self._traces: Numbers | None = None

    def trace(self, seconds: float, trace_id: str) -> None:
        """Remember in which trace a request took so long."""
        if self._traces is None:
            width = exemplars.length(len(SECONDS_BUCKETS))
            self._traces = self._meter.other_numbers(EXEMPLARS, self._labels, width)
        bucket = bisect_left(SECONDS_BUCKETS, seconds)
        exemplars.keep(self._traces, bucket, Exemplar(seconds, time.time(), trace_id))


class Routes:
    """The numbers of every method and route, made when they are first asked for."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
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
        key = (known, route if label != OTHER else OTHER)
        return self._series.setdefault(key, RouteSeries(self._meter, known, label))


class MetricsObserver(Observer):
    """Counts, times and weighs requests; safe under threads and overlapping requests."""

    def __init__(
        self,
        meter: Meter,
        *,
        exclude: Collection[str] = (),
        trace: Trace = untraced,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self._meter = meter
        self._routes = Routes(meter)
        self._excluded = frozenset(exclude)
        self._trace = None if trace is untraced else trace
        self._clock = clock
        self._start()
        after_fork(self._start)

    def _start(self) -> None:
        self._dependencies: dict[str, tuple[Lock, Numbers]] = {}

    def request_started(self, exchange: Exchange) -> None:
        """Note when the request began and under which series it counts."""
        route = exchange.route_template
        if route in self._excluded:
            return
        series = self._routes.find(exchange.method, route)
        series.begin()
        exchange.notes[self] = (series, self._clock())

    def worker_waited(self, exchange: Exchange, seconds: float) -> None:
        """Record the wait for a worker thread."""
        if self in exchange.notes:
            self._meter.observe(WORKER_WAIT, value=seconds)

    def dependency_made(self, exchange: Exchange, name: str, seconds: float) -> None:
        """Record what a dependency took."""
        if self not in exchange.notes:
            return
        lock, numbers = self._dependencies.get(name) or self._new_dependency(name)
        with lock:
            numbers[0] += seconds
            numbers[1 + bisect_left(SECONDS_BUCKETS, seconds)] += 1

    def request_finished(self, exchange: Exchange, status: int, sent_bytes: int) -> None:
        """Record what the request took, received and sent."""
        noted = exchange.notes.pop(self, None)
        if noted is None:
            return
        series, started = noted
        seconds = self._clock() - started
        answers = series.end(seconds, status, sent_bytes)
        announced = exchange.fields.get(b"content-length")
        if announced is not None:
            series.received(announced)
        if self._trace is not None and (trace_id := self._trace()) is not None:
            answers.trace(seconds, trace_id)

    def _new_dependency(self, name: str) -> tuple[Lock, Numbers]:
        label = self._meter.bounded("dependency", name)
        numbers = self._meter.numbers(DEPENDENCY_DURATION, label)
        return self._dependencies.setdefault(label, (Lock(), numbers))


class DecisionsObserver(Observer):
    """Counts requests by the decision that was answered last."""

    def __init__(self, meter: Meter, *, exclude: Collection[str] = ()) -> None:
        self._meter = meter
        self._excluded = frozenset(exclude)

    def decided(self, exchange: Exchange, decision: str, answer: bool) -> None:
        """Note the decision; the next one takes its place."""
        exchange.notes[self] = decision

    def request_finished(self, exchange: Exchange, status: int, sent_bytes: int) -> None:
        """Count where the diagram ended, and as what."""
        decision = exchange.notes.pop(self, None)
        if decision is not None and exchange.route_template not in self._excluded:
            label = str(status) if 100 <= status <= 599 else OTHER
            self._meter.add(DECISIONS_ENDED, decision, label)
