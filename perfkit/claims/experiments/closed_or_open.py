"""A server that stands still for a moment, seen by users who wait and by arrivals that do not."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from typing import Any

import httpx

from perfkit.claims import Experiment, Metric, Operation
from restmachine import ASGIAdapter, RestApplication

USERS, RATE, SECONDS = 4, 100, 0.3
PAUSE_SECONDS, LATE_SECONDS = 0.2, 0.03

experiment = Experiment(
    theme="load testing",
    claims=["O-118"],
    question="How many slow answers does a test see while the server stands still for a moment?",
    hypothesis="Users who wait between their requests show what the users of a server live "
    "through.",
    metric=Metric("slow answers seen", "answers", "count", higher_is_better=True),
    advice="Let requests begin when they are due, at a rate, and count the time from there: users "
    "of a browser do not agree to wait for each other. A test whose users wait for an answer "
    "before they ask again asks nothing while the server stands still, and reports a few slow "
    "answers where real traffic would have had many.",
    conditions=f"For {SECONDS} s, {RATE} requests a second or {USERS} users who together ask as "
    f"often; the server stands still for {PAUSE_SECONDS} s once. Slow is more than "
    f"{LATE_SECONDS * 1000:.0f} ms from when a request was due.",
    promised=2,
    budget_s=20,
    precision=0.5,
    alone=True,
)

Served = Callable[[Any], AbstractContextManager[tuple[str, int]]]


@experiment.before
async def users_who_wait(served: Served) -> AsyncIterator[Operation]:
    """Has some users who ask, wait for the answer, pause, and ask again."""

    async def test(client: httpx.AsyncClient, begin: float) -> int:
        async def user() -> int:
            late = 0
            while time.perf_counter() < begin + SECONDS:
                late += await slow(client, time.perf_counter())
                await asyncio.sleep(USERS / RATE)
            return late

        return sum(await asyncio.gather(*(user() for _ in range(USERS))))

    async for operation in testing(served, test):
        yield operation


@experiment.after
async def arrivals(served: Served) -> AsyncIterator[Operation]:
    """Begins each request when it is due, whatever became of the others."""

    async def test(client: httpx.AsyncClient, begin: float) -> int:
        async def arrival(due: float) -> int:
            await asyncio.sleep(due - time.perf_counter())
            return await slow(client, due)

        moments = [begin + number / RATE for number in range(round(SECONDS * RATE))]
        return sum(await asyncio.gather(*(arrival(due) for due in moments)))

    async for operation in testing(served, test):
        yield operation


async def slow(client: httpx.AsyncClient, due: float) -> bool:
    """Ask once and return whether the answer was late."""
    await client.get("/")
    return time.perf_counter() - due > LATE_SECONDS


async def testing(
    served: Served, test: Callable[[httpx.AsyncClient, float], Any]
) -> AsyncIterator[Operation]:
    """Yield what runs a test, in the middle of which the server stands still."""
    app = RestApplication(blocking=False)
    app.get("/")(lambda: "hello")

    @app.get("/pause")
    def pause() -> str:
        time.sleep(PAUSE_SECONDS)
        return "over"

    with served(ASGIAdapter(app)) as (host, port):
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=f"http://{host}:{port}", limits=limits) as client:

            async def seen() -> int:
                begin = time.perf_counter()

                async def pausing() -> None:
                    await asyncio.sleep(SECONDS / 4)
                    await client.get("/pause", timeout=10)

                late, _ = await asyncio.gather(test(client, begin), pausing())
                return int(late)

            yield seen
