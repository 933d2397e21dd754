"""What observers hear, in which order and when, and that they can harm nobody."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from time import perf_counter
from typing import Any

import pytest

from restmachine import NotFound, Observer, Request, RestApplication
from restmachine.exchange import Exchange
from restmachine.hooks import (
    CONTENT,
    DECISION,
    DEPENDENCY,
    ENDING,
    FAILURE,
    HANDLER,
    KINDS,
    LOOP,
    RENDERING,
    SENDING,
    STREAMING,
    WORKER,
    Hears,
    hears,
)
from restmachine.plan import Plan
from restmachine.testing import TestClient

from .observers import FINISHED, RESPONDING, STARTED, Everything, application, cancelled

Serve = Callable[[RestApplication], TestClient]


@pytest.fixture
def heard() -> Everything:
    return Everything()


@pytest.mark.parametrize(
    ("path", "events", "end"),
    [
        ("/async", [STARTED, "dependency session", HANDLER, RENDERING, "teardown session",
            RESPONDING, SENDING, FINISHED], (200, 15)),
        ("/stream", [STARTED, "dependency session", HANDLER, RENDERING, STREAMING, RESPONDING,
            SENDING, SENDING, STREAMING, SENDING, STREAMING, SENDING, "teardown session",
            FINISHED], (200, 6)),
        ("/broken", [STARTED, "dependency session", HANDLER, FAILURE, "teardown session",
            RESPONDING, SENDING, FINISHED], (500, 33)),
        ("/absent", [STARTED, "dependency absent", FAILURE, RESPONDING, SENDING, FINISHED],
            (404, 21)),
        ("/nowhere", [STARTED, RENDERING, RESPONDING, SENDING, FINISHED], (404, 21)),
    ],
)  # fmt: skip
def test_the_events_of_a_request_come_in_order(
    serve: Serve, heard: Everything, caplog: pytest.LogCaptureFixture,
    path: str, events: list[str], end: tuple[int, int],
) -> None:  # fmt: skip
    caplog.set_level(logging.CRITICAL, "restmachine")

    serve(application(heard)).get(path)

    assert heard.labels == events
    assert heard.finished == end


@pytest.mark.parametrize(
    ("path", "ending", "decision", "end"),
    [
        ("/data", [HANDLER, RENDERING], "O18", (200, 7)),
        ("/stated", [HANDLER, RENDERING], "O18", (202, 7)),
        ("/fails", [HANDLER, FAILURE], "", (404, 21)),
    ],
)
def test_the_direct_way_to_an_answer_is_observed_like_the_long_one(
    serve: Serve, heard: Everything, path: str, ending: list[str], decision: str,
    end: tuple[int, int],
) -> None:  # fmt: skip
    app = RestApplication(blocking=False)
    app.observe(heard)
    app.dependency(name="inner")(lambda: 1)

    @app.dependency()
    async def outer(inner: int) -> int:
        return inner

    @app.get("/data")
    async def data(outer: int) -> dict[str, int]:
        return {"a": outer}

    @app.get("/stated")
    def stated(outer: int) -> Any:
        return {"a": outer}, 202

    @app.get("/fails")
    def fails(outer: int) -> None:
        raise NotFound

    serve(app).get(path)

    assert app.dispatch("GET", path)[0].observed_direct is not None
    assert heard.labels == [
        STARTED, "dependency inner", "dependency outer", *ending, RESPONDING, SENDING, FINISHED,
    ]  # fmt: skip
    assert (heard.decision, heard.finished) == (decision, end)


def test_a_request_on_a_worker_tells_of_its_wait_before_what_runs_there(
    serve: Serve, heard: Everything
) -> None:
    serve(application(heard)).get("/sync")

    assert heard.labels == [
        STARTED, "dependency session", WORKER, "dependency user", HANDLER, RENDERING, LOOP, LOOP,
        "teardown session", LOOP, RESPONDING, SENDING, FINISHED,
    ]  # fmt: skip


def test_direct_execution_is_observed_too(heard: Everything) -> None:
    app = application(heard)

    app.execute(Request("GET", "/sync"))
    app.shutdown_sync()

    assert heard.labels == [
        STARTED, LOOP, LOOP, "dependency session", "dependency user", HANDLER, RENDERING, LOOP,
        LOOP, "teardown session", RESPONDING, FINISHED,
    ]  # fmt: skip


def test_direct_execution_that_is_interrupted_finishes_once(heard: Everything) -> None:
    app = application(heard)
    app.get("/interrupted")(interrupted)

    with pytest.raises(KeyboardInterrupt):
        app.execute(Request("GET", "/interrupted"))

    assert heard.labels == [STARTED, HANDLER, FINISHED]
    assert heard.finished == (499, 0)


def interrupted() -> None:
    raise KeyboardInterrupt


def test_content_that_is_waited_for_is_told_with_its_size(serve: Serve, heard: Everything) -> None:
    serve(application(heard)).post("/posted", json={"a": 1})

    assert heard.labels[:3] == [STARTED, CONTENT, HANDLER]
    assert heard.entry(CONTENT)[1] == len('{"a": 1}')


def test_an_ending_is_told_after_what_it_follows(serve: Serve, heard: Everything) -> None:
    app = application(heard)
    app.default_headers(lambda: {"X-Served": "yes"})

    response = serve(app).get("/async")

    assert response.headers["X-Served"] == "yes"
    assert heard.labels[-8:] == [
        RENDERING, WORKER, ENDING, LOOP, "teardown session", RESPONDING, SENDING, FINISHED,
    ]  # fmt: skip


def test_a_failure_names_its_exception(
    serve: Serve, heard: Everything, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "restmachine")

    serve(application(heard)).get("/broken")

    assert repr(heard.entry(FAILURE)[1]) == "KeyError('x')"


@pytest.mark.parametrize(
    ("path", "decision"), [("/async", "O18"), ("/nowhere", "A1"), ("/absent", "")]
)
def test_the_last_decision_is_known_unless_an_exception_ended_them(
    serve: Serve, heard: Everything, path: str, decision: str
) -> None:
    serve(application(heard)).get(path)

    assert heard.decision == decision


@pytest.mark.parametrize("path", ["/async", "/sync", "/stream"])
def test_the_entries_do_not_overlap(serve: Serve, heard: Everything, path: str) -> None:
    before = perf_counter()
    serve(application(heard)).get(path)

    # A wait for the event loop lies inside of what waits for it.
    times = [time for kind, _, *entry in heard.timeline if kind != LOOP for time in entry]
    assert times == sorted(times)
    assert before < times[0] and times[-1] < perf_counter()


def test_the_time_of_a_dependency_is_its_own(serve: Serve, heard: Everything) -> None:
    app = RestApplication()
    app.observe(heard)
    app.dependency(name="inner")(lambda: "inner")
    app.dependency(name="outer")(lambda inner: "outer")
    app.get("/")(lambda outer: {})

    serve(app).get("/")

    inner, outer = heard.entry(DEPENDENCY, "inner"), heard.entry(DEPENDENCY, "outer")
    assert inner[3] <= outer[2]
    assert outer[3] <= heard.entry(HANDLER)[2]


def test_a_cancelled_request_finishes_once(serve: Serve, heard: Everything) -> None:
    client = serve(application(heard))

    with pytest.raises(asyncio.CancelledError):
        client.run(cancelled(client))

    assert heard.labels[-2:] == ["teardown session", FINISHED]
    assert heard.finished == (499, 0)


class Stating(Observer):
    """Adds a field to every response before it starts."""

    def response_started(self, exchange: Exchange, status: int, now: float) -> None:
        exchange.add_field(b"x-observed", b"%d" % status)


@pytest.mark.parametrize("path", ["/async", "/stream"])
def test_an_observer_may_add_a_field_to_each_response(serve: Serve, path: str) -> None:
    client = serve(application(Stating()))

    observed = [client.get(path).headers.get_all("X-Observed") for _ in range(2)]

    assert observed == [["200"], ["200"]]


class Elsewhere(Everything):
    """Leaves one route out."""

    def of_route(self, method: str, template: str | None) -> Observer | None:
        return None if template == "/async" else self


def test_a_route_that_no_observer_watches_is_not_observed(serve: Serve) -> None:
    heard = Elsewhere()
    app = application(heard)
    client = serve(app)

    client.get("/async")
    plan, _ = app.dispatch("GET", "/async")

    assert heard.labels == []
    assert not plan.observed
    assert app.dispatch("GET", "/sync")[0].observed


class Broken(Observer):
    """Fails at every request."""

    def request_started(self, exchange: Exchange, now: float) -> None:
        raise KeyError("x")


def test_an_observer_that_raises_is_logged_once_and_stops_nobody(
    serve: Serve, heard: Everything, caplog: pytest.LogCaptureFixture
) -> None:
    app = application(Broken())
    app.observe(heard)
    client = serve(app)

    with caplog.at_level(logging.ERROR, "restmachine"):
        statuses = [client.get(path).status for path in ("/async", "/async", "/sync")]

    assert statuses == [200, 200, 200]
    assert heard.finished == (200, 12)
    assert len(caplog.records) == 1


def test_notes_belong_to_one_request(serve: Serve, heard: Everything) -> None:
    app = application(heard)
    notes = []

    class Keeping(Observer):
        def request_finished(
            self, exchange: Exchange, status: int, sent_bytes: int, now: float
        ) -> None:
            notes.append(exchange.notes)

    app.observe(Keeping())
    client = serve(app)
    client.get("/async")
    client.get("/async")

    assert notes[0] is not notes[1]
    assert notes[0] == notes[1]


def test_only_what_is_overridden_is_called(heard: Everything) -> None:
    told = hears([Broken(), Observer()], "GET", "/")

    assert told.request_started is not None
    assert told == Hears(request_started=told.request_started)


CALLS = {
    "request_started": (1.0,),
    "response_started": (200, 1.0),
    "request_finished": (200, 5, 1.0),
}


@pytest.mark.parametrize("call", CALLS)
def test_every_call_reaches_several_observers_with_all_its_facts(call: str) -> None:
    got: list[tuple[Any, ...]] = []
    listening = type("Listening", (Observer,), {call: lambda self, *facts: got.append(facts)})

    getattr(hears([listening(), listening()], "GET", "/"), call)("exchange", *CALLS[call])

    assert got == [("exchange", *CALLS[call])] * 2


@pytest.mark.parametrize("kind", [*KINDS - {CONTENT}, DECISION])
def test_a_timeline_has_the_kinds_that_an_observer_names_and_no_other(
    serve: Serve, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    caplog.set_level(logging.CRITICAL, "restmachine")
    found: set[str] = set()

    class One(Observer):
        kinds = (kind,)

        def request_finished(
            self, exchange: Exchange, status: int, sent_bytes: int, now: float
        ) -> None:
            found.update(entry[0] for entry in exchange.timeline)

    app = application(One())
    app.default_headers(lambda: {"X-Served": "yes"})
    client = serve(app)

    statuses = [client.get(path).status for path in ("/async", "/sync", "/stream", "/broken")]

    assert statuses == [200, 200, 200, 500]
    assert found == {kind}


def test_what_nothing_observes_has_no_trace_of_it(app: RestApplication) -> None:
    app.get("/x")(lambda: {"a": 1})

    plan: Plan = app.dispatch("GET", "/x")[0]

    assert not plan.observed
    assert plan.hears == Hears()


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_stream_is_told_of_with_any_kind_alone(serve: Serve, kind: str) -> None:
    told: list[Any] = []

    class Listening(Observer):
        kinds = frozenset({kind})

        def request_finished(
            self, exchange: Exchange, status: int, sent_bytes: int, now: float
        ) -> None:
            told.append(({entry[0] for entry in exchange.timeline} <= {kind}, status, sent_bytes))

    app = RestApplication()
    app.observe(Listening())

    @app.get("/stream")
    async def stream() -> AsyncIterator[bytes]:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"one"
            yield b"two"

        return pieces()

    answer = serve(app).request("GET", "/stream")

    assert answer.status == 200
    assert told == [(True, 200, 6)]
