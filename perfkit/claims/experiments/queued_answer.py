"""A queue within the process: how soon the answer is there, and how soon the work is done."""

import asyncio
import time
from collections.abc import AsyncIterator

from perfkit.claims import Experiment, Metric, Operation
from restmachine import ASGIAdapter, RestApplication
from restmachine.testing import TestClient

WORKERS = 10

experiment = Experiment(
    theme="background work",
    claims=["O-50"],
    question="How much sooner does a queue within the process answer?",
    hypothesis="A queue with ten workers takes a job of a second off the answer.",
    metric=Metric("time to the answer", "s", "told"),
    varies={"job_ms": [1, 10, 50]},
    because="The answer waits for nothing but the queue, however long the job is.",
    advice="A queue within the process is for small things that may be lost. It answers sooner; "
    "the work itself is done no sooner.",
    conditions="A request over ASGI in process; jobs sleep, for a twentieth and less of the "
    "second claimed. Each job ends before the next request.",
    precision=0.25,
)


@experiment.before
async def inline(job_ms: float) -> Operation:
    """Awaits the job, then answers."""
    app = RestApplication()

    @app.post("/jobs")
    async def accept() -> tuple[None, int]:
        await asyncio.sleep(job_ms / 1000)
        return None, 202

    client = TestClient(ASGIAdapter(app))

    async def answered() -> float:
        started = time.perf_counter()
        await client.request_async("POST", "/jobs")
        return time.perf_counter() - started

    return answered


@experiment.after
async def queued(job_ms: float) -> AsyncIterator[Operation]:
    """Puts the job into a queue with ten workers, and answers."""
    app, queue = RestApplication(), asyncio.Queue[float]()

    @app.post("/jobs")
    async def accept() -> tuple[None, int]:
        queue.put_nowait(job_ms / 1000)
        return None, 202

    async def work() -> None:
        while True:
            await asyncio.sleep(await queue.get())
            queue.task_done()

    client = TestClient(ASGIAdapter(app))
    workers = [asyncio.create_task(work()) for _ in range(WORKERS)]

    async def answered() -> float:
        started = time.perf_counter()
        await client.request_async("POST", "/jobs")
        elapsed = time.perf_counter() - started
        await queue.join()
        return elapsed

    yield answered
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
