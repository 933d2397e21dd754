"""What is recorded of requests, and how it reaches the response and the log."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from perfkit import record as records
from perfkit import timing
from perfkit.errors import PerfkitError
from perfkit.record import Operation, Record
from perfkit.split import Split, split
from restmachine import NotFound, Request, RestApplication
from restmachine.testing import TestClient

Serve = Callable[[RestApplication], TestClient]


@pytest.fixture
def serve() -> Iterator[Serve]:
    with ExitStack() as stack:
        yield lambda app: stack.enter_context(TestClient(app))


@pytest.fixture
def seen() -> list[Record]:
    return []


def application(seen: list[Record], **options: Any) -> RestApplication:
    """Return a timed application that reports an operation in each function."""
    app = RestApplication()
    timing.attach(app, finished=[seen.append], **options)

    def ask(what: str) -> None:
        records.report(Operation("redis", what, 0.0, 0.5))

    @app.dependency()
    async def session() -> AsyncIterator[str]:
        ask("session")
        yield "session"

    @app.dependency()
    def user(session: str, request_headers: Any) -> str:
        ask(f"user {request_headers.get('X-Number')}")
        return "user"

    @app.get("/sync/{number}")
    def sync(user: str, number: str) -> dict[str, str]:
        ask(f"sync {number}")
        return {"a": user}

    @app.get("/async/{number}")
    async def asynchronous(session: str, number: str) -> dict[str, str]:
        await asyncio.sleep(0)
        ask(f"async {number}")
        return {"a": session}

    @app.get("/stream/{number}")
    async def stream(session: str, number: str) -> AsyncIterator[str]:
        ask(f"stream {number}")
        yield "one"
        yield "two"

    @app.get("/absent")
    async def absent(session: str) -> None:
        raise NotFound

    @app.get("/timed")
    async def timed(request_timer: timing.RequestTimer) -> Any:
        return {"message": "Hello"}, 200, request_timer

    return app


@pytest.mark.parametrize(
    ("path", "route", "status", "sent", "decision", "dependencies"),
    [
        ("/sync/1", "/sync/{number}", 200, 12, "O18", ["session", "user"]),
        ("/async/1", "/async/{number}", 200, 15, "O18", ["session"]),
        ("/stream/1", "/stream/{number}", 200, 6, "O18", ["session"]),
        ("/absent", "/absent", 404, 21, "", ["session"]),
        ("/nowhere", None, 404, 21, "A1", []),
    ],
)
def test_a_record_tells_how_a_request_ended(
    serve: Serve, seen: list[Record], path: str, route: str | None, status: int, sent: int,
    decision: str, dependencies: list[str],
) -> None:  # fmt: skip
    serve(application(seen)).get(path)

    (record,) = seen
    assert (record.method, record.route) == ("GET", route)
    assert (record.status, record.sent_bytes, record.decision) == (status, sent, decision)
    assert list(split(record).dependencies) == dependencies
    assert record.finished > record.started


def test_a_request_is_current_wherever_its_code_runs_and_overlapping_ones_never_mix(
    serve: Serve, seen: list[Record]
) -> None:
    client = serve(application(seen))

    async def together() -> None:
        asked = [
            client.request_async("GET", f"/{kind}/{number}", headers={"X-Number": f"{number}"})
            for number in range(20)
            for kind in ("sync", "async", "stream")
        ]
        await asyncio.gather(*asked)

    client.run(together())

    found = sorted(tuple(operation.name for operation in record.operations) for record in seen)
    assert found == sorted(
        [("session", f"user {number}", f"sync {number}") for number in range(20)]
        + [("session", f"{kind} {number}") for number in range(20) for kind in ("async", "stream")]
    )


def test_the_former_request_is_current_again_when_one_is_over(seen: list[Record]) -> None:
    app = application(seen)
    around = Record("GET", "/outer", 1.0)
    token = records.current.set(around)

    app.execute(Request("GET", "/sync/1"))
    found = records.current.get()
    records.current.reset(token)
    app.shutdown_sync()

    assert found is around
    assert seen[0] is not around


def test_the_parts_of_every_request_add_up(serve: Serve, seen: list[Record]) -> None:
    client = serve(application(seen, decisions=True))
    for path in ("/sync/1", "/async/1", "/stream/1", "/absent", "/nowhere"):
        client.get(path)

    splits = [split(record) for record in seen]

    assert [sum(parts.parts.values()) for parts in splits] == pytest.approx(
        [parts.total for parts in splits]
    )
    assert all(parts.decisions > 0 for parts in splits)


def test_a_route_that_is_excluded_is_not_observed(seen: list[Record]) -> None:
    app = application(seen, exclude=["/absent"])

    assert not app.dispatch("GET", "/absent")[0].observed
    assert app.dispatch("GET", "/timed")[0].observed


def test_a_consumer_that_fails_is_logged_once_and_stops_no_other(
    serve: Serve, seen: list[Record], caplog: pytest.LogCaptureFixture
) -> None:
    def failing(record: Record) -> None:
        raise KeyError("x")

    app = RestApplication()
    timing.attach(app, finished=[failing, seen.append])
    client = serve(app)

    with caplog.at_level(logging.ERROR, "perfkit"):
        client.get("/nowhere")
        client.get("/nowhere")

    assert len(seen) == 2
    assert len(caplog.records) == 1


class TestFields:
    def test_are_not_stated_unless_asked_for(self, serve: Serve, seen: list[Record]) -> None:
        response = serve(application(seen)).get("/async/1")

        assert "Server-Timing" not in response.headers
        assert "X-Response-Time" not in response.headers

    @pytest.mark.parametrize("path", ["/async/1", "/sync/1", "/stream/1"])
    def test_server_timing_states_the_parts_so_far(
        self, serve: Serve, seen: list[Record], path: str
    ) -> None:
        response = serve(application(seen, server_timing=True)).get(path)

        stated = dict(part.split(";dur=") for part in response.headers["Server-Timing"].split(", "))
        durations = {name: float(value) for name, value in stated.items()}
        total = durations.pop("total")
        assert {"dependency.session", "handler", "rendering"} <= durations.keys()
        assert sum(durations.values()) == pytest.approx(total, abs=0.0005 * len(durations))
        assert total <= split(seen[0]).total * 1000

    def test_response_time_is_in_seconds(self, serve: Serve, seen: list[Record]) -> None:
        response = serve(application(seen, response_time=True)).get("/async/1")

        assert len(response.headers["X-Response-Time"].partition(".")[2]) == 3
        assert float(response.headers["X-Response-Time"]) <= split(seen[0]).total + 0.001

    def test_names_are_tokens(self) -> None:
        parts = Split(total=0.25, queue=0.0, dependencies={"süß,;": 0.25})

        assert timing.server_timing(parts) == "total;dur=250.000, dependency.s____;dur=250.000"


class TestRequestTimer:
    def test_states_its_field_though_a_handler_returns_it_as_the_fields(
        self, serve: Serve, seen: list[Record]
    ) -> None:
        response = serve(application(seen)).get("/timed")

        assert (response.status, response.json()) == (200, {"message": "Hello"})
        assert 0 <= float(response.headers["X-Response-Time"]) <= seen[0].seconds

    def test_knows_the_time_and_its_parts_so_far(self, serve: Serve) -> None:
        app = RestApplication()
        timing.attach(app)

        @app.get("/")
        async def read(request_timer: timing.RequestTimer) -> Any:
            return [request_timer.seconds, request_timer.split.total, len(request_timer)]

        first, second, length = serve(app).get("/").json()

        assert 0 < first <= second
        assert length == 0

    def test_begins_by_itself_on_a_route_that_is_not_timed(self, serve: Serve) -> None:
        app = RestApplication()
        timing.attach(app, exclude=["/timed"])
        app.get("/timed")(application([]).dispatch("GET", "/timed")[0].route.handler)

        response = serve(app).get("/timed")

        assert float(response.headers["X-Response-Time"]) >= 0


class TestSlowLog:
    def test_a_slow_request_is_a_line_of_json_without_the_clients_words(
        self, serve: Serve, seen: list[Record], caplog: pytest.LogCaptureFixture
    ) -> None:
        client = serve(application(seen, slow=0.0))

        with caplog.at_level(logging.WARNING, "perfkit.slow"):
            client.get("/sync/4711?secret=4712", headers={"X-Number": "4713"})

        (line,) = [entry.getMessage() for entry in caplog.records]
        said = json.loads(line)
        assert (said["route"], said["method"], said["status"]) == ("/sync/{number}", "GET", 200)
        assert sum(said["parts"].values()) == pytest.approx(said["seconds"], abs=1e-5)
        assert said["operations"] == 3
        assert "471" not in line.replace(json.dumps(said["parts"]), "").replace(
            json.dumps(said["seconds"]), ""
        )

    def test_only_what_takes_as_long_is_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        log = timing.SlowLog(0.5)
        quick, slow = Record("GET", "/quick", 1.0), Record("BREW", None, 1.0)
        quick.finished, slow.finished = 1.4, 1.5

        with caplog.at_level(logging.WARNING, "perfkit.slow"):
            log(quick)
            log(slow)

        (line,) = [json.loads(entry.getMessage()) for entry in caplog.records]
        assert (line["method"], line["route"], line["seconds"]) == ("_OTHER", "_UNMATCHED", 0.5)

    def test_a_threshold_below_nothing_is_refused(self) -> None:
        with pytest.raises(PerfkitError, match=r"slow= takes seconds from 0 on, and got -1"):
            timing.attach(RestApplication(), slow=-1)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("1700000000.250", 0.75),
        ("t=1700000000.250", 0.75),
        ("1700000000250", 0.75),
        ("t=1700000000250000", 0.75),
        ("1700000001.5", 0.0),
        ("1600000000", 0.0),
        ("yesterday", 0.0),
        ("17000000001", 0.0),
        ("", 0.0),
        ("1700000000,1700000000", 0.0),
    ],
)
def test_the_wait_before_the_application_is_what_a_proxy_states(value: str, seconds: float) -> None:
    assert timing.queued_since(value, 1700000001.0) == pytest.approx(seconds)


def test_a_wait_that_is_stated_is_part_of_the_whole(serve: Serve, seen: list[Record]) -> None:
    client = serve(application(seen, queue_field="X-Request-Start"))
    stated = {"X-Request-Start": f"t={time.time() - 60:.6f}"}

    client.get("/async/1", headers=stated)
    client.get("/async/1")

    first, second = [split(record) for record in seen]
    assert 60 < first.queue < first.total
    assert first.parts["queue"] == first.queue
    assert second.queue == 0


def test_what_clients_state_of_their_wait_is_not_believed_unless_asked_for(
    serve: Serve, seen: list[Record]
) -> None:
    serve(application(seen)).get("/async/1", headers={"X-Request-Start": "t=1700000000"})

    assert seen[0].queued == 0


def test_cpu_time_is_what_threads_computed_and_not_what_was_waited(
    serve: Serve, seen: list[Record]
) -> None:
    app = RestApplication()
    timing.attach(app, cpu=True, finished=[seen.append])

    def burn(seconds: float) -> None:
        end = time.thread_time() + seconds
        while time.thread_time() < end:
            pass

    @app.dependency()
    async def burning() -> None:
        burn(0.08)

    @app.get("/burns")
    def burns(burning: None) -> dict[str, str]:
        burn(0.12)
        return {}

    @app.get("/waits")
    async def waits() -> dict[str, str]:
        await asyncio.sleep(0.05)
        return {}

    client = serve(app)

    async def together() -> None:
        asked = [client.request_async("GET", path) for path in ("/waits", "/burns")]
        await asyncio.gather(*asked)

    client.run(together())

    cpu = {record.route: split(record).cpu for record in seen}
    assert cpu["/burns"] == pytest.approx(0.2, abs=0.06)
    assert 0 < (cpu["/waits"] or 0) < 0.06


def test_cpu_time_is_not_known_unless_asked_for(serve: Serve, seen: list[Record]) -> None:
    serve(application(seen)).get("/async/1")

    assert split(seen[0]).cpu is None


def test_one_path_as_text_is_refused() -> None:
    with pytest.raises(PerfkitError, match=r'exclude=\["/x"\]'):
        timing.attach(RestApplication(), exclude="/x")
