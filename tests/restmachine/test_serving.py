"""From the first decision to the teardown, on threads and on the event loop."""

from __future__ import annotations

import asyncio
import io
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from restmachine import NotFound, Observer, Request, RestApplication
from restmachine.exchange import Exchange
from restmachine.hooks import WORKER
from restmachine.testing import TestClient

Serve = Callable[[RestApplication], TestClient]
Answer = tuple[int, dict[str, str]]
Send = Callable[[RestApplication, str], Answer]


@pytest.fixture(params=["execute", "aexecute", "ASGI"])
def send(request: pytest.FixtureRequest, serve: Serve) -> Send:
    """Send a GET by each of the three ways in."""

    def executed(app: RestApplication, path: str) -> Answer:
        response = app.execute(Request("GET", path))
        app.shutdown_sync()
        return response.status_code, response.headers.to_dict()

    def awaited(app: RestApplication, path: str) -> Answer:
        async def ask() -> Answer:
            response = await app.aexecute(Request("GET", path))
            await app.shutdown()
            return response.status_code, response.headers.to_dict()

        return asyncio.run(ask())

    def served(app: RestApplication, path: str) -> Answer:
        response = serve(app).get(path)
        return response.status, response.headers.to_dict()

    return {"execute": executed, "aexecute": awaited, "ASGI": served}[request.param]


@pytest.fixture(params=["sync", "async"])
def handled(request: pytest.FixtureRequest) -> Callable[[Callable[..., Any]], Any]:
    """Turn a handler of what `log` provides into one of each kind."""

    def sync(function: Callable[..., Any]) -> Any:
        return lambda outer, inner: function()

    def asynchronous(function: Callable[..., Any]) -> Any:
        async def handler(outer: Any, inner: Any) -> Any:
            return function()

        return handler

    return {"sync": sync, "async": asynchronous}[request.param]


def declare_generators(app: RestApplication, log: list[str]) -> None:
    """Declare a sync generator and an async one that needs it, which write a log."""

    @app.dependency()
    def outer() -> Iterator[str]:
        log.append("outer begins")
        try:
            yield "outer"
        except BaseException as error:
            log.append(f"outer fails of {type(error).__name__}")
            raise
        log.append("outer ends")

    @app.dependency()
    async def inner(outer: str) -> AsyncIterator[None]:
        log.append("inner begins")
        try:
            yield
        except BaseException as error:
            log.append(f"inner fails of {type(error).__name__}")
            raise
        log.append("inner ends")


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Keep the tracebacks of errors that are meant out of the report."""
    caplog.set_level(logging.CRITICAL, logger="restmachine")


class TestTeardown:
    def test_the_last_one_made_is_finished_first(self, send: Send, handled: Any) -> None:
        app, log = RestApplication(), []
        declare_generators(app, log)
        app.get("/x")(handled(dict))

        status, _ = send(app, "/x")

        assert status == 200
        assert log == ["outer begins", "inner begins", "inner ends", "outer ends"]

    @pytest.mark.parametrize(("error", "expected"), [(KeyError("x"), 500), (NotFound(), 404)])
    def test_an_error_is_thrown_into_each(
        self, send: Send, handled: Any, error: Exception, expected: int
    ) -> None:
        app, log = RestApplication(), []
        declare_generators(app, log)

        def fail() -> None:
            raise error

        app.get("/x")(handled(fail))

        status, _ = send(app, "/x")

        name = type(error).__name__
        assert status == expected
        assert log[2:] == [f"inner fails of {name}", f"outer fails of {name}"]

    def test_an_error_of_rendering_is_thrown_too(self, send: Send, handled: Any) -> None:
        app, log = RestApplication(), []
        declare_generators(app, log)
        app.get("/x")(handled(object))

        status, _ = send(app, "/x")

        assert status == 500
        assert log[2:] == ["inner fails of TypeError", "outer fails of TypeError"]

    def test_a_decision_against_the_request_is_no_error(self, send: Send) -> None:
        app, log = RestApplication(), []
        declare_generators(app, log)

        @app.resource_exists
        def absent(inner: None, outer: str) -> None:
            return None

        app.get("/x")(lambda absent: {})

        status, _ = send(app, "/x")

        assert status == 404
        assert log == ["outer begins", "inner begins", "inner ends", "outer ends"]

    def test_a_generator_may_not_hide_an_error(self, send: Send) -> None:
        app = RestApplication()

        @app.dependency()
        def forgiving() -> Iterator[None]:
            try:
                yield
            except KeyError:
                pass

        @app.get("/x")
        def handler(forgiving: None) -> None:
            raise KeyError

        status, _ = send(app, "/x")

        assert status == 500

    def test_a_failing_teardown_is_500_and_stops_no_other(self, send: Send) -> None:
        app, log = RestApplication(), []
        declare_generators(app, log)

        @app.dependency()
        def commit(inner: None) -> Iterator[None]:
            yield
            raise OSError("the commit failed")

        app.get("/x")(lambda commit: {"lie": True})

        status, _ = send(app, "/x")

        assert status == 500
        assert log[2:] == ["inner ends", "outer ends"]

    def test_a_returned_mapping_becomes_header_fields(self, send: Send) -> None:
        app = RestApplication()

        @app.dependency()
        def timer() -> Iterator[None]:
            yield
            return {"X-Time": "7", "Vary": "Cookie"}

        app.get("/x")(lambda timer: ({}, 200, timer))

        status, headers = send(app, "/x")

        assert (status, headers["x-time"], headers["vary"]) == (200, "7", "Cookie, Accept")

    @pytest.mark.parametrize("times", [0, 2])
    def test_a_generator_yields_exactly_once(self, send: Send, times: int) -> None:
        app = RestApplication()

        @app.dependency()
        async def odd() -> AsyncIterator[int]:
            for number in range(times):
                yield number

        @app.dependency()
        def even(odd: int) -> Iterator[int]:
            yield from range(times)

        app.get("/x")(lambda even: {})

        status, _ = send(app, "/x")

        assert status == 500

    def test_buffered_content_waits_for_the_teardown(self, serve: Serve) -> None:
        log: list[str] = []
        app = RestApplication()
        declare_generators(app, log)

        @app.get("/x")
        async def handler(inner: None) -> dict[str, str]:
            return {}

        app.observe(Started(log))

        serve(app).get("/x")

        assert log[-2:] == ["outer ends", "response starts"]

    def test_streamed_content_comes_before_the_teardown(self, send: Send) -> None:
        log: list[str] = []
        app = RestApplication()
        declare_generators(app, log)

        @app.get("/x")
        async def handler(inner: None) -> AsyncIterator[str]:
            yield "piece"
            log.append("last byte")

        status, _ = send(app, "/x")

        assert status == 200
        assert log[2:] == ["last byte", "inner ends", "outer ends"]

    def test_a_stream_that_fails_before_its_start_tears_down_with_the_error(
        self, send: Send
    ) -> None:
        log: list[str] = []
        app = RestApplication()
        declare_generators(app, log)

        @app.resource_exists
        def absent(inner: None) -> None:
            raise LookupError

        @app.get("/x")
        def handler(absent: None) -> Iterator[str]:
            yield "never"

        status, _ = send(app, "/x")

        assert status == 500
        assert log[2:] == ["inner fails of LookupError", "outer fails of LookupError"]


class Started(Observer):
    """Logs the start of the response."""

    def __init__(self, log: list[str]) -> None:
        self.log = log

    def response_started(self, exchange: Exchange, status: int, now: float) -> None:
        self.log.append("response starts")


class TestUnfinishedStreams:
    @pytest.mark.parametrize("way", ["execute", "aexecute"])
    def test_direct_execution_answers_500(self, way: str) -> None:
        app, log = RestApplication(), []
        declare_generators(app, log)

        @app.get("/x")
        def handler(inner: None) -> Iterator[str]:
            yield "piece"
            raise LookupError

        if way == "execute":
            response = app.execute(Request("GET", "/x"))
            app.shutdown_sync()
        else:
            response = asyncio.run(app.aexecute(Request("GET", "/x")))

        assert response.status_code == 500
        assert log[2:] == ["inner fails of LookupError", "outer fails of LookupError"]

    def test_a_server_hears_of_it(self, serve: Serve) -> None:
        app, log = RestApplication(), []
        declare_generators(app, log)

        @app.get("/x")
        async def handler(inner: None) -> AsyncIterator[str]:
            yield "piece"
            raise LookupError

        with pytest.raises(LookupError):
            serve(app).get("/x")

        assert log[2:] == ["inner fails of LookupError", "outer fails of LookupError"]

    @pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204)])
    def test_a_file_that_is_not_sent_is_closed(
        self, serve: Serve, method: str, status: int
    ) -> None:
        app, file = RestApplication(), io.BytesIO(b"content")
        app.get("/x")(lambda: (file, status))

        response = serve(app).request(method, "/x")

        assert (response.status, file.closed) == (status, True)

    def test_a_file_that_is_sent_is_closed(self, serve: Serve) -> None:
        app, file = RestApplication(), io.BytesIO(b"content")
        app.get("/x")(lambda: file)

        response = serve(app).get("/x")

        assert (response.content, file.closed) == (b"content", True)


class TestCancellation:
    @pytest.mark.parametrize("path", ["/async", "/sync", "/stream"])
    def test_the_work_ends_and_dependencies_hear_of_it(self, serve: Serve, path: str) -> None:
        app, log = RestApplication(), []
        declare_generators(app, log)
        working = asyncio.Event()

        @app.dependency()
        async def endless(inner: None) -> None:
            working.set()
            await asyncio.sleep(60)

        @app.get("/async")
        async def asynchronous(endless: None) -> None:
            return None

        @app.get("/sync")
        def sync(outer: str, endless: None) -> None:
            return None

        @app.get("/stream")
        async def stream(inner: None) -> AsyncIterator[str]:
            yield "piece"
            working.set()
            await asyncio.sleep(60)

        client = serve(app)

        async def cancel() -> None:
            task = asyncio.ensure_future(client.request_async("GET", path))
            await working.wait()
            task.cancel()
            await task

        with pytest.raises(asyncio.CancelledError):
            client.run(cancel())

        assert log[2:] == ["inner fails of CancelledError", "outer fails of CancelledError"]

    def test_a_cancellation_during_the_teardown_is_not_lost(self, serve: Serve) -> None:
        app, ending = RestApplication(), asyncio.Event()

        @app.dependency()
        async def slow_to_end() -> AsyncIterator[None]:
            yield
            ending.set()
            await asyncio.sleep(60)

        @app.get("/x")
        async def handler(slow_to_end: None) -> dict[str, str]:
            return {}

        client = serve(app)

        async def cancel() -> None:
            task = asyncio.ensure_future(client.request_async("GET", "/x"))
            await ending.wait()
            task.cancel()
            await task

        with pytest.raises(asyncio.CancelledError):
            client.run(cancel())

    def test_it_is_not_logged_as_a_bug(
        self, serve: Serve, caplog: pytest.LogCaptureFixture
    ) -> None:
        app, working = RestApplication(), asyncio.Event()

        @app.dependency()
        def first() -> None:
            return None

        @app.dependency()
        async def endless(first: None) -> None:
            working.set()
            await asyncio.sleep(60)

        app.get("/x")(lambda endless: {})
        client = serve(app)

        async def cancel() -> None:
            task = asyncio.ensure_future(client.request_async("GET", "/x"))
            await working.wait()
            task.cancel()
            await task

        with (
            caplog.at_level(logging.WARNING, "restmachine"),
            pytest.raises(asyncio.CancelledError),
        ):
            client.run(cancel())

        assert caplog.records == []


class Hops(Observer):
    """Counts how often requests move to a worker thread."""

    kinds = (WORKER,)

    def __init__(self) -> None:
        self.hops = 0

    def request_finished(
        self, exchange: Exchange, status: int, sent_bytes: int, now: float
    ) -> None:
        self.hops += len(exchange.timeline)


class TestThreads:
    @pytest.fixture
    def seen(self) -> dict[str, int]:
        return {}

    def application(self, seen: dict[str, int], **options: Any) -> tuple[RestApplication, Hops]:
        """Return an application whose functions note their threads."""
        app, hops = RestApplication(**options), Hops()
        app.observe(hops)

        def note(name: str) -> str:
            seen[name] = threading.get_ident()
            return name

        @app.dependency()
        async def awaited() -> str:
            return note("awaited")

        @app.dependency()
        def sync(awaited: str) -> str:
            return note("sync")

        @app.dependency()
        async def awaited_after(sync: str) -> str:
            return note("awaited_after")

        @app.dependency()
        def sync_after(awaited_after: str) -> str:
            return note("sync_after")

        @app.dependency(blocking=False)
        def instant() -> str:
            return note("instant")

        @app.get("/mixed")
        def mixed(sync_after: str, awaited_after: str) -> dict[str, str]:
            note("handler")
            return {}

        @app.get("/async")
        async def asynchronous(awaited: str, instant: str) -> dict[str, str]:
            return {}

        @app.get("/instant", blocking=False)
        def inline(sync_after: str) -> dict[str, str]:
            note("handler")
            return {}

        return app, hops

    def test_a_request_hops_once_from_its_first_sync_function_on(
        self, serve: Serve, seen: dict[str, int]
    ) -> None:
        app, hops = self.application(seen)
        here = threading.get_ident()

        serve(app).get("/mixed")

        on_loop = {name for name, thread in seen.items() if thread == here}
        assert on_loop == {"awaited", "awaited_after"}
        assert len({seen["sync"], seen["sync_after"], seen["handler"]}) == 1
        assert hops.hops == 1

    @pytest.mark.parametrize("path", ["/async", "/instant"])
    def test_what_does_not_block_never_hops(
        self, serve: Serve, seen: dict[str, int], path: str
    ) -> None:
        app, hops = self.application(seen)

        serve(app).get(path)

        assert set(seen.values()) == {threading.get_ident()}
        assert hops.hops == 0

    def test_an_application_may_declare_that_nothing_blocks(
        self, serve: Serve, seen: dict[str, int]
    ) -> None:
        app, hops = self.application(seen, blocking=False)

        serve(app).get("/mixed")

        assert set(seen.values()) == {threading.get_ident()}
        assert hops.hops == 0

    def test_direct_execution_runs_sync_code_on_the_calling_thread(
        self, seen: dict[str, int]
    ) -> None:
        app, _ = self.application(seen)

        app.execute(Request("GET", "/mixed"))
        app.shutdown_sync()

        here = {name for name, thread in seen.items() if thread == threading.get_ident()}
        assert here == {"sync", "sync_after", "handler"}


def test_generator_is_finished_although_its_request_is_cancelled_before() -> None:
    app = RestApplication(threads=1)
    finished: list[str] = []
    busy, release = threading.Event(), threading.Event()

    def session() -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            finished.append(type(error).__name__)
            raise

    async def handler(session: None) -> str:
        return "made"

    app.dependency("session", blocking=False)(session)
    app.get("/x")(handler)
    app.error_handler(404)(lambda: "not found")  # may block, and is not called here

    @app.get("/busy")
    def block() -> str:
        busy.set()
        release.wait(10)
        return "done"

    async def ask() -> None:
        occupying = asyncio.create_task(app.aexecute(Request("GET", "/busy")))
        await asyncio.to_thread(busy.wait, 10)
        asking = asyncio.create_task(app.aexecute(Request("GET", "/x")))
        await asyncio.sleep(0.01)
        asking.cancel()
        await asyncio.sleep(0)
        release.set()
        await asyncio.gather(occupying, asking, return_exceptions=True)
        await app.shutdown()

    asyncio.run(ask())

    assert finished == ["CancelledError"]  # and not when the garbage is collected
