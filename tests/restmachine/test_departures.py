"""The client leaves while its response is made: the work ends, and what was made is torn down."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any

import pytest

from restmachine import ASGIAdapter, RestApplication
from restmachine.departures import PATIENCE_SECONDS
from tests.restmachine.ways import scope_of


class Connection:
    """One request over ASGI whose client leaves when it is told to."""

    def __init__(self, method: str = "GET", path: str = "/", content: bytes = b"") -> None:
        framing = [(b"content-length", b"%d" % len(content))] if content else []
        fields = [(b"content-type", b"application/json"), *framing]
        self.scope = scope_of(method, path, fields)
        self.left, self.watched = asyncio.Event(), asyncio.Event()
        self.sent: list[Any] = []
        self.received = 0
        self.content = content

    async def receive(self) -> dict[str, Any]:
        self.received += 1
        if self.received == 1:
            return {"type": "http.request", "body": self.content}
        self.watched.set()
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    def serve(self, app: RestApplication) -> asyncio.Task[None]:
        async def serve() -> None:
            await ASGIAdapter(app)(self.scope, self.receive, self.send)

        return asyncio.create_task(serve())


@pytest.fixture
def events() -> list[str]:
    return []


@pytest.fixture
def closed() -> threading.Event:
    """Is set when the session is closed."""
    return threading.Event()


@pytest.fixture
def app(events: list[str], closed: threading.Event) -> RestApplication:
    app = RestApplication()

    async def forever(what: str) -> None:
        events.append(what)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            events.append(f"{what} cancelled")
            raise

    @app.dependency()
    async def session() -> AsyncIterator[str]:
        events.append("made")
        try:
            yield "session"
        finally:
            events.append("closed")
            closed.set()

    @app.dependency()
    async def slow() -> None:
        await forever("dependency")

    @app.get("/")
    async def plain() -> None:
        await forever("handler")

    @app.get("/dependency")
    async def dependent(slow: None) -> None:
        raise AssertionError

    @app.get("/session")
    async def with_session(session: str) -> None:
        await forever("handler")

    @app.post("/")
    async def post(json_body: Any) -> None:
        await forever(f"handler of {json_body}")

    return app


async def leave_from(connection: Connection, app: RestApplication) -> None:
    """Serve a request whose client leaves after a while."""
    serving = connection.serve(app)
    await asyncio.wait_for(connection.watched.wait(), 10)
    connection.left.set()
    await asyncio.wait_for(serving, 10)


@pytest.mark.parametrize(
    ("method", "path", "content", "told"),
    [
        ("GET", "/", b"", ["handler", "handler cancelled"]),
        ("GET", "/dependency", b"", ["dependency", "dependency cancelled"]),
        ("GET", "/session", b"", ["made", "handler", "handler cancelled", "closed"]),
        ("POST", "/", b"[1]", ["handler of [1]", "handler of [1] cancelled"]),
    ],
)
def test_a_client_that_leaves_ends_the_work(
    app: RestApplication, events: list[str], method: str, path: str, content: bytes, told: list[str]
) -> None:
    async def run() -> Connection:
        connection = Connection(method, path, content)
        await leave_from(connection, app)
        return connection

    connection = asyncio.run(run())

    assert events == told
    assert connection.sent == []


def test_the_work_of_a_thread_is_waited_for_and_its_answer_dropped() -> None:
    app, go_on, done = RestApplication(), threading.Event(), []

    @app.get("/")
    def handler() -> str:
        go_on.wait(10)
        done.append(1)
        return "late"

    async def run() -> Connection:
        connection = Connection()
        serving = connection.serve(app)
        await asyncio.wait_for(connection.watched.wait(), 10)
        connection.left.set()
        await asyncio.sleep(2 * PATIENCE_SECONDS)
        go_on.set()
        await asyncio.wait_for(serving, 10)
        return connection

    connection = asyncio.run(run())

    assert done == [1]
    assert connection.sent == []


def test_others_in_flight_go_on(app: RestApplication, events: list[str]) -> None:
    go_on = asyncio.Event()

    @app.get("/patient")
    async def patient() -> dict[str, bool]:
        await go_on.wait()
        return {"answered": True}

    async def run() -> list[Any]:
        adapter = ASGIAdapter(app)
        leaving, staying = Connection(), Connection(path="/patient")
        serving = [asyncio.create_task(_serve(adapter, each)) for each in (leaving, staying)]
        await asyncio.wait_for(leaving.watched.wait(), 10)
        leaving.left.set()
        await asyncio.sleep(PATIENCE_SECONDS)
        go_on.set()
        await asyncio.wait_for(asyncio.gather(*serving), 10)
        return staying.sent

    sent = asyncio.run(run())

    assert events == ["handler", "handler cancelled"]
    assert sent[1]["body"] == b'{"answered":true}'


async def _serve(adapter: ASGIAdapter, connection: Connection) -> None:
    await adapter(connection.scope, connection.receive, connection.send)


def test_a_task_that_is_cancelled_for_another_reason_stays_cancelled(
    app: RestApplication, events: list[str]
) -> None:
    async def run() -> bool:
        connection = Connection()
        serving = connection.serve(app)
        await asyncio.wait_for(connection.watched.wait(), 10)
        serving.cancel()
        await asyncio.wait({serving})
        return serving.cancelled()

    assert asyncio.run(run())
    assert events == ["handler", "handler cancelled"]


async def stubborn() -> dict[str, bool]:
    """Answer although it is cancelled."""
    with suppress(asyncio.CancelledError):
        await asyncio.Event().wait()
    return {"answered": True}


def test_a_handler_that_goes_on_all_the_same_leaves_nothing_to_the_next(
    app: RestApplication, events: list[str]
) -> None:
    app.get("/stubborn")(stubborn)

    async def run() -> bool:
        adapter = ASGIAdapter(app)
        first, second = Connection(path="/stubborn"), Connection()
        answering = asyncio.create_task(_serve(adapter, first))
        await asyncio.wait_for(first.watched.wait(), 10)
        first.left.set()
        await asyncio.wait({answering})
        first.scope.update(second.scope)
        second.scope = first.scope  # in the same place, as another request's may be
        serving = asyncio.create_task(_serve(adapter, second))
        await asyncio.wait_for(second.watched.wait(), 10)
        serving.cancel()
        await asyncio.wait({serving})
        return serving.cancelled()

    assert asyncio.run(run())
    assert events == ["handler", "handler cancelled"]


def test_a_response_in_time_asks_nothing_of_the_server(app: RestApplication) -> None:
    @app.get("/quick")
    async def quick() -> dict[str, bool]:
        await asyncio.sleep(0)
        return {"answered": True}

    async def run() -> Connection:
        connection = Connection(path="/quick")
        await connection.serve(app)
        await asyncio.sleep(3 * PATIENCE_SECONDS)
        return connection

    connection = asyncio.run(run())

    assert connection.received == 0
    assert len(connection.sent) == 2


def test_content_that_still_comes_is_left_to_the_handler(app: RestApplication) -> None:
    taken = []

    @app.post("/upload")
    async def upload(body_stream: Any) -> dict[str, int]:
        await asyncio.sleep(3 * PATIENCE_SECONDS)
        taken.extend([piece async for piece in body_stream])
        return {"pieces": len(taken)}

    async def run() -> Connection:
        connection = Connection("POST", "/upload", b"content")
        await asyncio.wait_for(connection.serve(app), 10)
        return connection

    connection = asyncio.run(run())

    assert taken == [b"content"]
    assert connection.sent[0]["status"] == 200


@pytest.mark.parametrize("wanted", ["json_body", "parsed_body"])
def test_content_that_comes_slowly_is_not_taken_away(wanted: str) -> None:
    app, pieces = RestApplication(), [b"[1,", b"2,", b"3]"]

    async def by_json(json_body: Any) -> dict[str, Any]:
        return {"is": json_body}

    async def by_media_type(parsed_body: Any) -> dict[str, Any]:
        return {"is": parsed_body}

    app.post("/slow")({"json_body": by_json, "parsed_body": by_media_type}[wanted])

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(2.5 * PATIENCE_SECONDS)
        body = pieces.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(pieces)}

    async def run() -> Connection:
        connection = Connection("POST", "/slow", b"[1,2,3]")
        connection.receive = receive  # type: ignore[method-assign]  # the client is slow
        await asyncio.wait_for(connection.serve(app), 10)
        return connection

    connection = asyncio.run(run())

    assert connection.sent[1]["body"] == b'{"is":[1,2,3]}'


def test_a_client_that_leaves_ends_a_stream_beside_content_that_nobody_reads(
    events: list[str],
) -> None:
    app = RestApplication()

    @app.dependency()
    async def connection() -> AsyncIterator[str]:
        try:
            yield "open"
        finally:
            events.append("closed")

    @app.post("/")
    async def echo(body_stream: Any, connection: str) -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0)
            yield b"tick"

    async def run() -> None:
        connection = Connection("POST", "/", b"content")
        serving = connection.serve(app)
        await asyncio.wait_for(connection.watched.wait(), 10)
        connection.left.set()
        await asyncio.wait_for(serving, 10)

    asyncio.run(run())

    assert events == ["closed"]


def test_content_that_came_ahead_of_its_reader_is_read_in_order() -> None:
    app, pieces = RestApplication(), [b"%d," % number * 20_000 for number in range(8)]
    whole = b"".join(pieces)

    @app.post("/")
    async def echo(body_stream: Any) -> AsyncIterator[bytes]:
        yield await anext(body_stream)
        await asyncio.sleep(3 * PATIENCE_SECONDS)
        async for piece in body_stream:
            yield piece

    async def receive() -> dict[str, Any]:
        if not pieces:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

    async def run() -> Connection:
        connection = Connection("POST", "/", whole)
        connection.receive = receive  # type: ignore[method-assign]  # content of many pieces
        await asyncio.wait_for(connection.serve(app), 10)
        return connection

    connection = asyncio.run(run())

    assert b"".join(message.get("body", b"") for message in connection.sent) == whole


def test_a_handler_that_takes_the_cancellation_for_its_own_leaves_the_task_without_it() -> None:
    app = RestApplication()
    app.get("/")(stubborn)

    async def run() -> int:
        connection, adapter = Connection(), ASGIAdapter(app)
        task = asyncio.current_task()
        assert task
        asyncio.get_running_loop().call_later(3 * PATIENCE_SECONDS, connection.left.set)
        await adapter(connection.scope, connection.receive, connection.send)
        return task.cancelling()

    assert asyncio.run(run()) == 0


@pytest.fixture
def address(app: RestApplication) -> Iterator[tuple[str, int]]:
    """Where a real server serves the application."""
    import uvicorn

    config = uvicorn.Config(ASGIAdapter(app), port=0, log_level="error", lifespan="on")
    server = uvicorn.Server(config)
    listening = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    yield listening.getsockname()
    server.should_exit = True
    thread.join(10)
    listening.close()


def test_a_client_that_leaves_a_real_server_ends_the_work(
    address: tuple[str, int], events: list[str], closed: threading.Event
) -> None:
    client = socket.create_connection(address)
    client.sendall(b"GET /session HTTP/1.1\r\nHost: example.org\r\n\r\n")
    client.settimeout(2.5 * PATIENCE_SECONDS)
    with pytest.raises(TimeoutError):
        client.recv(1)

    client.close()

    assert closed.wait(10)
    assert events == ["made", "handler", "handler cancelled", "closed"]
