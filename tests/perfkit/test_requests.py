"""What is counted of a route's requests, whichever way they go and wherever they run."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

import perfkit
from perfkit import metrics, record
from perfkit.exporter import Exporter, exporter
from perfkit.meter import Meter
from perfkit.record import Operation
from perfkit.requests import Routes
from perfkit.store import MemoryStore, Series, Store
from perfkit.tally import told
from perfkit.timing import attach
from perfkit.totals import summed
from restmachine import ASGIAdapter, RestApplication

REQUESTS = metrics.REQUEST_DURATION.count
ACTIVE = metrics.ACTIVE_REQUESTS.name
MADE = metrics.DEPENDENCY_DURATION.name
ENDED = metrics.DECISIONS_ENDED.name
GREETINGS = {"http_request_method": "GET", "http_route": "/greetings/{name}"}
GREETED = {**GREETINGS, "http_response_status_code": "200"}


class Service:
    """An application that goes the direct way, and what a scrape shows of it."""

    def __init__(
        self,
        limits: dict[str, int] | None = None,
        store: Store | None = None,
        **options: Any,
    ) -> None:
        self.shown: Exporter = exporter(CollectorRegistry())
        limits = {**metrics.LABEL_LIMITS, **(limits or {})}
        self.routes = Routes(Meter(store or self.shown.store, limits))
        self.app = RestApplication()
        attach(self.app, route=self.routes.counted, **options)
        self.seconds = 0.0
        self.inside: Callable[[], object] = list
        self._serve = ASGIAdapter(self.app)

        @self.app.dependency()
        async def session() -> str:
            await asyncio.sleep(self.seconds)
            return "session"

        @self.app.dependency()
        async def user(session: str) -> str:
            return "ada"

        @self.app.get("/greetings/{name}")
        async def greet(user: str, name: str) -> dict[str, str]:
            self.inside()
            if name == "nobody":
                raise KeyError(name)
            return {"hello": name}

    async def get(self, path: str = "/greetings/ada", method: str = "GET") -> int:
        """Return the status of an answer."""
        scope = {
            "type": "http", "http_version": "1.1", "method": method, "path": path,
            "raw_path": path.encode(), "query_string": b"", "headers": [],
        }  # fmt: skip
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b""}

        async def send(message: Any) -> None:
            sent.append(message)

        await self._serve(scope, receive, send)
        status: int = sent[0]["status"]
        return status

    def serve(self, *paths: str) -> None:
        """Answer requests, one after the other."""

        async def each() -> None:
            for path in paths:
                await self.get(path)

        asyncio.run(each())

    def value(self, sample: str, labels: dict[str, str]) -> float | None:
        return self.shown.registry.get_sample_value(sample, labels)

    def made(self, name: str) -> dict[str, float | None]:
        """Return how often a dependency was made, and how often within a quarter millisecond."""
        quick = {"dependency": name, "le": "0.00025"}
        return {
            "all": self.value(f"{MADE}_count", {"dependency": name}),
            "quick": self.value(f"{MADE}_bucket", quick),
        }


@pytest.fixture(autouse=True)
def unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing in this process have asked for the request in whose context it runs."""
    monkeypatch.setattr(record.asked, "for_current", False)


def test_every_request_counts_with_all_that_was_made_for_it() -> None:
    service = Service()

    service.serve(*["/greetings/ada"] * 5)

    assert service.value(REQUESTS, GREETED) == 5
    assert service.value(f"{metrics.RESPONSE_SIZE.name}_sum", GREETED) == 5 * len('{"hello":"ada"}')
    assert [service.made(name)["all"] for name in ("session", "user")] == [5, 5]
    assert service.value(ACTIVE, GREETINGS) == 0


def test_a_dependency_that_takes_long_counts_in_its_own_bucket() -> None:
    service = Service()

    service.serve("/greetings/ada", "/greetings/ada")
    service.seconds = 0.002
    service.serve("/greetings/ada")

    assert service.made("session") == {"all": 3, "quick": 2}
    assert service.made("user")["all"] == 3


def test_a_request_counts_in_its_buckets_of_durations_and_of_bytes() -> None:
    service = Service()
    long = f"/greetings/{'a' * 100}"

    service.serve("/greetings/ada", "/greetings/ada", long)
    service.inside = lambda: time.sleep(0.3)
    service.serve("/greetings/ada", long)

    def reached(histogram: str, bound: str) -> float | None:
        return service.value(f"{histogram}_bucket", {**GREETED, "le": bound})

    sizes, durations = metrics.RESPONSE_SIZE.name, metrics.REQUEST_DURATION.name
    assert [reached(sizes, bound) for bound in ("64.0", "256.0", "+Inf")] == [3, 5, 5]
    assert [reached(durations, bound) for bound in ("0.25", "0.5", "+Inf")] == [3, 5, 5]
    assert service.made("session")["all"] == 5


def test_the_decision_that_ended_a_request_is_counted() -> None:
    service = Service()

    service.serve(*["/greetings/ada"] * 3)

    ended = [
        (each.labels["http_response_status_code"], each.value)
        for family in service.shown.registry.collect()
        for each in family.samples
        if each.name == ENDED
    ]
    assert ended == [("200", 3)]


def test_a_failure_among_others_counts_as_such(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "restmachine")
    service = Service()

    service.serve("/greetings/ada", "/greetings/nobody", "/greetings/ada", "/greetings/nobody")

    assert service.value(REQUESTS, GREETED) == 2
    assert service.value(REQUESTS, {**GREETED, "http_response_status_code": "500"}) == 2
    assert service.made("user")["all"] == 4
    assert service.value(ACTIVE, GREETINGS) == 0


def test_requests_are_in_flight_until_they_are_answered() -> None:
    service = Service()
    service.serve("/greetings/ada")

    async def overlapping() -> float | None:
        service.seconds = 0.05
        flying = [asyncio.ensure_future(service.get()) for _ in range(3)]
        await asyncio.sleep(0.01)
        seen = service.value(ACTIVE, GREETINGS)
        await asyncio.gather(*flying)
        return seen

    assert asyncio.run(overlapping()) == 3
    assert service.value(ACTIVE, GREETINGS) == 0


class Interrupted(list[float]):
    """Numbers at which another thread gets its turn between reading and writing."""

    def __getitem__(self, index: Any) -> Any:
        number = super().__getitem__(index)
        time.sleep(0)
        return number


class InterruptedStore(MemoryStore):
    """A store of such numbers."""

    def add(self, metric: str, labels: tuple[str, ...], length: int) -> Interrupted:
        numbers = Interrupted([0.0] * length)
        self._series.append(Series(metric, labels, numbers, alive=True))
        return numbers


def test_event_loops_on_several_threads_lose_no_request() -> None:
    store = InterruptedStore()
    service = Service(store=store)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: service.serve(*["/greetings/ada"] * 50), range(8)))

    sums = summed(told(store.read()))
    assert sum(sums[metrics.REQUEST_DURATION.name, ("GET", "/greetings/{name}", "200")][1:]) == 400
    assert sum(sums[MADE, ("user",)][1:]) == 400
    assert sums[ACTIVE, ("GET", "/greetings/{name}")] == [0]


def test_dependencies_beyond_the_limit_share_one_label() -> None:
    service = Service({"dependency": 1})

    service.serve(*["/greetings/ada"] * 3)

    assert [service.made(name)["all"] for name in ("session", "_OTHER")] == [3, 3]
    assert service.value(metrics.LABELS_FOLDED.name, {"label": "dependency"}) == 3


def test_a_route_beyond_the_limit_counts_what_it_folds() -> None:
    service = Service({"http_route": 0})

    service.serve(*["/greetings/ada"] * 3)

    assert service.value(REQUESTS, {**GREETED, "http_route": "_OTHER"}) == 3
    assert service.value(metrics.LABELS_FOLDED.name, {"label": "http_route"}) == 3


def test_a_process_that_begins_afresh_counts_afresh() -> None:
    service = Service()
    service.serve(*["/greetings/ada"] * 3)

    # As after a fork; the number of the thread stays the same.
    service.shown.store.reopen()  # type: ignore[attr-defined]  # of either store
    service.routes._meter._start()
    service.routes._start()
    service.serve(*["/greetings/ada"] * 2)

    assert service.value(REQUESTS, GREETED) == 2
    assert service.value(ACTIVE, GREETINGS) == 0


@pytest.mark.parametrize("asked", [False, True])
def test_a_slow_request_is_logged_with_its_parts(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, asked: bool
) -> None:
    monkeypatch.setattr(record.asked, "for_current", asked)
    service = Service(slow=0.02)
    service.serve("/greetings/ada", "/greetings/ada")
    before = len(caplog.records)

    service.seconds = 0.02
    service.serve("/greetings/ada")

    line = json.loads(caplog.messages[-1])
    assert (before, len(caplog.records)) == (0, 1)
    assert line["route"] == "/greetings/{name}"
    assert line["decision"] != ""
    assert line["parts"]["dependency.session"] >= 0.02
    assert sum(line["parts"].values()) == pytest.approx(line["seconds"], abs=1e-4)


def test_operations_belong_to_the_request_that_asked_for_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(record.asked, "for_current", True)
    heard: list[str | None] = []

    def listen(operation: Operation, request: record.Record | None) -> None:
        heard.append(None if request is None else request.route)

    service = Service()
    service.serve("/greetings/ada")
    record.listen(listen)
    service.inside = lambda: record.report(Operation("redis", "GET", 0.0, 0.5))
    service.serve("/greetings/ada", "/greetings/ada")
    record.unlisten(listen)

    assert heard == ["/greetings/{name}"] * 2


def test_a_slow_request_tells_what_it_asked_of_others(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(record.asked, "for_current", True)
    service = Service(slow=0.02)
    service.serve("/greetings/ada")

    service.seconds = 0.02
    service.inside = lambda: record.report(Operation("redis", "GET", 0.0, 0.5))
    service.serve("/greetings/ada")

    assert json.loads(caplog.messages[-1])["operations"] == 1


def test_from_the_first_operation_on_requests_are_known_by_their_context() -> None:
    record.report(Operation("redis", "GET", 0.0, 0.5))

    assert record.asked.for_current


def test_request_timer_knows_its_request_on_a_route_that_others_go_directly() -> None:
    app = perfkit.instrument(RestApplication(), path=None)
    seconds: list[float] = []

    @app.get("/")
    async def timed(request_timer: Any) -> str:
        await asyncio.sleep(0.02)
        seconds.append(request_timer.seconds)
        return "done"

    service = Service()
    service._serve = ASGIAdapter(app)
    service.serve("/", "/")

    assert min(seconds) >= 0.02


def test_request_timer_knows_its_request_in_what_answers_errors(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.CRITICAL, "restmachine")
    service = Service()
    seconds: list[float] = []

    @service.app.handles_error(500)
    async def failed(request_timer: Any) -> str:
        seconds.append(request_timer.seconds)
        return "failed"

    service.serve("/greetings/ada")
    service.seconds = 0.02
    service.serve("/greetings/nobody")

    assert min(seconds) >= 0.02
