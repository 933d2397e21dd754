"""Many requests that each ask an upstream: in worker threads, or all on the event loop."""

import asyncio
from collections.abc import AsyncIterator, Callable
from urllib.parse import urlsplit

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
    varies={"at_once": [4, 30]},
    because="restmachine runs what is not async in eight threads, and more requests wait for one "
    "another there. httpx's async client waits for nobody but looks through all its connections "
    "each time that it begins or ends a request, so many at once cost it more than the threads "
    "wait.",
    advice="A sync client in a handler without async is fine up to the number of threads. For "
    "many calls at once await them, and measure the client: what is gained by awaiting is soon "
    "lost by the library. Never call a sync client in an async handler.",
    conditions="So many requests at once in process, each of which asks an upstream on this "
    "machine that answers after 20 ms; httpx with one client for all, all on "
    "one core. Measured until all are answered.",
    matters=0.1,
    precision=0.3,
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


@experiment.beside
async def awaited_without_httpx(upstream: str, at_once: int) -> Operation:
    """Asks over a plain connection of asyncio's own, a new one each time."""
    url = urlsplit(upstream)

    async def handler() -> str:
        reader, writer = await asyncio.open_connection(url.hostname, url.port)
        writer.write(b"GET /wait?seconds=0.02 HTTP/1.1\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        content = await reader.readexactly(2)
        writer.close()
        await writer.wait_closed()
        return content.decode()

    return asking(handler, at_once)


def asking(handler: Callable[[], object], at_once: int) -> Operation:
    """Return what has so many requests answered at once."""
    app = RestApplication()
    app.get("/")(handler)
    client = TestClient(ASGIAdapter(app))

    async def ask_all() -> None:
        await asyncio.gather(*(client.request_async("GET", "/") for _ in range(at_once)))

    return ask_all
