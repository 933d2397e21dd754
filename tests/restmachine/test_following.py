"""Following a request: each of its steps is announced on the thread where it runs."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from threading import get_ident
from typing import Any

import pytest

from restmachine import Observer, Request, RestApplication
from restmachine.exchange import Exchange
from restmachine.hooks import Steps
from restmachine.testing import TestClient

from .observers import FINISHED, Everything, application, cancelled

Serve = Callable[[RestApplication], TestClient]


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


def test_a_followed_request_is_cancelled_like_another(serve: Serve) -> None:
    heard, following = Everything(), Following()
    app = application(heard)
    app.observe(following)
    client = serve(app)

    with pytest.raises(asyncio.CancelledError):
        client.run(cancelled(client))

    assert heard.labels[-2:] == ["teardown session", FINISHED]
    assert following.turns[0].running is None
