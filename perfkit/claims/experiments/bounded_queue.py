"""More jobs than the workers can do: what bounding the queue does for memory."""

import asyncio
from collections.abc import Callable, Coroutine

from perfkit.claims import PEAK_MEMORY, Experiment, Operation

JOBS, PLACES, CONTENT_BYTES = 2000, 100, 1000

Offer = Callable[[asyncio.Queue[bytes], bytes], Coroutine[None, None, None]]

experiment = Experiment(
    theme="background work",
    claims=["O-51"],
    promised=2,
    question="Does a bounded queue keep memory in check when too many jobs come?",
    hypothesis="A queue of a bounded size holds no more than that; here a twentieth of the jobs, "
    "so let memory be half at most.",
    metric=PEAK_MEMORY,
    advice="A bound alone only moves the jobs: from the queue into the requests that wait for it, "
    "which hold more each than a job. Refuse what finds no place.",
    conditions="2000 jobs of a kilobyte at once, of which none is done meanwhile, each offered by "
    "a task as a request would; a hundred places. What Python allocated at the peak.",
    precision=0.25,
)


@experiment.before
def unbounded() -> Operation:
    """Takes every job."""
    return lambda: overloaded(asyncio.Queue(), taken)


@experiment.after
def bounded() -> Operation:
    """Lets each request wait for a place."""
    return lambda: overloaded(asyncio.Queue(PLACES), taken)


@experiment.beside
def refusing() -> Operation:
    """Refuses what finds no place."""
    return lambda: overloaded(asyncio.Queue(PLACES), taken_or_refused)


async def taken(queue: asyncio.Queue[bytes], job: bytes) -> None:
    """Put a job into the queue, once there is a place."""
    await queue.put(job)


async def taken_or_refused(queue: asyncio.Queue[bytes], job: bytes) -> None:
    """Put a job into the queue if there is a place."""
    if not queue.full():
        queue.put_nowait(job)


async def overloaded(queue: asyncio.Queue[bytes], offer: Offer) -> None:
    """Let one request after another offer its job while nobody takes any."""
    requests: set[asyncio.Task[None]] = set()
    for number in range(JOBS):
        request = asyncio.create_task(offer(queue, number.to_bytes(CONTENT_BYTES)))
        requests.add(request)
        request.add_done_callback(requests.discard)
        await asyncio.sleep(0)
    while not queue.empty():
        queue.get_nowait()
        await asyncio.sleep(0)
    await asyncio.gather(*requests)
