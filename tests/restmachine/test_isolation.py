"""Overlapping requests share nothing: each sees its own identity, and ends what it began."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from restmachine import NotFound, Request, Response, RestApplication
from restmachine.testing import ClientResponse, TestClient

ROUTES = ("/sync", "/async", "/mixed", "/instant", "/stream", "/posted")
REQUESTS = int(os.environ.get("ISOLATION_REQUESTS", "10000"))
WAVE = 10_000
"""How many requests are under way together on the event loop."""
DIRECT = 1_000
"""How many more are executed beside each wave, on threads of their own."""


class Book:
    """Which generator dependencies were begun and finished, by name and identity."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, str]] = []
        self.ended: list[tuple[str, str]] = []

    @contextmanager
    def entry(self, name: str, identity: str) -> Iterator[str]:
        """Enter the time between the beginning and the end of a generator.

        One that is merely forgotten, and closed by the garbage collector, is not finished.
        """
        self.begun.append((name, identity))
        try:
            yield identity
        except GeneratorExit:
            raise
        except BaseException:
            self.ended.append((name, identity))
            raise
        else:
            self.ended.append((name, identity))


def application(book: Book) -> RestApplication:
    """Return routes whose every part says whose request it believes to serve."""
    app = RestApplication(threads=6)

    @app.on_startup
    async def shared() -> dict[str, str]:
        return {"of": "all"}

    @app.dependency()
    def identity(request_headers: Any) -> str:
        return str(request_headers["X-Identity"])

    @app.dependency()
    async def awaited(identity: str) -> str:
        await asyncio.sleep(0)
        return identity

    @app.dependency(blocking=False)
    def instant(request: Request) -> str:
        return request.query_params["identity"]

    @app.dependency()
    def session(identity: str) -> Iterator[str]:
        with book.entry("session", identity):
            yield identity

    @app.dependency()
    async def connection(awaited: str, shared: dict[str, str]) -> AsyncIterator[str]:
        with book.entry("connection", awaited):
            yield awaited
        await asyncio.sleep(0)

    @app.generate_etag
    def tag(identity: str) -> str:
        return identity

    def seen(own: str, *others: str) -> dict[str, Any]:
        if own.endswith("error"):
            raise KeyError(own)
        if own.endswith("absent"):
            raise NotFound
        return {"own": own, "seen": list(others)}

    @app.get("/sync/{own}")
    def sync(own: str, identity: str, session: str, path_params: dict[str, str]) -> dict[str, Any]:
        return seen(own, identity, session, path_params["own"])

    @app.get("/async/{own}")
    async def asynchronous(own: str, awaited: str, connection: str, tag: str) -> dict[str, Any]:
        await asyncio.sleep(0)
        return seen(own, awaited, connection, tag)

    @app.get("/mixed/{own}")
    def mixed(
        own: str, connection: str, session: str, instant: str, response_headers: Any
    ) -> dict[str, Any]:
        response_headers["X-Seen"] = instant
        return seen(own, connection, session, instant)

    @app.get("/instant/{own}", blocking=False)
    def inline(own: str, instant: str, identity: str, session: str) -> Response:
        return Response(200, seen(own, instant, identity, session))

    @app.get("/stream/{own}")
    async def stream(own: str, connection: str, session: str) -> AsyncIterator[str]:
        result = seen(own, connection, session)
        yield '{"own": "%s", ' % result["own"]  # noqa: UP031 - braces
        await asyncio.sleep(0)
        yield '"seen": ["%s", "%s"]}' % (connection, session)  # noqa: UP031

    @app.post("/posted/{own}")
    def posted(own: str, json_body: Any, session: str, awaited: str) -> tuple[Any, int]:
        return seen(own, json_body["identity"], session, awaited), 201

    return app


def message(number: int) -> tuple[str, str, dict[str, Any]]:
    """Return the method, the URL and the rest of one request of many kinds."""
    route = ROUTES[number % len(ROUTES)]
    ending = ("", "", "", "-error", "-absent")[number % 5] if route != "/stream" else ""
    own = f"{number}{ending}"
    headers = {"X-Identity": own}
    if number % 4 == 1:
        headers["If-None-Match"] = f'"{own}"'
    if route == "/posted":
        return (
            "POST",
            f"{route}/{own}?identity={own}",
            {"headers": headers, "json": {"identity": own}},
        )
    return "GET", f"{route}/{own}?identity={own}", {"headers": headers}


def wrong(number: int, status: int, content: Callable[[], Any]) -> str | None:
    """Return what is wrong with an answer, None when it knows only its own request."""
    method, url, rest = message(number)
    own = rest["headers"]["X-Identity"]
    if "If-None-Match" in rest["headers"]:
        expected = 304 if method == "GET" else 412
    elif own.endswith(("error", "absent")):
        expected = 500 if own.endswith("error") else 404
    else:
        expected = 201 if method == "POST" else 200
    if status != expected:
        return f"{method} {url} was answered {status}, not {expected}"
    if expected in (200, 201) and set(content()["seen"]) | {content()["own"]} != {own}:
        return f"{method} {url} saw {content()}"
    return None


@pytest.fixture(autouse=True)
def hasty_threads() -> Iterator[None]:
    """Make threads take turns very often, so that they meet wherever they can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Keep the tracebacks of errors that are meant out of the report."""
    caplog.set_level("CRITICAL", logger="restmachine")


async def sent(client: TestClient, number: int) -> ClientResponse | None:
    """Send one request, and cancel some of them on their way."""
    method, url, rest = message(number)
    task = asyncio.ensure_future(client.request_async(method, url, **rest))
    if number % 7 == 3:
        for _ in range(number % 11):
            await asyncio.sleep(0)
        task.cancel()
    try:
        return await task
    except asyncio.CancelledError:
        return None


def executed(app: RestApplication, numbers: range) -> list[str | None]:
    """Answer requests on the calling thread, and return what was wrong with each."""
    found = []
    for number in numbers:
        method, url, rest = message(number)
        path, _, query = url.partition("?")
        body = f'{{"identity": "{query[9:]}"}}' if method == "POST" else None
        fields = {**rest["headers"], "Content-Type": "application/json"}
        response = app.execute(
            Request(method, path, fields, body, query_params={"identity": query[9:]})
        )
        found.append(wrong(number, response.status_code, partial(json.loads, response.body)))
    return found


async def overlapped(
    client: TestClient, app: RestApplication, numbers: range
) -> tuple[dict[int, ClientResponse], list[str | None]]:
    """Answer requests all at once; return the answers on the loop, and what was wrong on threads.

    The last `DIRECT` of the numbers are executed on threads.
    """
    loop = asyncio.get_running_loop()
    on_loop, on_threads = numbers[:-DIRECT], numbers[-DIRECT:]
    with ThreadPoolExecutor(4) as threads:
        direct = [
            loop.run_in_executor(threads, executed, app, on_threads[part::4]) for part in range(4)
        ]
        answers = await asyncio.gather(*(sent(client, number) for number in on_loop))
        found = await asyncio.gather(*direct)
    served = {
        number: answer
        for number, answer in zip(on_loop, answers, strict=True)
        if answer is not None
    }
    return served, [complaint for part in found for complaint in part]


def waves() -> Iterator[range]:
    """Yield the numbers of each wave, distinct through all of them."""
    for first in range(0, REQUESTS, WAVE):
        start = first // WAVE * (WAVE + DIRECT)
        yield range(start, start + min(WAVE, REQUESTS - first) + DIRECT)


def test_overlapping_requests_see_only_themselves() -> None:
    book = Book()
    app = application(book)
    asked = answered = begun = 0

    with TestClient(app) as client:
        for numbers in waves():
            served, complaints = client.run(overlapped(client, app, numbers))
            complaints += [wrong(number, a.status, a.json) for number, a in served.items()]
            asked += len(numbers) - DIRECT
            answered += len(served)
            begun += len(book.begun)
            print(f"{asked} requests, {begun} generators ended", file=sys.stderr, flush=True)

            assert [complaint for complaint in complaints if complaint] == []
            assert Counter(book.ended) == Counter(book.begun)
            book.begun.clear()
            book.ended.clear()

    assert book.begun == book.ended == []
    assert asked == REQUESTS
    assert 0 < asked - answered < asked / 7 + 1
    assert begun > asked / 2


def test_generator_that_begins_as_its_request_is_cancelled_is_finished() -> None:
    book = Book()
    app = RestApplication()
    requests: list[asyncio.Task[Any]] = []

    @app.dependency()
    def on_a_thread() -> str:
        return "1"

    @app.dependency()
    async def connection(on_a_thread: str) -> AsyncIterator[str]:
        with book.entry("connection", on_a_thread):
            await asyncio.sleep(0.05)  # by then the worker waits for this
            requests[0].cancel()
            yield on_a_thread

    @app.get("/")
    def read(connection: str) -> str:
        return connection

    async def cancelled(client: TestClient) -> None:
        requests.append(asyncio.ensure_future(client.request_async("GET", "/")))
        await asyncio.wait(requests)

    with TestClient(app) as client:
        client.run(cancelled(client))

    assert requests[0].cancelled()
    assert book.ended == book.begun == [("connection", "1")]
