"""One worker for each core, or two to four: requests that compute, on this machine."""

import os
from collections.abc import AsyncIterator

from perfkit.claims import THROUGHPUT, Experiment, Operation
from perfkit.claims.experiments._measured import QUIET, Starts, throughput
from perfkit.claims.experiments._served import SERVED

CONNECTIONS = 32

CORES = os.cpu_count() or 1

experiment = Experiment(
    theme="servers",
    claims=["O-112"],
    question="What do two workers for each core serve more than one for each?",
    hypothesis="Two to four workers for each core are right for async code.",
    metric=THROUGHPUT,
    advice="Begin with one worker for each core that is left for it, and measure. More of them "
    "share the same cores, and each costs its own memory, pools and caches.",
    conditions=f"{CONNECTIONS} kept connections from a client that shares the cores of this "
    "machine with the servers. A request computes for a millisecond.",
    matters=0.1,
    precision=0.25,
    budget_s=30,
    isolated=False,
)


@experiment.before
async def one_for_each_core(uvicorn: Starts) -> AsyncIterator[Operation]:
    """Serves with as many processes as there are cores."""
    async for operation in serving(uvicorn, CORES):
        yield operation


@experiment.after
async def two_for_each_core(uvicorn: Starts) -> AsyncIterator[Operation]:
    """Serves with twice as many."""
    async for operation in serving(uvicorn, 2 * CORES):
        yield operation


async def serving(uvicorn: Starts, workers: int) -> AsyncIterator[Operation]:
    """Yield what asks so many workers, once all of them serve."""
    options = f"--workers {workers} {QUIET}"
    with uvicorn(SERVED, options, apart=False) as server:
        if workers > 1:
            list(server.each_worker(workers))
        async for operation in throughput(server, "/compute", connections=CONNECTIONS, requests=64):
            yield operation
