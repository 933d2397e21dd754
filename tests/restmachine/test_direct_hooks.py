"""Observers of requests that are answered the direct way, with an exchange and without one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import pytest

from restmachine import ASGIAdapter, Observer, RestApplication
from restmachine.exchange import Exchange
from restmachine.hooks import HANDLER, Steps, entries
from restmachine.testing import TestClient

from .observers import FINISHED, Everything, cancelled

Serve = Callable[[RestApplication], TestClient]


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


def test_several_observers_may_all_do_without_an_exchange(serve: Serve) -> None:
    first, second = Bare(), Bare()

    serve(direct_application(first, second)).get("/")

    assert first.passings == second.passings
    assert len(first.passings) == len(second.entered) == 1
    assert (first.labels, second.labels) == ([], [])


@pytest.mark.parametrize("enough", [(True, False), (False, True)])
def test_only_who_wants_more_of_a_request_hears_of_its_start(
    serve: Serve, enough: tuple[bool, bool]
) -> None:
    observers = [Starting(each) for each in enough]

    serve(direct_application(*observers)).get("/")

    assert [each.started for each in observers] == [int(not each) for each in enough]
    assert [each.follows for each in observers] == [int(not each) for each in enough]
    assert [each.passings for each in observers] == [[], []]
    assert [each.finished for each in observers] == [(200, 15), (200, 15)]


class Starting(Bare):
    """Counts the requests of whose start it hears."""

    started = follows = 0

    def request_started(self, exchange: Exchange, now: float) -> None:
        self.started += 1

    def follow(self, exchange: Exchange) -> Steps | None:
        self.follows += 1
        return None


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


@pytest.mark.parametrize("path", ["/", "/stated"])
def test_a_response_that_the_server_does_not_take_has_no_status(path: str) -> None:
    bare = Bare(enough=False)
    scope = {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(),
        "query_string": b"", "headers": [],
    }  # fmt: skip

    async def receive() -> dict[str, object]:
        return {"type": "http.disconnect"}

    async def send(message: object) -> None:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        asyncio.run(ASGIAdapter(direct_application(bare))(scope, receive, send))

    assert bare.finished == (499, 0)
