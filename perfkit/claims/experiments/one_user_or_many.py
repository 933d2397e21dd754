"""A pool that is too small, seen by one user and by many: what a benchmark of one cannot find."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from typing import Any

import httpx

from perfkit.claims import OTHERS_WAIT, Experiment, Operation
from restmachine import ASGIAdapter, RestApplication

QUERY_SECONDS = 0.02
SMALL, LARGE = 2, 20

experiment = Experiment(
    theme="load testing",
    claims=["O-66"],
    question="By how much does a larger pool shorten the longest wait, by the number of users?",
    hypothesis="A suite of load tests finds the bottleneck and says what to do about it.",
    metric=OTHERS_WAIT,
    varies={"users": [1, 20]},
    because="A bottleneck is a queue, and a queue needs more users than places.",
    advice="Measure with as many users at once as there will be, and more: make loadtest raises "
    "the load until the knee and says which resource was waited for. The time of a single "
    "request says nothing about it.",
    conditions=f"restmachine on uvicorn in the process that asks; a query of "
    f"{QUERY_SECONDS * 1000:.0f} ms on one of {SMALL} or {LARGE} connections. Each user asks once.",
    matters=0.25,
    precision=0.3,
    budget_s=20,
)

Served = Callable[[Any], AbstractContextManager[tuple[str, int]]]


@experiment.before
async def small_pool(served: Served, users: int) -> AsyncIterator[Operation]:
    """Has two connections."""
    async for operation in asked(served, SMALL, users):
        yield operation


@experiment.after
async def large_pool(served: Served, users: int) -> AsyncIterator[Operation]:
    """Has as many connections as users."""
    async for operation in asked(served, LARGE, users):
        yield operation


async def asked(served: Served, size: int, users: int) -> AsyncIterator[Operation]:
    """Yield what lets all users ask at once and tells the longest time that one waits."""
    app = RestApplication()
    pool = asyncio.Semaphore(size)

    @app.get("/")
    async def query() -> str:
        async with pool:
            await asyncio.sleep(QUERY_SECONDS)
        return "rows"

    with served(ASGIAdapter(app)) as (host, port):
        async with httpx.AsyncClient(base_url=f"http://{host}:{port}") as client:

            async def wait() -> float:
                started = time.perf_counter()
                await client.get("/")
                return time.perf_counter() - started

            async def longest() -> float:
                return max(await asyncio.gather(*(wait() for _ in range(users))))

            yield longest
