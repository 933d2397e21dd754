"""One worker for each core of the server, or two: what a request costs."""

import os
from collections.abc import AsyncIterator

from perfkit.claims import SERVER_CPU, Experiment, Operation
from perfkit.claims.experiments._measured import QUIET, Starts, cpu
from perfkit.claims.experiments._served import SERVED

CONNECTIONS, REQUESTS = 32, 128
CORES = max(1, (os.cpu_count() or 1) - 1)
"""Of the server: who asks has one for itself."""

experiment = Experiment(
    theme="servers",
    claims=["O-112"],
    question="Does a request cost less when there are two workers for each core instead of one?",
    hypothesis="Two to four workers for each core are right for async code.",
    metric=SERVER_CPU,
    advice="Begin with one worker for each core that is left for it, and measure. More of them "
    "share the same cores, and each costs its own memory, pools and caches.",
    conditions=f"{CONNECTIONS} kept connections from a client that has a core for itself; the "
    "server has all the others, on a machine of two cores one, and keeps them busy. A request "
    "computes for a millisecond. The less it uses of the cores, the more of them are served.",
    matters=0.1,
    precision=0.25,
    budget_s=40,
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
    with uvicorn(SERVED, options) as server:
        if workers > 1:
            list(server.each_worker(workers))
        async for operation in cpu(server, "/compute", connections=CONNECTIONS, requests=REQUESTS):
            yield operation
