"""The split of requests on a known schedule: ``make schedule`` holds it to a millisecond.

Each function measures for itself what it does: sleeps, computes, asks another system, makes
pieces of a stream. What was measured inside is what the split must find from outside.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, MutableMapping
from contextlib import contextmanager
from statistics import median, quantiles
from time import perf_counter
from typing import Any

import pytest

from perfkit import record as records
from perfkit import timing
from perfkit.record import Operation, Record
from perfkit.split import Split, split
from restmachine import ASGIAdapter, RestApplication

ROUNDS = int(os.environ.get("SCHEDULE_ROUNDS", "20"))
TOGETHER = 50
PART_SECONDS = 0.001
"""How far a part may be off, as a median over all requests of a route."""
WHOLE_SECONDS = 0.0002
"""How far the whole may be off from what the client saw, as a median."""


class Book:
    """What each request's functions measured of themselves, by its number and their part."""

    def __init__(self) -> None:
        self.inside: dict[int, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        self.seen: dict[int, float] = {}
        self.splits: dict[int, Split] = {}

    @contextmanager
    def part(self, number: int, name: str) -> Iterator[None]:
        started = perf_counter()
        yield
        self.inside[number][name] += perf_counter() - started

    def finished(self, record: Record) -> None:
        (name,) = {each.name for each in record.operations}
        self.splits[int(name)] = split(record)

    def errors(self, name: str) -> list[float]:
        """Return by how much a part of each request is longer than what was measured inside."""
        return [
            self.splits[number].parts[name] - inside[name] for number, inside in self.inside.items()
        ]

    def unseen(self) -> list[float]:
        """Return by how much each client waited longer than the whole."""
        return [seen - self.splits[number].total for number, seen in self.seen.items()]

    @property
    def parts(self) -> list[str]:
        return sorted({name for inside in self.inside.values() for name in inside})


def burn(seconds: float) -> None:
    end = perf_counter() + seconds
    while perf_counter() < end:
        pass


def ask(number: int, started: float) -> None:
    records.report(Operation("redis", f"{number}", started, perf_counter() - started))


def application(book: Book, scale: float) -> RestApplication:
    """Return routes whose functions each do something that takes a while.

    Args:
        scale: How long, in seconds, the shortest takes.
    """
    app = RestApplication(threads=TOGETHER)
    timing.attach(app, finished=[book.finished])

    @app.dependency()
    async def slept(number: int) -> AsyncIterator[int]:
        with book.part(number, "dependency.slept"):
            await asyncio.sleep(3 * scale)
        yield number
        with book.part(number, "teardown.slept"):
            await asyncio.sleep(2 * scale)

    @app.dependency()
    async def burnt(slept: int) -> int:
        with book.part(slept, "dependency.burnt"):
            burn(scale / 10)
        return slept

    @app.dependency()
    def blocked(burnt: int) -> int:
        with book.part(burnt, "dependency.blocked"):
            time.sleep(scale)
        return burnt

    @app.get("/async/{number}")
    async def asynchronous(number: int, burnt: int) -> dict[str, int]:
        with book.part(burnt, "handler"):
            started = perf_counter()
            await asyncio.sleep(2 * scale)
            ask(burnt, started)
        return {"number": burnt}

    @app.get("/sync/{number}")
    def sync(number: int, blocked: int) -> dict[str, int]:
        with book.part(blocked, "handler"):
            started = perf_counter()
            time.sleep(2 * scale)
            ask(blocked, started)
        return {"number": blocked}

    @app.get("/stream/{number}")
    async def stream(number: int, burnt: int) -> AsyncIterator[bytes]:
        for _ in range(3):
            with book.part(burnt, "streaming"):
                started = perf_counter()
                await asyncio.sleep(scale)
                ask(burnt, started)
            yield b"piece"

    return app


async def seen_by_client(adapter: ASGIAdapter, path: str, book: Book, number: int) -> None:
    """Send a request and note when its last byte came."""
    scope = {
        "type": "http", "http_version": "1.1", "method": "GET", "path": path, "query_string": b"",
        "headers": [],
    }  # fmt: skip
    gone = asyncio.Event()

    async def receive() -> MutableMapping[str, Any]:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.body" and not message.get("more_body"):
            # What comes after the last byte is no wait of the client's.
            book.seen[number] = perf_counter() - started

    started = perf_counter()
    await adapter(scope, receive, send)
    gone.set()


def run_schedule(kind: str, rounds: int, scale: float) -> Book:
    """Send rounds of requests in parallel and return what was measured of them."""
    book = Book()

    async def run() -> None:
        app = application(book, scale)
        adapter = ASGIAdapter(app)
        await app.startup()
        for first in range(0, rounds * TOGETHER, TOGETHER):
            asked = [
                seen_by_client(adapter, f"/{kind}/{number}", book, number)
                for number in range(first, first + TOGETHER)
            ]
            await asyncio.gather(*asked)
        await app.shutdown()

    asyncio.run(run())
    return book


KINDS = pytest.mark.parametrize("kind", ["async", "sync", "stream"])


@KINDS
def test_every_part_holds_what_its_function_measured_and_no_part_holds_two(kind: str) -> None:
    book = run_schedule(kind, 1, scale=0.001)

    assert len(book.splits) == TOGETHER
    assert len(book.parts) >= 4
    assert min(min(book.errors(name)) for name in book.parts) >= 0
    assert [sum(parts.parts.values()) for parts in book.splits.values()] == pytest.approx(
        [parts.total for parts in book.splits.values()]
    )


@KINDS
def test_the_first_byte_lies_within_what_the_client_waited_for(kind: str) -> None:
    book = run_schedule(kind, 1, scale=0.001)

    bytes_in_time = [
        0 < (book.splits[number].first_byte or 0) < seen for number, seen in book.seen.items()
    ]
    assert bytes_in_time == [True] * TOGETHER


@KINDS
def strict_parts_are_right_within_a_millisecond(kind: str) -> None:
    book = run_schedule(kind, ROUNDS, scale=0.02)

    for name in book.parts:
        errors = book.errors(name)
        worst = quantiles(errors, n=20)[-1]
        within = sum(error < PART_SECONDS for error in errors) / len(errors)
        print(
            f"{kind:<7}{name:<22}{len(errors)} requests, off by {median(errors) * 1e3:.3f} ms "
            f"(median), {worst * 1e3:.3f} ms (95 %), within 1 ms: {within:.1%}",
            file=sys.stderr,
        )
        assert median(errors) < PART_SECONDS
    unseen = book.unseen() if kind != "stream" else unseen_of_streams(book)
    print(f"{kind:<7}the whole: off by {median(unseen) * 1e3:.3f} ms (median)", file=sys.stderr)
    assert abs(median(unseen)) < WHOLE_SECONDS


def unseen_of_streams(book: Book) -> list[float]:
    """Return by how much clients waited longer than until the last byte."""
    return [seen - (book.splits[number].last_byte or 0.0) for number, seen in book.seen.items()]
