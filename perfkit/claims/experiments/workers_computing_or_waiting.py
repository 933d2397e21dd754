"""One worker, or four, for requests that compute and for requests that wait, on this machine."""

from collections.abc import AsyncIterator

from perfkit.claims import THROUGHPUT, Experiment, Operation
from perfkit.claims.experiments._measured import QUIET, Starts, throughput
from perfkit.claims.experiments._served import SERVED

CONNECTIONS = 32

experiment = Experiment(
    theme="servers",
    claims=["O-10"],
    question="What do four workers serve more than one?",
    hypothesis="Four workers serve more requests than one.",
    metric=THROUGHPUT,
    varies={"request": ["compute", "wait"]},
    because="One process computes on one core at a time; but it waits for as many things at once "
    "as there are requests.",
    advice="Take a worker for each core, for what computes. What waits gains nothing from more "
    "processes, and each has its own pools, caches and memory.",
    conditions=f"{CONNECTIONS} kept connections from a client of one core, which the servers share "
    "with it: both cores are theirs. A request computes for a millisecond, or waits for 20.",
    matters=0.1,
    precision=0.25,
    budget_s=30,
)


@experiment.before
async def one_worker(uvicorn: Starts, request: str) -> AsyncIterator[Operation]:
    """Serves with one process."""
    async for operation in serving(uvicorn, 1, request):
        yield operation


@experiment.after
async def four_workers(uvicorn: Starts, request: str) -> AsyncIterator[Operation]:
    """Serves with four processes."""
    async for operation in serving(uvicorn, 4, request):
        yield operation


async def serving(uvicorn: Starts, workers: int, path: str) -> AsyncIterator[Operation]:
    """Yield what asks so many workers, once all of them serve."""
    options = f"--workers {workers} {QUIET}"
    with uvicorn(SERVED, options, apart=False) as server:
        if workers > 1:
            list(server.each_worker(workers))
        async for operation in throughput(server, f"/{path}", connections=CONNECTIONS, requests=64):
            yield operation
