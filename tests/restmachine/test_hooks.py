"""What observers hear, in which order, and that they can harm nobody."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from restmachine import Observer, Request, RestApplication
from restmachine.exchange import Exchange
from restmachine.hooks import listeners
from restmachine.testing import TestClient

Serve = Callable[[RestApplication], TestClient]


class Everything(Observer):
    """Writes down every event of each request in its notes, and all in one list."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.facts: dict[str, tuple[Any, ...]] = {}

    def hear(self, exchange: Exchange, event: str, *facts: Any) -> None:
        exchange.notes.setdefault("heard", []).append(event)
        self.heard.append(event)
        self.facts[event] = facts

    def request_started(self, exchange: Exchange) -> None:
        self.hear(exchange, "request_started")

    def worker_waited(self, exchange: Exchange, seconds: float) -> None:
        self.hear(exchange, "worker_waited", seconds)

    def dependency_made(self, exchange: Exchange, name: str, seconds: float) -> None:
        self.hear(exchange, f"made {name}", seconds)

    def dependency_closed(self, exchange: Exchange, name: str, seconds: float) -> None:
        self.hear(exchange, f"closed {name}", seconds)

    def handler_called(self, exchange: Exchange, seconds: float) -> None:
        self.hear(exchange, "handler_called", seconds)

    def rendered(self, exchange: Exchange, seconds: float) -> None:
        self.hear(exchange, "rendered", seconds)

    def response_started(self, exchange: Exchange, status: int) -> None:
        self.hear(exchange, "response_started", status)

    def request_finished(self, exchange: Exchange, status: int, sent_bytes: int) -> None:
        self.hear(exchange, "request_finished", status, sent_bytes)


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

    @app.get("/endless")
    async def endless(session: str) -> None:
        await asyncio.sleep(60)

    return app


@pytest.fixture
def heard() -> Everything:
    return Everything()


@pytest.mark.parametrize(
    ("path", "events", "end"),
    [
        ("/async", ["request_started", "made session", "handler_called", "rendered",
            "closed session", "response_started", "request_finished"], (200, 15)),
        ("/stream", ["request_started", "made session", "handler_called", "rendered",
            "response_started", "closed session", "request_finished"], (200, 6)),
        ("/broken", ["request_started", "made session", "handler_called",
            "closed session", "response_started", "request_finished"], (500, 33)),
        ("/nowhere", ["request_started", "rendered", "response_started", "request_finished"],
            (404, 21)),
    ],
)  # fmt: skip
def test_the_events_of_a_request_come_in_order(
    serve: Serve, heard: Everything, caplog: pytest.LogCaptureFixture,
    path: str, events: list[str], end: tuple[int, int],
) -> None:  # fmt: skip
    caplog.set_level(logging.CRITICAL, "restmachine")

    serve(application(heard)).get(path)

    assert heard.heard == events
    assert heard.facts["request_finished"] == end


def test_a_request_on_a_worker_tells_how_long_it_waited(serve: Serve, heard: Everything) -> None:
    serve(application(heard)).get("/sync")

    assert sorted(heard.heard) == sorted(
        ["request_started", "made session", "made user", "worker_waited", "handler_called",
         "rendered", "closed session", "response_started", "request_finished"]
    )  # fmt: skip
    assert heard.facts["worker_waited"][0] >= 0


def test_direct_execution_is_observed_too(heard: Everything) -> None:
    app = application(heard)

    app.execute(Request("GET", "/sync"))
    app.shutdown_sync()

    assert heard.heard == [
        "request_started", "made session", "made user", "handler_called", "rendered",
        "closed session", "response_started", "request_finished",
    ]  # fmt: skip


def test_a_cancelled_request_finishes_once(serve: Serve, heard: Everything) -> None:
    client = serve(application(heard))

    async def cancel() -> None:
        task = asyncio.ensure_future(client.request_async("GET", "/endless"))
        await asyncio.sleep(0.01)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        client.run(cancel())

    assert heard.heard[-2:] == ["closed session", "request_finished"]
    assert heard.facts["request_finished"] == (499, 0)


class Broken(Observer):
    """Fails at every request."""

    def request_started(self, exchange: Exchange) -> None:
        raise KeyError("x")


def test_an_observer_that_raises_is_logged_once_and_stops_nobody(
    serve: Serve, heard: Everything, caplog: pytest.LogCaptureFixture
) -> None:
    app = application(Broken())
    app.observe(heard)
    client = serve(app)

    with caplog.at_level(logging.ERROR, "restmachine"):
        statuses = [client.get("/async").status for _ in range(3)]

    assert statuses == [200, 200, 200]
    assert heard.heard.count("request_started") == 3
    assert len(caplog.records) == 1


def test_notes_belong_to_one_request(serve: Serve, heard: Everything) -> None:
    app = application(heard)
    notes = []

    class Keeping(Observer):
        def request_finished(self, exchange: Exchange, status: int, sent_bytes: int) -> None:
            notes.append(exchange.notes)

    app.observe(Keeping())
    client = serve(app)
    client.get("/async")
    client.get("/async")

    assert notes[0] is not notes[1]
    assert notes[0] == notes[1]


def test_only_overridden_events_are_listened_to(heard: Everything) -> None:
    observers = [heard, Broken(), Observer()]

    assert len(listeners(observers, "request_started")) == 2
    assert listeners(observers, "decided") == ()


def test_what_nothing_observes_has_no_trace_of_it(app: RestApplication) -> None:
    app.get("/x")(lambda: {"a": 1})

    plan, _ = app.dispatch("GET", "/x")

    assert not plan.observed
