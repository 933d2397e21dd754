"""Resident memory before and after a request, while another request allocates."""

import asyncio
import mmap
from collections.abc import Awaitable, Callable

import psutil

from perfkit.claims import ERRORS, Experiment, Operation
from perfkit.memory import MemorySampler, RequestMemory, attach
from restmachine import RestApplication
from restmachine.testing import TestClient

PAIRS, MIB = 5, 2**20

experiment = Experiment(
    theme="monitoring",
    claims=["O-74"],
    question="How many of five requests that only wait are blamed for the memory of others?",
    hypothesis="Resident memory before and after a call is what the call used.",
    metric=ERRORS,
    hazard="Resident memory belongs to the process: whatever other requests allocate meanwhile "
    "is told as that of the one which waited.",
    advice="Ask the allocator, not the process, and only while the request itself runs: perfkit "
    "samples one request at a time, step by step.",
    conditions="Five times two requests at once: one only waits, the other holds 8 MiB meanwhile. "
    "What is counted are the waiting ones of which more than 1 MiB is told.",
)

Handler = Callable[[], Awaitable[str]]


async def waiting() -> str:
    """Wait, and allocate nothing."""
    await asyncio.sleep(0.005)
    return "done"


async def hungry() -> str:
    """Hold 8 MiB for longer than the other request takes."""
    # Not from the heap, which would keep the pages for the next time.
    with mmap.mmap(-1, 8 * MIB) as held:
        held.write(bytes(8 * MIB))
        await asyncio.sleep(0.01)
    return "done"


@experiment.before
async def of_the_process() -> Operation:
    """Takes the resident memory of the process before and after."""
    told: list[int] = []

    async def monitored() -> str:
        before = psutil.Process().memory_info().rss
        try:
            return await waiting()
        finally:
            told.append(psutil.Process().memory_info().rss - before)

    app = application(monitored)
    return lambda: blamed(app, told)


@experiment.after
async def of_the_request() -> Operation:
    """Has perfkit follow the allocations of the request."""
    told: list[int] = []

    def keep(sample: RequestMemory) -> None:
        told.append(sample.peak_bytes)

    app = application(waiting)
    attach(app, MemorySampler(0, routes=["/waiting"], share=1, on_sample=keep))
    return lambda: blamed(app, told)


def application(handler: Handler) -> RestApplication:
    """Have a route that waits and one that allocates."""
    app = RestApplication()
    app.get("/waiting")(handler)
    app.get("/hungry")(hungry)
    return app


async def blamed(app: RestApplication, told: list[int]) -> int:
    """Ask both routes at once, five times, and return how often the memory was the other's."""
    told.clear()
    client = TestClient(app)
    for _ in range(PAIRS):
        paths = ("/waiting", "/hungry")
        await asyncio.gather(*(client.request_async("GET", path) for path in paths))
    await asyncio.sleep(0)
    assert len(told) == PAIRS
    return sum(size > MIB for size in told)
