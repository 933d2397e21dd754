"""A bounded queue that is full: to wait for a place within the request, or to say 503."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from perfkit.claims import Experiment, Metric, Operation
from restmachine import ASGIAdapter, RestApplication
from restmachine.testing import TestClient

REQUESTS, PLACES, WORKERS, JOB_SECONDS = 100, 10, 5, 0.005

experiment = Experiment(
    theme="background work",
    claims=["O-51"],
    question="How long does the last client wait for its answer when the queue is full?",
    hypothesis="A bounded queue gives back-pressure.",
    metric=Metric("longest time to an answer", "s", "told"),
    hazard="Waiting for a place happens within the request: the answer that only says that the "
    "job was taken comes as late as the jobs before it are done. Clients run into their "
    "timeouts and send it again, which makes the queue longer.",
    advice="Take a job only if there is a place, and answer 503 with Retry-After when there is "
    "none: the client knows at once, and can slow down.",
    conditions="A hundred requests at once over ASGI in process, ten places, five workers, jobs "
    "of 5 ms. The refused ones are answered 503, and their jobs are not done.",
    precision=0.3,
)


@experiment.before
async def waits_for_a_place() -> AsyncIterator[Operation]:
    """Awaits put within the request."""
    queue = asyncio.Queue[int](PLACES)

    async def accept() -> tuple[None, int]:
        await queue.put(1)
        return None, 202

    async for operation in offering(accept, queue):
        yield operation


@experiment.after
async def refuses() -> AsyncIterator[Operation]:
    """Answers 503 when there is no place."""
    queue = asyncio.Queue[int](PLACES)

    async def accept() -> tuple[None, int] | tuple[None, int, dict[str, str]]:
        try:
            queue.put_nowait(1)
        except asyncio.QueueFull:
            return None, 503, {"Retry-After": "1"}
        return None, 202

    async for operation in offering(accept, queue):
        yield operation


async def offering(
    accept: Callable[[], Awaitable[object]], queue: asyncio.Queue[int]
) -> AsyncIterator[Operation]:
    """Yield what offers all jobs at once and tells when the last request was answered."""
    app = RestApplication()
    app.post("/jobs")(accept)
    client = TestClient(ASGIAdapter(app))

    async def work() -> None:
        while True:
            await queue.get()
            await asyncio.sleep(JOB_SECONDS)
            queue.task_done()

    workers = [asyncio.create_task(work()) for _ in range(WORKERS)]

    async def longest() -> float:
        started = time.perf_counter()
        await asyncio.gather(*(client.request_async("POST", "/jobs") for _ in range(REQUESTS)))
        elapsed = time.perf_counter() - started
        await queue.join()
        return elapsed

    yield longest
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
