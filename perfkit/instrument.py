"""Attaches the metrics to an application, through its observer events.

A request looks its numbers up in two plain dicts, by method and route and then by
status, and adds to them under one lock; names and labels matter only to a scrape.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Callable, Collection, MutableSequence
from threading import Lock
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakMethod, WeakSet

from perfkit.errors import PerfkitError
from perfkit.metrics import (
    ACTIVE_REQUESTS,
    BYTES_BUCKETS,
    METHODS,
    OTHER,
    REQUEST_DURATION,
    RESPONSE_SIZE,
    ROUTES_FOLDED,
    SECONDS_BUCKETS,
    UNMATCHED,
    WORKER_WAIT,
    Metric,
)
from perfkit.store import Store
from restmachine import Request, Response, RestApplication
from restmachine.decorators import skip_content_negotiation
from restmachine.hooks import WORKER, Observer

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from perfkit.exporter import Exporter
    from restmachine.exchange import Exchange

Numbers = MutableSequence[float]

ROUTE_LIMIT = 500
"""Distinct routes with series of their own; each costs some 30 per method and status."""

Application = TypeVar("Application", bound=RestApplication)

_instrumented: WeakSet[RestApplication] = WeakSet()


def instrument(
    app: Application,
    *,
    registry: CollectorRegistry | None = None,
    path: str | None = "/metrics",
    exclude: Collection[str] = (),
) -> Application:
    """Measure every request of *app*, offer the metrics at *path*, and return *app*.

    Args:
        registry: Where to keep the metrics; without it the application has its own,
            which shows memory and CPU of the process as well.
        path: The route for scrapes, which the application's own authorization protects;
            None for no route, when `perfkit.exporter.asgi_app` shows the registry.
        exclude: Route templates that are not measured, beside *path*.

    Raises:
        PerfkitError: The application cannot be instrumented so; the text says why.
        MissingExtraError: prometheus-client is not installed.
    """
    _check(app, path, exclude)
    from perfkit.exporter import exporter  # here, so that perfkit imports without the extra

    shown = exporter(registry)
    if path is not None:
        _add_route(app, path, shown)
    unmeasured = (*exclude, path) if path is not None else exclude
    app.observe(MetricsObserver(shown.store, exclude=[_template(each) for each in unmeasured]))
    _instrumented.add(app)
    return app


def _check(app: object, path: str | None, exclude: Collection[str]) -> None:
    if not isinstance(app, RestApplication):
        raise PerfkitError(
            f"perfkit.instrument takes a RestApplication, and got a {type(app).__name__}: "
            "instrument the application before it is wrapped"
        )
    if app in _instrumented:
        raise PerfkitError(
            "this application is instrumented already: call perfkit.instrument once, "
            "where the application is built"
        )
    if isinstance(exclude, str):
        raise PerfkitError(f'exclude= takes a list of paths: exclude=["{exclude}"]')
    wrong = [each for each in (path, *exclude) if each is not None and not each.startswith("/")]
    if wrong:
        raise PerfkitError(f'a path starts with a slash: "/{wrong[0]}" instead of "{wrong[0]}"')
    if path is not None and ("GET", _template(path)) in {(r.method, r.path) for r in app.routes}:
        raise PerfkitError(f"the application has a route GET {path}: choose another with path=")


def _template(path: str) -> str:
    """Return a path as routes spell it, without empty segments."""
    return "/" + "/".join(segment for segment in path.split("/") if segment)


def _add_route(app: RestApplication, path: str, shown: Exporter) -> None:
    @app.get(path)
    @skip_content_negotiation
    def metrics(request: Request) -> Response:
        """Everything measured so far, for Prometheus."""
        content, media_type = shown.scrape(request.headers.get("Accept") or "")
        return Response(200, content, content_type=media_type)


class MetricsObserver(Observer):
    """Counts, times and weighs requests; safe under threads and overlapping requests."""

    kinds = (WORKER,)

    def __init__(
        self,
        store: Store,
        *,
        exclude: Collection[str] = (),
        route_limit: int = ROUTE_LIMIT,
    ) -> None:
        self._store = store
        self._excluded = frozenset(exclude)
        self._route_limit = route_limit
        self._start()
        after_fork(self._start_in_child)

    def _start(self) -> None:
        self._lock = Lock()
        self._series: dict[tuple[str, str | None], RouteSeries] = {}
        self._routes: set[str | None] = {None}
        self._worker_waits = _zeros(self._store, WORKER_WAIT)
        self._folded = _zeros(self._store, ROUTES_FOLDED)

    def _start_in_child(self) -> None:
        self._store.reopen()
        self._start()

    def request_started(self, exchange: Exchange, now: float) -> None:
        """Note when the request began and under which series it counts."""
        route = exchange.route_template
        if route in self._excluded:
            return
        method = exchange.method if exchange.method in METHODS else OTHER
        series = self._series.get((method, route)) or self._new_series(method, route)
        with series.lock:
            series.active[0] += 1
        exchange.notes[self] = (series, now)

    def request_finished(
        self, exchange: Exchange, status: int, sent_bytes: int, now: float
    ) -> None:
        """Record what the request took and sent."""
        noted = exchange.notes.pop(self, None)
        if noted is None:
            return
        for kind, _, waiting, ended in exchange.timeline:
            if kind is WORKER:
                waited = ended - waiting
                with self._lock:
                    self._worker_waits[0] += waited
                    self._worker_waits[1 + bisect_left(SECONDS_BUCKETS, waited)] += 1
        series, started = noted
        seconds = now - started
        durations, sizes = series.answers.get(status) or series.answer(status)
        # Hot path: a histogram with a lock of its own for each would take twice as long.
        with series.lock:
            series.active[0] -= 1
            durations[0] += seconds
            durations[1 + bisect_left(SECONDS_BUCKETS, seconds)] += 1
            sizes[0] += sent_bytes
            sizes[1 + bisect_left(BYTES_BUCKETS, sent_bytes)] += 1

    def _new_series(self, method: str, route: str | None) -> RouteSeries:
        with self._lock:
            if route not in self._routes:
                # None, for paths without a route, does not count.
                if len(self._routes) > self._route_limit:
                    self._folded[0] += 1
                    route = OTHER
                else:
                    self._routes.add(route)
            key = (method, route)
            if key not in self._series:
                label = UNMATCHED if route is None else route
                self._series[key] = RouteSeries(self._store, method, label)
            return self._series[key]


class RouteSeries:
    """The numbers of one method and route; *lock* is held to change any of them.

    A histogram's numbers are the sum of what was observed, then a count for each bucket
    and for all beyond the last bound.
    """

    def __init__(self, store: Store, method: str, route: str) -> None:
        self.lock = Lock()
        self.active = _zeros(store, ACTIVE_REQUESTS, method, route)
        self.answers: dict[int, tuple[Numbers, Numbers]] = {}
        self._store = store
        self._labels = (method, route)

    def answer(self, status: int) -> tuple[Numbers, Numbers]:
        """Return the durations and the sizes of answers with a status that is new."""
        key, label = (status, str(status)) if 100 <= status <= 599 else (0, OTHER)
        with self.lock:
            if key not in self.answers:
                self.answers[key] = (
                    _zeros(self._store, REQUEST_DURATION, *self._labels, label),
                    _zeros(self._store, RESPONSE_SIZE, *self._labels, label),
                )
            return self.answers[key]


def _zeros(store: Store, row: Metric, *labels: str) -> Numbers:
    # The sum comes first; beyond the last bound lies a bucket without one.
    return store.add(row.name, labels, 2 + len(row.buckets) if row.buckets else 1)


def after_fork(begin: Callable[[], None]) -> None:
    """Call the method *begin* in every forked child, as long as its object lives."""
    method = WeakMethod(begin)

    def call() -> None:
        living = method()
        if living is not None:
            living()

    os.register_at_fork(after_in_child=call)
