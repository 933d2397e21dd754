"""Many requests that each ask an upstream: in worker threads, or all on the event loop."""

import asyncio
from collections.abc import AsyncIterator, Callable

import httpx

from perfkit.claims import LATENCY, Experiment, Operation
from restmachine import ASGIAdapter, RestApplication
from restmachine.testing import TestClient

experiment = Experiment(
    theme="async",
    claims=["O-37"],
    question="How much sooner are requests answered that await their upstream?",
    hypothesis="Synchronous calls block a worker; async ones do not.",
    metric=LATENCY,
    varies={"at_once": [4, 50]},
    because="restmachine runs what is not async in eight threads. As long as a thread is free it "
    "makes no difference, and an async client even costs a little more; then the requests wait "
    "for one another.",
    advice="Await the upstream where many requests wait at the same time. A sync client in a "
    "handler without async is fine below the number of threads; in an async handler it stops "
    "everyone.",
    conditions="So many requests at once in process, each of which asks an upstream on this "
    "machine that answers after 20 ms; httpx, one client for all. Measured until all are answered.",
    matters=0.1,
    precision=0.2,
    budget_s=20,
)


@experiment.before
async def in_threads(upstream: str, at_once: int) -> AsyncIterator[Operation]:
    """Asks with a sync client, in a handler that runs in a thread."""
    with httpx.Client(limits=httpx.Limits(max_connections=50)) as client:

        def handler() -> str:
            return client.get(f"{upstream}/wait?seconds=0.02").text

        yield asking(handler, at_once)


@experiment.after
async def awaited(upstream: str, at_once: int) -> AsyncIterator[Operation]:
    """Asks with an async client, in an async handler."""
    async with httpx.AsyncClient(limits=httpx.Limits(max_connections=50)) as client:

        async def handler() -> str:
            return (await client.get(f"{upstream}/wait?seconds=0.02")).text

        yield asking(handler, at_once)


def asking(handler: Callable[[], object], at_once: int) -> Operation:
    """Return what has so many requests answered at once."""
    app = RestApplication()
    app.get("/")(handler)
    client = TestClient(ASGIAdapter(app))

    async def ask_all() -> None:
        await asyncio.gather(*(client.request_async("GET", "/") for _ in range(at_once)))

    return ask_all
