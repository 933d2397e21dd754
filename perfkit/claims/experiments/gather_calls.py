"""Ten calls to an upstream, one after another or at the same time, by how long it takes."""

import asyncio
from collections.abc import AsyncIterator

import httpx

from perfkit.claims import LATENCY, Experiment, Operation

CALLS = 10

experiment = Experiment(
    theme="async",
    claims=["O-27", "O-70", "O-104"],
    promises={"O-70": 9},
    question="How much sooner are ten calls answered together than one after another?",
    hypothesis="N calls of 200 ms take about 200 ms: about N times as fast, so 9 times at least "
    "for ten.",
    metric=LATENCY,
    varies={"wait_ms": [0, 10, 50]},
    because="Only waiting overlaps. What the client computes for each call stays one after "
    "another, and where the upstream answers at once there is nothing else.",
    advice="Start calls that do not need one another together, in a TaskGroup, with a limit on "
    "how many; keep one client for all.",
    conditions="httpx with one client, an upstream on this machine that waits as long as asked.",
    precision=0.15,
    budget_s=30,
)


@experiment.before
async def one_after_another(upstream: str, wait_ms: float) -> AsyncIterator[Operation]:
    """Awaits each call before the next."""
    async with httpx.AsyncClient() as client:
        url = f"{upstream}/wait?seconds={wait_ms / 1000}"

        async def ask_all() -> list[httpx.Response]:
            return [await client.get(url) for _ in range(CALLS)]

        yield ask_all


@experiment.after
async def together(upstream: str, wait_ms: float) -> AsyncIterator[Operation]:
    """Awaits all calls at once."""
    async with httpx.AsyncClient() as client:
        url = f"{upstream}/wait?seconds={wait_ms / 1000}"

        async def ask_all() -> list[httpx.Response]:
            return await asyncio.gather(*(client.get(url) for _ in range(CALLS)))

        yield ask_all
