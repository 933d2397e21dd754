"""What observers hear, in which order and when, and that they can harm nobody."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from threading import get_ident
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
    TEARDOWN,
    WORKER,
    Entry,
    Hears,
    Steps,
    entries,
    hears,
)
from restmachine.plan import Plan
from restmachine.testing import TestClient

Serve = Callable[[RestApplication], TestClient]

STARTED, RESPONDING, FINISHED = "started", "responding", "finished"


class Everything(Observer):
    """Writes down every call in the timeline of its request, and keeps the last timeline."""

    kinds = KINDS

    def __init__(self) -> None:
        self.timeline: list[Entry] = []
        self.finished = (0, 0)
        self.decision = ""

    def request_started(self, exchange: Exchange, now: float) -> None:
        exchange.timeline.append((STARTED, "", now, now))

    def response_started(self, exchange: Exchange, status: int, now: float) -> None:
        exchange.timeline.append((RESPONDING, "", now, now))

    def request_finished(
        self, exchange: Exchange, status: int, sent_bytes: int, now: float
    ) -> None:
        self.timeline = [*exchange.timeline, (FINISHED, "", now, now)]
        self.finished = (status, sent_bytes)
        self.decision = exchange.decision

    @property
    def labels(self) -> list[str]:
        return [
            f"{kind} {subject}" if kind in (DEPENDENCY, TEARDOWN) else kind
            for kind, subject, _, _ in self.timeline
        ]

    def entry(self, kind: str, subject: object = "") -> Entry:
        """Return the one entry of a kind, and of a subject if that is given."""
        (found,) = [each for each in self.timeline if each[0] == kind and subject in ("", each[1])]
        return found


def application(observer: Observer) -> RestApplication:
    """Return an observed application with a dependency of each kind."""
    app = RestApplication()
    app.observe(observer)

    @app.dependency()
    async def session() -> AsyncIterator[str]:
        yield "session"

    @app.dependency()
    def user(session: str) -> str:
        return "user"

    @app.dependency()
    async def absent() -> None:
        raise NotFound

    @app.get("/sync")
    def sync(user: str) -> dict[str, str]:
        return {"a": user}

    @app.get("/async")
    async def asynchronous(session: str) -> dict[str, str]:
        return {"a": session}

    @app.get("/stream")
    async def stream(session: str) -> Iterator[str]:
        return iter(["one", "two"])

    @app.get("/broken")
    async def broken(session: str) -> None:
        raise KeyError("x")

    @app.get("/absent")
    async def missing(absent: None) -> None:
        return None

    @app.get("/endless")
    async def endless(session: str) -> None:
        await asyncio.sleep(60)

    @app.post("/posted")
    async def posted(json_body: Any) -> Any:
        return json_body

    return app


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


async def cancelled(client: TestClient) -> None:
    """Cancel a request while its handler waits."""
    task = asyncio.ensure_future(client.request_async("GET", "/endless"))
    await asyncio.sleep(0.01)
    task.cancel()
    await task


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


class Turns(Steps):
    """Writes down on which thread a request runs, and that its steps take turns."""

    def __init__(self) -> None:
        self.running: int | None = None
        self.threads: list[int] = []
        self.runs: list[int] = []

    def resumed(self) -> None:
        assert self.running is None
        self.running = get_ident()
        self.threads.append(self.running)

    def suspended(self) -> None:
        assert self.running == get_ident()
        self.running = None

    def run(self, step: Callable[[Any], Any], argument: Any) -> Any:
        self.runs.append(get_ident())
        return step(argument)


class SlowTurns(Turns):
    """Takes its time at the end of a step, so that a worker thread may begin before."""

    def suspended(self) -> None:
        time.sleep(0.005)
        super().suspended()


class Following(Observer):
    """Follows every request, and shows who runs when a function asks."""

    def __init__(self, kind: type[Turns] = Turns) -> None:
        self.turns: list[Turns] = []
        self.kind = kind

    def follow(self, exchange: Exchange) -> Turns:
        self.turns.append(self.kind())
        return self.turns[-1]


@pytest.fixture
def followed() -> tuple[RestApplication, Following]:
    """Give an application whose functions check that their request is followed where they run."""
    following = Following()
    app = RestApplication()
    app.observe(following)

    def here() -> str:
        (turns,) = [turns for turns in following.turns if turns.running == get_ident()]
        return f"{following.turns.index(turns)}"

    @app.dependency()
    async def awaited() -> AsyncIterator[str]:
        await asyncio.sleep(0)
        yield here()
        here()

    @app.dependency()
    def blocking() -> str:
        return here()

    @app.dependency()
    async def after(blocking: str) -> str:
        await asyncio.sleep(0)
        return blocking + here()

    @app.get("/mixed")
    def mixed(awaited: str, after: str) -> str:
        return awaited + after + here()

    @app.get("/stream")
    async def stream(awaited: str) -> AsyncIterator[str]:
        yield here()
        await asyncio.sleep(0)
        yield here()

    @app.get("/thread-stream")
    def thread_stream(blocking: str) -> Iterator[str]:
        yield here()
        yield here()

    return app, following


@pytest.mark.parametrize(
    ("path", "seen"),
    [("/mixed", "{0}{0}{0}{0}"), ("/stream", "{0}{0}"), ("/thread-stream", "{0}{0}")],
)
def test_a_followed_request_is_followed_on_every_thread_one_step_after_the_other(
    serve: Serve, followed: tuple[RestApplication, Following], path: str, seen: str
) -> None:
    app, following = followed
    client = serve(app)

    async def together() -> list[str]:
        asked = [client.request_async("GET", path) for _ in range(5)]
        return [response.text for response in await asyncio.gather(*asked)]

    answers = client.run(together())

    assert sorted(answer.strip('"') for answer in answers) == [seen.format(i) for i in range(5)]
    assert [turns.running for turns in following.turns] == [None] * 5


def test_a_worker_thread_waits_for_the_end_of_the_step_that_gave_it_a_job(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    following = Following(SlowTurns)
    app = RestApplication()
    app.observe(following)

    @app.get("/sync")
    def sync() -> int:
        return get_ident()

    thread = serve(app).get("/sync").json()

    (turns,) = following.turns
    assert thread in turns.threads
    assert caplog.records == []


def test_who_follows_may_be_on_the_stack_of_each_step(
    serve: Serve, followed: tuple[RestApplication, Following]
) -> None:
    app, following = followed

    serve(app).get("/thread-stream")

    (turns,) = following.turns
    assert len(set(turns.threads)) == 2
    assert turns.runs == turns.threads


@pytest.mark.parametrize("path", ["/mixed", "/stream", "/thread-stream"])
def test_direct_execution_is_followed_too(
    followed: tuple[RestApplication, Following], path: str
) -> None:
    app, following = followed

    direct = app.execute(Request("GET", path))
    awaited = asyncio.run(app.aexecute(Request("GET", path)))
    app.shutdown_sync()

    assert (direct.status_code, awaited.status_code) == (200, 200)
    assert [turns.running for turns in following.turns] == [None] * 2


class Unfollowed(Observer):
    """Fails to follow."""

    def follow(self, exchange: Exchange) -> Steps | None:
        raise KeyError("x")


class Stumbling(Observer):
    """Follows with what fails at each step."""

    def follow(self, exchange: Exchange) -> Steps | None:
        return Fails()


class Fails(Steps):
    def resumed(self) -> None:
        raise KeyError("x")

    suspended = resumed


@pytest.mark.parametrize(("observer", "logged"), [(Unfollowed, 1), (Stumbling, 1)])
def test_who_fails_to_follow_is_logged_once_and_stops_nobody(
    serve: Serve, caplog: pytest.LogCaptureFixture, observer: type[Observer], logged: int
) -> None:
    app = application(observer())
    client = serve(app)

    with caplog.at_level(logging.ERROR, "restmachine"):
        statuses = [client.get(path).status for path in ("/async", "/sync", "/stream")]

    assert statuses == [200, 200, 200]
    assert len(caplog.records) == logged


def test_a_followed_request_is_cancelled_like_another(serve: Serve, heard: Everything) -> None:
    app = application(heard)
    following = Following()
    app.observe(following)
    client = serve(app)

    with pytest.raises(asyncio.CancelledError):
        client.run(cancelled(client))

    assert heard.labels[-2:] == ["teardown session", FINISHED]
    assert following.turns[0].running is None


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


class Bare(Everything):
    """Needs no exchange for a request on the direct way, as long as it is not told otherwise."""

    def __init__(self, enough: bool = True) -> None:
        super().__init__()
        self.entered: list[float] = []
        self.passings: list[tuple[list[float], int]] = []
        self._enough = enough

    def enters(self, now: float) -> bool:
        self.entered.append(now)
        return self._enough

    def passed(self, marks: list[float], sent_bytes: int) -> None:
        self.passings.append((marks, sent_bytes))

    # Whoever wants to hear when responses start needs an exchange.
    response_started = Observer.response_started


def direct_application(*observers: Observer) -> RestApplication:
    """Return an application whose routes can all be answered the direct way."""
    app = RestApplication()
    for observer in observers:
        app.observe(observer)

    @app.dependency()
    async def name() -> str:
        return "ada"

    @app.get("/")
    async def greet(name: str) -> dict[str, str]:
        return {"hello": name}

    @app.get("/broken")
    async def broken(name: str) -> None:
        raise KeyError("x")

    @app.get("/stated")
    async def stated(name: str) -> tuple[str, int]:
        return name, 202

    @app.get("/unwritable")
    async def unwritable(name: str) -> dict[str, object]:
        return {"hello": object()}

    @app.get("/endless")
    async def endless(name: str) -> None:
        await asyncio.sleep(60)

    return app


def test_a_request_on_the_direct_way_is_told_by_its_marks_alone(serve: Serve) -> None:
    bare = Bare()
    app = direct_application(bare)

    response = serve(app).get("/")

    ((marks, sent_bytes),) = bare.passings
    assert bare.entered == [marks[0]]
    assert marks == sorted(marks)
    assert len(marks) == 1 + len(app.dispatch("GET", "/")[0].places)
    assert sent_bytes == len(response.content)
    assert bare.timeline == []


def test_marks_and_places_tell_what_a_timeline_tells(serve: Serve) -> None:
    bare, whole = Bare(), Bare(enough=False)
    app = direct_application(bare)
    serve(app).get("/")
    serve(direct_application(whole)).get("/")

    found = list(entries(app.dispatch("GET", "/")[0].places, *bare.passings[0]))

    assert whole.passings == []
    assert [entry[:2] for entry in found] == [entry[:2] for entry in whole.timeline[1:-1]]


@pytest.mark.parametrize(
    ("path", "status"), [("/broken", 500), ("/stated", 202), ("/unwritable", 500)]
)
def test_a_request_that_leaves_the_direct_way_has_an_exchange_at_its_end(
    serve: Serve, caplog: pytest.LogCaptureFixture, path: str, status: int
) -> None:
    caplog.set_level(logging.CRITICAL, "restmachine")
    bare = Bare()

    response = serve(direct_application(bare)).get(path)

    assert response.status == status
    assert bare.passings == []
    assert bare.labels[:2] == ["dependency name", HANDLER]
    assert bare.finished == (status, len(response.content))


def test_a_request_that_is_cancelled_on_the_direct_way_finishes_once(serve: Serve) -> None:
    bare = Bare()
    client = serve(direct_application(bare))

    with pytest.raises(asyncio.CancelledError):
        client.run(cancelled(client))

    assert bare.labels == ["dependency name", HANDLER, FINISHED]
    assert bare.finished == (499, 0)


def test_one_observer_of_several_always_has_an_exchange(serve: Serve) -> None:
    bare = Bare()
    other = type("Other", (Observer,), {"request_finished": lambda self, *facts: None})

    serve(direct_application(bare, other())).get("/")

    assert (bare.entered, bare.passings) == ([], [])
    assert bare.finished == (200, 15)


class BrokenBare(Observer):
    """Fails at everything that it may do without an exchange."""

    def enters(self, now: float) -> bool:
        raise LookupError("broken")

    def passed(self, marks: list[float], sent_bytes: int) -> None:
        raise LookupError("broken")


class LateBrokenBare(BrokenBare):
    """Fails at the end alone."""

    def enters(self, now: float) -> bool:
        return True


@pytest.mark.parametrize("observer", [BrokenBare(), LateBrokenBare()])
def test_an_observer_that_fails_without_an_exchange_stops_nobody(
    serve: Serve, caplog: pytest.LogCaptureFixture, observer: Observer
) -> None:
    client = serve(direct_application(observer))

    statuses = [client.get("/").status for _ in range(2)]

    assert statuses == [200, 200]
    assert len(caplog.records) == 1


def test_a_route_may_have_an_observer_of_its_own(serve: Serve) -> None:
    own = Everything()

    class Sharing(Observer):
        def of_route(self, method: str, template: str | None) -> Observer | None:
            return own if template == "/" else None

    client = serve(direct_application(Sharing()))
    client.get("/stated")
    unheard = own.finished
    client.get("/")

    assert (unheard, own.finished) == ((0, 0), (200, 15))


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
