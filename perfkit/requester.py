"""Sends one request over many kept-alive connections, in a process of its own.

`perfkit.wire` starts this as ``python -m perfkit.requester``. Messages are JSON, one a line:

    started with  {"package"}
    asked         {"row", "port", "pid", "connections", "count", "rate"}
    answers       {"seconds", "cpu", "latencies", "lateness"}  or {"error": text}
    asked         {"row", "port", "pid", "connections"}
    answers       {"bytes"}: the server's memory for each connection that is open and idle
    asked         {"row", "port"}
    answers       {"answers": [[status, headers, body], ...]}

Without *rate* each connection sends the next request when it has an answer, until *count* are
answered. With it requests begin at random moments, *rate* a second, whatever the answers do, and
latencies count from those moments; lateness is by how much the client itself missed them. *cpu* is
what the server, process *pid*, used meanwhile: user and system, in seconds. The first answer is
parsed; the others must have its status line and its length.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, cast

import httptools
import uvloop

from perfkit.arrivals import Arrivals
from perfkit.server import HOST
from perfkit.usage import cpu_seconds, unique_bytes
from perfkit.worker import described
from perfkit.workload import Answer, Workload

PATIENCE_SECONDS = 30.0
WARM_UP = 4
"""Requests of each connection before the counting begins."""


class UnexpectedAnswerError(Exception):
    """An answer is not like the first one, or does not come."""


def request_bytes(workload: Workload) -> bytes:
    """Return a request as it goes over the wire."""
    lines = [f"{workload.method} {workload.path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in workload.fields]
    return "\r\n".join([*lines, "", ""]).encode() + workload.body


class AnswerParser:
    """Parses one answer and tells when it is complete."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._body = b""
        self.complete = False
        self.raw = b""

    def feed(self, data: bytes) -> None:
        """Take what has arrived."""
        self.raw += data
        self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep one field."""
        self._headers[name.decode().lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the content."""
        self._body += body

    def on_message_complete(self) -> None:
        """Notice the end."""
        self.complete = True

    @property
    def answer(self) -> Answer:
        """The answer as a whole."""
        return Answer(self._parser.get_status_code(), self._headers, self._body)


async def first_answer(workload: Workload, port: int) -> AnswerParser:
    """Send one request on a connection of its own and return the parsed answer."""
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(request_bytes(workload))
    parser = AnswerParser()
    while not parser.complete:
        data = await reader.read(1 << 16)
        if not data:
            raise UnexpectedAnswerError("the server closed the connection")
        parser.feed(data)
    writer.close()
    return parser


class Load:
    """What all connections share: what is to be sent, and how far it is."""

    def __init__(self, request: bytes, sample: bytes) -> None:
        self.request = request
        self.length = len(sample)
        self.status_line = sample.partition(b"\r\n")[0]
        self.count = self.started = self.answered = 0
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def send(self, count: int, connections: Sequence[Connection]) -> None:
        """Have *count* requests answered, as soon as the connections come to it."""
        self.count, self.started, self.answered = count, 0, 0
        self.finished = asyncio.get_running_loop().create_future()
        for connection in connections[:count]:
            connection.begin()
        await self.finished

    def end(self) -> None:
        """Notice the last answer."""
        if not self.finished.done():
            self.finished.set_result(None)

    def fail(self, reason: str) -> None:
        """End the run."""
        if not self.finished.done():
            self.finished.set_exception(UnexpectedAnswerError(reason))


class Connection(asyncio.Protocol):
    """One kept-alive connection, which has one request under way at most."""

    def __init__(self, load: Load, schedule: Schedule | None = None) -> None:
        self.load = load
        self.schedule = schedule
        self.got = 0
        self.due = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        # uvloop's transports are not derived from asyncio's.
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        """Fail the run, unless it is over."""
        self.load.fail("the server closed a connection")

    def data_received(self, data: bytes) -> None:
        """Count what has arrived, and go on once the answer is complete."""
        load = self.load
        if self.got == 0 and not data.startswith(load.status_line):
            load.fail(f"it answered {data[:40]!r} after {load.status_line!r}")
        self.got += len(data)
        if self.got < load.length:
            return
        if self.got > load.length:
            load.fail(f"an answer of {self.got} bytes after one of {load.length}")
        self.got = 0
        load.answered += 1
        self.answered()

    def answered(self) -> None:
        """Send the next request if one is to be sent, and notice the last answer."""
        load, schedule = self.load, self.schedule
        if schedule is not None and schedule.begun:
            schedule.answered(self)
        elif load.started < load.count:
            self.begin()
        if load.answered == load.count:
            load.end()

    def begin(self) -> None:
        """Send a request."""
        self.load.started += 1
        self.transport.write(self.load.request)


class Schedule:
    """Requests that begin when they are due, at *rate* a second."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.begun = False
        self.idle: list[Connection] = []
        self.overdue: deque[float] = deque()
        self.latencies: list[float] = []
        self.lateness: list[float] = []

    def answered(self, connection: Connection) -> None:
        """Note the latency, and give the connection what waits for one."""
        self.latencies.append(time.perf_counter() - connection.due)
        if self.overdue:
            connection.due = self.overdue.popleft()
            connection.begin()
        else:
            self.idle.append(connection)

    async def follow(self, load: Load, count: int, connections: Sequence[Connection]) -> None:
        """Begin each request when it is due, on an idle connection or the next one to be idle.

        This waits by looking again and again, as the timers of uvloop know milliseconds only.
        """
        self.begun, self.idle = True, list(connections)
        load.count, load.started, load.answered = count, 0, 0
        load.finished = asyncio.get_running_loop().create_future()
        arrivals = Arrivals(self.rate, time.perf_counter())
        for _ in range(count):
            due = arrivals.draw()
            while time.perf_counter() < due and not load.finished.done():  # noqa: ASYNC110
                await asyncio.sleep(0)
            if load.finished.done():
                break
            if self.idle:
                connection = self.idle.pop()
                connection.due = due
                connection.begin()
                self.lateness.append(time.perf_counter() - due)
            else:
                self.overdue.append(due)
        await load.finished


async def opened(connection: Callable[[], Connection], port: int, count: int) -> list[Connection]:
    """Open *count* connections, one after the other."""
    loop = asyncio.get_running_loop()
    pairs = [await loop.create_connection(connection, HOST, port) for _ in range(count)]
    return [protocol for _, protocol in pairs]


async def run(workload: Workload, asked: dict[str, Any]) -> dict[str, Any]:
    """Make one run and return what it showed."""
    port, pid, count, rate = asked["port"], asked["pid"], asked["count"], asked.get("rate")
    load = Load(request_bytes(workload), (await first_answer(workload, port)).raw)
    schedule = None if rate is None else Schedule(rate)
    connections = await opened(lambda: Connection(load, schedule), port, asked["connections"])
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            # Opening connections costs the server as well, and is not to be counted.
            await load.send(WARM_UP * len(connections), connections)
            cpu, start = cpu_seconds(pid), time.perf_counter()
            if schedule is None:
                await load.send(count, connections)
            else:
                await schedule.follow(load, count, connections)
            seconds, cpu = time.perf_counter() - start, cpu_seconds(pid) - cpu
    except TimeoutError:
        reason = f"{load.answered} of {load.count} answers within {PATIENCE_SECONDS:.0f} s"
        raise UnexpectedAnswerError(reason) from None
    finally:
        for connection in connections:
            connection.transport.abort()
    return {
        "seconds": seconds,
        "cpu": cpu,
        "latencies": schedule.latencies if schedule else [],
        "lateness": schedule.lateness if schedule else [],
    }


async def hold(workload: Workload, asked: dict[str, Any]) -> dict[str, float]:
    """Open connections, have each answered once, and return the memory that each one holds."""
    port, pid, count = asked["port"], asked["pid"], asked["connections"]
    load = Load(request_bytes(workload), (await first_answer(workload, port)).raw)
    before = unique_bytes(pid)
    connections = await opened(lambda: Connection(load), port, count)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await load.send(count, connections)
        return {"bytes": (unique_bytes(pid) - before) / count}
    finally:
        for connection in connections:
            connection.transport.abort()


async def answers(workload: Workload, port: int) -> list[list[Any]]:
    """Return the answers to a row's request, and to that without its conditions."""
    given = [(await first_answer(request, port)).answer for request in workload.requests]
    return [[each.status, each.headers, each.body.decode("latin-1")] for each in given]


def serve(requests: Any, replies: Any) -> None:
    """Do what each line asks for."""

    def reply(message: object) -> None:
        print(json.dumps(message), file=replies, flush=True)

    setup = json.loads(requests.readline())
    rows: dict[str, Workload] = {
        row.name: row for row in import_module(f"{setup['package']}.rows").ROWS
    }
    loop = uvloop.new_event_loop()
    for line in requests:
        asked = json.loads(line)
        workload = rows[asked["row"]]
        try:
            if "count" in asked:
                reply(loop.run_until_complete(run(workload, asked)))
            elif "connections" in asked:
                reply(loop.run_until_complete(hold(workload, asked)))
            else:
                reply({"answers": loop.run_until_complete(answers(workload, asked["port"]))})
        except (OSError, UnexpectedAnswerError) as error:
            reply({"error": described(error)})


if __name__ == "__main__":
    with os.fdopen(os.dup(1), "w") as channel:
        os.dup2(2, 1)
        serve(sys.stdin, channel)
