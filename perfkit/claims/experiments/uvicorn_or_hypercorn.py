"""A request served by Hypercorn, or by uvicorn: what the server computes."""

from collections.abc import AsyncIterator

from perfkit.claims import SERVER_CPU, Experiment, Operation
from perfkit.claims.experiments._measured import QUIET, Starts, cpu
from perfkit.claims.experiments._served import SERVED

experiment = Experiment(
    theme="servers",
    claims=["O-17"],
    question="How much less processor time does uvicorn use for a small request than Hypercorn?",
    hypothesis="Hypercorn is a server of high performance, next to uvicorn.",
    metric=SERVER_CPU,
    advice="Take Hypercorn for what it alone has, HTTP/2 and HTTP/3, and uvicorn for the rest.",
    conditions="restmachine's smallest answer over 16 kept connections; the server on one core, "
    "who asks on another. What counts is what the server uses of its core for a request, so that "
    "nothing of the client is in it.",
    matters=0.05,
    precision=0.15,
    budget_s=15,
    isolated=False,
)


@experiment.before
async def hypercorn_server(hypercorn: Starts) -> AsyncIterator[Operation]:
    """Serves with Hypercorn and uvloop."""
    with hypercorn(SERVED, 'worker_class = "uvloop"\nkeep_alive_timeout = 600') as server:
        async for operation in cpu(server):
            yield operation


@experiment.after
async def uvicorn_server(uvicorn: Starts) -> AsyncIterator[Operation]:
    """Serves with uvicorn and uvloop."""
    with uvicorn(SERVED, QUIET) as server:
        async for operation in cpu(server):
            yield operation
