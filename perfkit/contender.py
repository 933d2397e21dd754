"""One peer in a process of its own: loads its applications and times rounds of requests.

`perfkit.contest` starts this as ``python -m perfkit.contender``. Messages are JSON, one a line:

    started with  {"package", "peer", "rows": [name...], "layout"}
    answers       {row: [[status, headers, body], ...]}  or {"error": text}
    asked         [row, calls]
    answers       [nanoseconds of one request, whether the kernel interrupted the round]

A round is one coroutine on one event loop, uvloop, that awaits the application again and again;
starting and stopping the loop is not timed. Each request has a scope of its own, the one that
uvicorn makes, and channels that cost next to nothing.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from importlib import import_module
from itertools import repeat
from time import perf_counter_ns
from typing import Any, NoReturn

import uvloop

from perfkit.worker import described, scattered, undisturbed
from perfkit.workload import Answer, Workload

Message = dict[str, Any]
Application = Callable[[Any, Any, Any], Awaitable[None]]
WARM_UP_SECONDS = 0.03


async def forever() -> NoReturn:
    """Wait until this is cancelled."""
    await asyncio.get_running_loop().create_future()
    raise AssertionError("nobody resolves that future")


class Channels:
    """What one request's application receives, and keeps of nothing what it sends."""

    __slots__ = ("_content",)

    def __init__(self, content: Message) -> None:
        self._content: Message | None = content

    async def receive(self) -> Message:
        """Return the request's content once, then wait as for a client that stays."""
        content = self._content
        if content is None:
            return await forever()
        self._content = None
        return content

    async def send(self, message: Message) -> None:
        """Take one message."""


class Recorder(Channels):
    """Channels that keep what was sent."""

    __slots__ = ("sent",)

    def __init__(self, content: Message) -> None:
        super().__init__(content)
        self.sent: list[Message] = []

    async def send(self, message: Message) -> None:
        """Keep one message."""
        self.sent.append(message)

    def answer(self) -> Answer:
        """Return the messages as one answer; nothing sent is status 0."""
        if not self.sent:
            return Answer(0, {}, b"")
        start, *rest = self.sent
        headers = {
            bytes(name).decode("latin-1").lower(): bytes(value).decode("latin-1")
            for name, value in start.get("headers", ())
        }
        body = b"".join(message.get("body", b"") for message in rest)
        return Answer(start["status"], headers, body)


def scope_of(workload: Workload) -> Message:
    """Return the ASGI scope of a request as uvicorn would make it."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 50000),
        "scheme": "http",
        "method": workload.method,
        "root_path": "",
        "path": workload.path,
        "raw_path": workload.path.encode(),
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in workload.fields],
        "state": {},
    }


def content_of(workload: Workload) -> Message:
    """Return the message that carries a request's content."""
    return {"type": "http.request", "body": workload.body, "more_body": False}


async def answer_of(application: Application, workload: Workload) -> Answer:
    """Send one request and return its answer."""
    recorder = Recorder(content_of(workload))
    await application(scope_of(workload), recorder.receive, recorder.send)
    return recorder.answer()


async def batch(application: Application, workload: Workload, calls: int) -> int:
    """Send *calls* requests, by as many callers as the workload has; return the nanoseconds."""
    scope, content = scope_of(workload), content_of(workload)

    async def caller(calls: int) -> None:
        for _ in repeat(None, calls):
            channels = Channels(content)
            await application(scope.copy(), channels.receive, channels.send)

    if workload.callers == 1:
        start = perf_counter_ns()
        await caller(calls)
        return perf_counter_ns() - start
    shares = [calls // workload.callers] * workload.callers
    start = perf_counter_ns()
    await asyncio.gather(*map(caller, shares))
    return perf_counter_ns() - start


class Lifespan:
    """Starts an application as a server does, and lets it live until the process ends."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._started = asyncio.get_running_loop().create_future()
        self._asked = False

    async def start(self) -> None:
        """Return once the application says that it has started, or that it does not care."""
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
        self._task = asyncio.ensure_future(self._application(scope, self._receive, self._send))
        await asyncio.wait({self._started, self._task}, return_when=asyncio.FIRST_COMPLETED)
        if self._started.done():
            self._started.result()

    async def _receive(self) -> Message:
        if self._asked:
            await forever()
        self._asked = True
        return {"type": "lifespan.startup"}

    async def _send(self, message: Message) -> None:
        if message["type"] == "lifespan.startup.failed":
            self._started.set_exception(RuntimeError(message.get("message", "startup failed")))
        else:
            self._started.set_result(None)


async def started(application: Application) -> Lifespan:
    """Start an application and return its lifespan, which is to be kept."""
    lifespan = Lifespan(application)
    await lifespan.start()
    return lifespan


def made(module: Any, routes: int | None, depth: int | None) -> Application:
    """Return the application that a peer's module makes.

    Args:
        routes: How many routes it has, None for a handful.
        depth: How many dependencies its only handler needs, where that is asked.
    """
    application: Application
    if depth is not None:
        application = module.nested(depth)
    elif routes is not None:
        application = module.wide(routes)
    else:
        application = module.small()
    return application


class Contender:
    """The application of one peer that the rows named need, started."""

    def __init__(self, package: str, peer: str, names: Sequence[str]) -> None:
        rows = import_module(f"{package}.rows").ROWS
        self._rows: dict[str, Workload] = {row.name: row for row in rows if row.name in names}
        (routes,) = {row.routes for row in self._rows.values()}
        self._application = made(import_module(f"{package}.{peer}"), routes, None)
        self._loop = uvloop.new_event_loop()
        asyncio.set_event_loop(self._loop)
        self._lifespan = self._run(started(self._application))

    def answers(self, row: str) -> list[Answer]:
        """Return the answer to a row's request, and to that without its conditions."""
        requests = self._rows[row].requests
        return [self._run(answer_of(self._application, request)) for request in requests]

    def timed(self, row: str, calls: int) -> tuple[float, bool]:
        """Return the nanoseconds of one request, and whether the round was interrupted."""
        workload, application = self._rows[row], self._application
        calls = max(1, calls // workload.callers) * workload.callers
        # The other peers have emptied the caches.
        self._run(batch(application, workload, max(workload.callers, calls // 5)))
        elapsed, interrupted = undisturbed(lambda: self._run(batch(application, workload, calls)))
        return elapsed / calls, interrupted

    def warm_up(self, row: str) -> None:
        """Send requests until lazy parts of the application are made and code is specialised."""
        until = perf_counter_ns() + WARM_UP_SECONDS * 1e9
        while perf_counter_ns() < until:
            self.timed(row, 64)

    def _run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self._loop.run_until_complete(coroutine)


def serve(requests: Any, answers: Any) -> None:
    """Load what the first line asks for, then time one round for each further line."""

    def reply(message: object) -> None:
        print(json.dumps(message), file=answers, flush=True)

    setup = json.loads(requests.readline())
    layout = scattered(setup["layout"])
    try:
        contender = Contender(setup["package"], setup["peer"], setup["rows"])
        given = {row: contender.answers(row) for row in setup["rows"]}
        for row in setup["rows"]:
            contender.warm_up(row)
    # Whatever a framework raises is the answer: it does not run.
    except Exception as error:
        reply({"error": described(error)})
        return
    reply(
        {
            row: [[each.status, each.headers, each.body.decode("latin-1")] for each in answered]
            for row, answered in given.items()
        }
    )
    # Collections go on, as in a server, but need not look at what was made to stay.
    gc.collect()
    gc.freeze()
    for line in requests:
        reply(contender.timed(*json.loads(line)))
    del layout


if __name__ == "__main__":
    # What a framework prints must not look like an answer.
    with os.fdopen(os.dup(1), "w") as channel:
        os.dup2(2, 1)
        serve(sys.stdin, channel)
