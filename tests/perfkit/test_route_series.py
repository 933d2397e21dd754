"""What is counted of requests by route, and under which labels, by a clock that is set."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest
from prometheus_client import CollectorRegistry

from perfkit import tally
from perfkit.exporter import Exporter as Shown
from perfkit.exporter import exporter
from perfkit.meter import Meter
from perfkit.metrics import LABEL_LIMITS
from perfkit.record import Entry
from perfkit.requests import Routes, RouteSeries
from perfkit.tracing import Trace
from restmachine.hooks import CONTENT, DEPENDENCY, WORKER

REQUESTS = "http_server_request_duration_seconds_count"
SECONDS = "http_server_request_duration_seconds_sum"
BYTES = "http_server_response_body_size_bytes_sum"
ACTIVE = "http_server_active_requests"


class Begun(NamedTuple):
    """A request that has begun *at* a time."""

    series: RouteSeries
    at: float
    timeline: list[Entry]


class Watched:
    """Requests with a clock that is set, and what a scrape shows of them."""

    def __init__(self, route_limit: int = 500) -> None:
        self.now = 100.0
        self.shown: Shown = exporter(CollectorRegistry())
        self.routes = Routes(Meter(self.shown.store, {**LABEL_LIMITS, "http_route": route_limit}))

    def begin(self, route: str | None = "/items/{item_id}", method: str = "GET") -> Begun:
        series = self.routes.find(method, route)
        series.begin()
        return Begun(series, self.now, [])

    def finish(
        self, begun: Begun, status: int = 200, sent_bytes: int = 0, decision: str = ""
    ) -> None:
        begun.series.end(self.now - begun.at, status, sent_bytes, decision, begun.timeline)

    def serve(self, status: int = 200, decision: str = "", **facts: Any) -> None:
        self.finish(self.begin(**facts), status, decision=decision)

    def value(self, sample: str, method: str = "GET", route: str = "/items/{item_id}") -> float:
        """Return a sample summed over statuses; 0 when there is none."""
        return sum(
            each.value
            for family in self.shown.registry.collect()
            for each in family.samples
            if each.name == sample
            and each.labels.get("http_request_method") == method
            and each.labels.get("http_route") == route
        )

    def folded(self) -> float | None:
        value = self.shown.registry.get_sample_value
        return value("perfkit_labels_folded_total", {"label": "http_route"})


def test_a_request_counts_with_its_duration_and_its_bytes() -> None:
    watched = Watched()
    request = watched.begin()
    watched.now += 0.25

    watched.finish(request, 200, 1234)

    assert watched.value(REQUESTS) == 1
    assert watched.value(SECONDS) == 0.25
    assert watched.value(BYTES) == 1234


@pytest.mark.parametrize(
    ("seconds", "bucket"), [(0.0, "0.00025"), (0.25, "0.25"), (0.26, "0.5"), (11.0, "+Inf")]
)
def test_a_duration_falls_into_the_first_bucket_that_reaches_it(
    seconds: float, bucket: str
) -> None:
    watched = Watched()
    request = watched.begin()
    watched.now += seconds

    watched.finish(request, 200, 0)

    reached = [
        each.labels["le"]
        for family in watched.shown.registry.collect()
        for each in family.samples
        if each.name == "http_server_request_duration_seconds_bucket" and each.value == 1
    ]
    assert reached[0] == bucket


def test_requests_are_in_flight_from_begin_to_end() -> None:
    watched = Watched()
    first, _ = watched.begin(), watched.begin()
    before = watched.value(ACTIVE)

    watched.finish(first, 500, 0)

    assert (before, watched.value(ACTIVE)) == (2, 1)


def test_overlapping_requests_keep_their_own_time() -> None:
    watched = Watched()
    slow = watched.begin(route="/slow")
    watched.now += 1.0
    fast = watched.begin(route="/fast")
    watched.now += 0.5
    watched.finish(slow, 200, 0)
    watched.now += 0.25
    watched.finish(fast, 200, 0)

    assert watched.value(SECONDS, route="/slow") == 1.5
    assert watched.value(SECONDS, route="/fast") == 0.75


class Interrupted(list[float]):
    """Numbers at which another thread gets its turn between reading and writing."""

    def __getitem__(self, index: Any) -> Any:
        number = super().__getitem__(index)
        time.sleep(0)
        return number


class InterruptedStore:
    """A store of such numbers, by metric."""

    def __init__(self) -> None:
        self.numbers: dict[str, Interrupted] = {}

    def add(self, metric: str, labels: tuple[str, ...], length: int) -> Interrupted:
        return self.numbers.setdefault(metric, Interrupted([0.0] * length))


def test_threads_lose_no_request() -> None:
    store = InterruptedStore()
    routes = Routes(Meter(store))

    def serve(_: int) -> None:
        series = routes.find("GET", "/")
        series.begin()
        series.end(1.0, 200, 1, "", [(WORKER, "", 1.0, 1.5)])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(serve, range(500)))

    assert sum(store.numbers[tally.TALLY][1 : tally.BYTES]) == 500
    assert sum(store.numbers["http_server_worker_wait_seconds"][1:]) == 500
    assert store.numbers[tally.TALLY][tally.BYTES] == 500
    assert store.numbers["http_server_active_requests"] == [0.0]


def test_methods_outside_of_the_list_share_one_label() -> None:
    watched = Watched()

    for method in ("BREW", "get", "PROPFIND"):
        watched.serve(method=method)

    assert watched.value(REQUESTS, method="_OTHER") == 3


def test_paths_without_a_route_share_one_label() -> None:
    watched = Watched()

    watched.serve(status=404, route=None)

    assert watched.value(REQUESTS, route="_UNMATCHED") == 1


def test_statuses_that_are_none_share_one_label() -> None:
    watched = Watched()

    for status in (0, 99, 600, 12345):
        watched.serve(status=status)

    statuses = {
        each.labels["http_response_status_code"]
        for family in watched.shown.registry.collect()
        for each in family.samples
        if each.name == REQUESTS
    }
    assert statuses == {"_OTHER"}
    assert watched.value(REQUESTS) == 4


def test_routes_beyond_the_limit_are_folded_and_counted() -> None:
    watched = Watched(route_limit=2)

    for number in (1, 2, 3, 4, 1, 3):
        watched.serve(route=f"/{number}")

    assert watched.value(REQUESTS, route="/1") == 2
    assert watched.value(REQUESTS, route="_OTHER") == 3
    assert watched.folded() == 3


def test_unmatched_paths_do_not_use_up_a_route() -> None:
    watched = Watched(route_limit=1)

    for route in (None, "/1"):
        watched.serve(route=route)

    assert watched.folded() is None


def test_what_dependencies_took_is_recorded_by_their_name() -> None:
    watched = Watched()
    request = watched.begin()

    request.timeline.append((DEPENDENCY, "session", 1.0, 1.25))
    request.timeline.append((DEPENDENCY, "user", 1.25, 1.5))
    request.timeline.append((DEPENDENCY, "session", 2.0, 2.25))
    watched.finish(request, 200, 5)

    value = watched.shown.registry.get_sample_value
    name = "restmachine_dependency_duration_seconds"
    assert value(f"{name}_sum", {"dependency": "session"}) == 0.5
    assert value(f"{name}_count", {"dependency": "session"}) == 2
    assert value(f"{name}_count", {"dependency": "user"}) == 1


def test_content_that_was_read_counts_as_the_size_of_its_request() -> None:
    watched = Watched()
    request = watched.begin(method="POST")

    request.timeline.append((CONTENT, 1000, 1.0, 1.25))
    request.timeline.append((CONTENT, 24, 1.25, 1.5))
    watched.finish(request, 200, 5)

    assert watched.value("http_server_request_body_size_bytes_sum", method="POST") == 1024
    assert watched.value("http_server_request_body_size_bytes_count", method="POST") == 1


def test_where_decisions_end_is_counted_with_the_status() -> None:
    watched = Watched()

    watched.serve(status=404, decision="G7")
    watched.serve(status=200, decision="O18")
    watched.serve(status=404, decision="G7")
    watched.serve(status=500)

    ended = {
        (each.labels["decision"], each.labels["http_response_status_code"]): each.value
        for family in watched.shown.registry.collect()
        for each in family.samples
        if each.name == "restmachine_decisions_ended_total"
    }
    assert ended == {("G7", "404"): 2, ("O18", "200"): 1}


def test_a_sampled_request_is_the_exemplar_of_its_bucket() -> None:
    watched = Watched()

    watched.serve()
    for seconds, trace in (
        (0.002, Trace("a" * 32, "1" * 16)),
        (0.002, Trace("c" * 32, "1" * 16, sampled=False)),
        (0.002, None),
        (0.2, Trace("b" * 32, "1" * 16)),
    ):
        watched.routes.find("GET", "/items/{item_id}").trace(seconds, 200, trace)

    exemplars = {
        each.labels["le"]: each.exemplar.labels
        for family in watched.shown.registry.collect()
        for each in family.samples
        if each.exemplar is not None
    }
    assert exemplars == {"0.0025": {"trace_id": "a" * 32}, "0.25": {"trace_id": "b" * 32}}


def test_the_wait_for_a_worker_thread_is_recorded() -> None:
    watched = Watched()
    request = watched.begin()

    request.timeline.append((WORKER, "", 1.0, 1.125))
    watched.finish(request, 200, 5)

    value = watched.shown.registry.get_sample_value
    assert value("http_server_worker_wait_seconds_sum") == 0.125
    assert value("http_server_worker_wait_seconds_bucket", {"le": "0.1"}) == 0
    assert value("http_server_worker_wait_seconds_bucket", {"le": "0.25"}) == 1
