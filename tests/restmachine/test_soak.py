"""Requests of every kind leave nothing behind; ``make soak`` watches a million of them."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from statistics import linear_regression
from typing import Any

import psutil
import pytest

from restmachine import NotFound, RestApplication
from restmachine.testing import TestClient

REQUESTS = int(os.environ.get("SOAK_REQUESTS", "1000000"))
SAMPLED_EVERY = 10_000
WARM_UP = 100_000
"""The allocator needs that many requests, threads and caches fewer."""
MAX_GROWTH = 4 * 1024 * 1024
"""Bytes by which resident memory may grow after the warm-up, and by its slope in a million."""
TOGETHER = 50
ROUND = 5_000
ROUTES = 12


def application() -> RestApplication:
    """Return routes that end in each of the ways in which a request can end."""
    app = RestApplication(threads=4)

    @app.dependency()
    async def connection(request_headers: Any) -> AsyncIterator[dict[str, str]]:
        yield {"of": request_headers["X-Number"]}

    @app.dependency()
    def session(request_id: str) -> Iterator[list[str]]:
        yield [request_id]

    @app.resource_exists
    async def item(item_id: str) -> dict[str, str] | None:
        return None if item_id.endswith("absent") else {"id": item_id}

    @app.generate_etag
    async def version(item: dict[str, str]) -> str:
        return "1"

    @app.get("/plain/{number}")
    async def plain(number: str) -> dict[str, str]:
        return {"number": number}

    @app.get("/items/{item_id}")
    async def read(item: dict[str, str]) -> dict[str, str]:
        return item

    @app.get("/error/{number}")
    async def error(number: str, connection: dict[str, str]) -> None:
        raise KeyError(number)

    @app.get("/absent/{number}")
    async def absent(number: str, connection: dict[str, str]) -> None:
        raise NotFound(number)

    @app.get("/generator/{number}")
    async def generator(number: str, connection: dict[str, str]) -> dict[str, str]:
        return connection

    @app.get("/thread/{number}")
    def thread(number: str, session: list[str], connection: dict[str, str]) -> list[str]:
        return [number, *session, *connection.values()]

    @app.get("/stream/{number}")
    async def stream(number: str, connection: dict[str, str]) -> AsyncIterator[str]:
        yield number
        yield number

    @app.post("/posted")
    async def posted(json_body: Any) -> tuple[Any, int]:
        return json_body, 201

    return app


def message(number: int) -> tuple[int, str, str, dict[str, Any]]:
    """Return the expected status, the method, the URL and the rest of one request."""
    fields = {"X-Number": str(number), "X-Request-ID": f"request-{number}"}
    known = {**fields, "If-None-Match": '"1"'}
    status, method, url, rest = (
        (200, "GET", f"/plain/{number}", {}),
        (200, "GET", f"/plain/{number}?page={number}", {}),
        (304, "GET", f"/items/{number}", {"headers": known}),
        (404, "GET", f"/items/{number}-absent", {}),
        (404, "GET", f"/nowhere/{number}", {}),
        (500, "GET", f"/error/{number}", {}),
        (404, "GET", f"/absent/{number}", {}),
        (200, "GET", f"/generator/{number}", {}),
        (200, "GET", f"/thread/{number}", {}),
        (200, "GET", f"/stream/{number}", {}),
        (201, "POST", "/posted", {"json": {"number": number}}),
        (501, f"METHOD{number}", f"/plain/{number}", {}),
    )[number % ROUTES]
    return status, method, url, {"headers": fields, **rest}


async def sent(client: TestClient, numbers: range) -> None:
    """Send requests, `TOGETHER` of them at a time."""

    async def take_turns(waiting: Iterator[int]) -> None:
        for number in waiting:
            status, method, url, rest = message(number)
            answer = await client.request_async(method, url, **rest)
            assert answer.status == status, f"{method} {url} was answered {answer.status}"

    waiting = iter(numbers)
    async with asyncio.TaskGroup() as group:
        for _ in range(TOGETHER):
            group.create_task(take_turns(waiting))


def blocks() -> int:
    """Return how many blocks of memory Python's allocator has handed out."""
    gc.collect()
    return sys.getallocatedblocks()


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Keep errors that are meant out of the log, which pytest holds in memory."""
    caplog.set_level("CRITICAL", logger="restmachine")


def test_requests_leave_no_objects_behind() -> None:
    with TestClient(application()) as client:
        client.run(sent(client, range(ROUND)))
        before = blocks()
        client.run(sent(client, range(ROUND, 2 * ROUND)))
        after = blocks()

    # What one route kept of each request would be ROUND / ROUTES blocks, or more.
    assert after - before < ROUND / ROUTES / 2


def resident_memory(client: TestClient) -> Iterator[tuple[int, int]]:
    """Yield the number of requests sent so far and the bytes of this process, from time to time."""
    process = psutil.Process()
    for first in range(0, REQUESTS, SAMPLED_EVERY):
        last = min(first + SAMPLED_EVERY, REQUESTS)
        client.run(sent(client, range(first, last)))
        resident = process.memory_info().rss
        print(f"{last} requests, {resident / 2**20:.2f} MiB", file=sys.stderr, flush=True)
        yield last, resident


def soak_resident_memory_stays_flat() -> None:
    with TestClient(application()) as client:
        samples = list(islice(resident_memory(client), WARM_UP // SAMPLED_EVERY - 1, None))

    assert len(samples) > 2, f"{REQUESTS} requests are too few: {WARM_UP} only warm up"
    numbers, sizes = zip(*samples, strict=True)
    growth = sizes[-1] - sizes[0]
    slope = linear_regression(numbers, sizes).slope
    print(
        f"after {numbers[0]} requests: {growth / 2**20:+.2f} MiB, {slope:+.3f} bytes a request",
        file=sys.stderr,
    )
    assert growth < MAX_GROWTH
    assert slope * 1_000_000 < MAX_GROWTH
