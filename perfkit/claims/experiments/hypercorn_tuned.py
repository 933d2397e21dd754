"""Hypercorn as it comes, or with four workers, uvloop and a log: what a request costs."""

from collections.abc import AsyncIterator

from perfkit.claims import SERVER_CPU, Experiment, Operation
from perfkit.claims.experiments._measured import Starts, cpu
from perfkit.claims.experiments._served import SERVED

KEPT = "keep_alive_timeout = 600\n"
TUNED = """
workers = 4
worker_class = "uvloop"
graceful_timeout = 10
backlog = 2048
h11_max_incomplete_size = 16384
accesslog = "-"
errorlog = "-"
loglevel = "warning"
"""

experiment = Experiment(
    theme="servers",
    claims=["O-17"],
    question="What do the settings save of the processor time that Hypercorn uses for a request?",
    hypothesis="Hypercorn serves faster with four workers, uvloop and tuned limits.",
    metric=SERVER_CPU,
    advice="Set worker_class to uvloop, a worker for each core, and no access log; the other "
    "settings of the list are about safety, not speed.",
    conditions="restmachine's smallest answer over 64 kept connections; all workers on one core, "
    "who asks on another: four of them serve more on several cores, as workers of any server do, "
    "and here their settings are looked at. Connections are kept for longer in all variants, as "
    "they are idle while others are measured.",
    matters=0.1,
    precision=0.25,
    budget_s=30,
)


@experiment.before
async def defaults(hypercorn: Starts) -> AsyncIterator[Operation]:
    """Leaves everything as it is."""
    async for operation in serving(hypercorn, ""):
        yield operation


@experiment.after
async def tuned(hypercorn: Starts) -> AsyncIterator[Operation]:
    """Takes the settings of the list."""
    async for operation in serving(hypercorn, TUNED):
        yield operation


@experiment.beside
async def uvloop_alone(hypercorn: Starts) -> AsyncIterator[Operation]:
    """Takes uvloop and nothing else."""
    async for operation in serving(hypercorn, 'worker_class = "uvloop"'):
        yield operation


async def serving(hypercorn: Starts, settings: str) -> AsyncIterator[Operation]:
    """Yield what asks Hypercorn with these settings."""
    with hypercorn(SERVED, KEPT + settings) as server:
        async for operation in cpu(server, connections=64, requests=320):
            yield operation
