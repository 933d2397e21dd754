"""Stopping a queue of jobs: workers that look at a flag leave what is still in the queue."""

import asyncio
from collections.abc import Awaitable, Callable

from perfkit.claims import Experiment, Metric, Operation

JOBS, WORKERS = 50, 10
PATIENCE_SECONDS = 0.2

experiment = Experiment(
    theme="background work",
    claims=["O-50"],
    question="How many of fifty queued jobs are lost when the queue is stopped?",
    hypothesis="stop() ends the workers once the queue is empty.",
    metric=Metric("jobs lost", "jobs", "count"),
    hazard="The flag is cleared before the queue is waited for: each worker ends after the job in "
    "its hands, nobody takes the rest, and waiting for the queue never ends. Whoever loses "
    "patience and kills the process loses the jobs.",
    advice="Refuse new jobs, wait for the queue with a limit, then cancel the workers, in this "
    "order; and say how many jobs were left.",
    conditions=f"Ten workers, fifty jobs of a millisecond; after {PATIENCE_SECONDS:g} s the "
    "process is taken to be killed. All fifty would take a fortieth of that.",
)


@experiment.before
def flag_first() -> Operation:
    """Clears the flag, then waits for the queue."""
    return lambda: lost_jobs(lambda queue: stopped(queue, clear_first=True))


@experiment.after
def queue_first() -> Operation:
    """Waits for the queue, then clears the flag."""
    return lambda: lost_jobs(lambda queue: stopped(queue, clear_first=False))


class JobQueue:
    """A queue with workers, as long as *running* says so."""

    def __init__(self) -> None:
        self.jobs = asyncio.Queue[int]()
        self.running = True
        self.done = 0

    async def work(self) -> None:
        """Take one job after another."""
        while self.running:
            await self.jobs.get()
            await asyncio.sleep(0.001)
            self.done += 1
            self.jobs.task_done()


async def stopped(queue: JobQueue, *, clear_first: bool) -> None:
    """Stop the queue."""
    if clear_first:
        queue.running = False
    await queue.jobs.join()
    queue.running = False


async def lost_jobs(stop: Callable[[JobQueue], Awaitable[None]]) -> int:
    """Queue all jobs, stop with so much patience, and return how many were not done."""
    queue = JobQueue()
    for job in range(JOBS):
        queue.jobs.put_nowait(job)
    workers = [asyncio.create_task(queue.work()) for _ in range(WORKERS)]
    await asyncio.sleep(0)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await stop(queue)
    except TimeoutError:
        pass
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    return JOBS - queue.done
