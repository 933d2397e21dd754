"""A request served by Hypercorn, or by uvicorn: what the server computes."""

from collections.abc import AsyncIterator

from perfkit.claims import Experiment, Operation
from perfkit.claims.experiments._measured import OF_A_REQUEST, QUIET, Starts, cpu
from perfkit.claims.experiments._served import SERVED

experiment = Experiment(
    theme="servers",
    claims=["O-17"],
    question="How much less processor time does uvicorn use for a small request than Hypercorn?",
    hypothesis="Hypercorn is a server of high performance, next to uvicorn.",
    advice="Take Hypercorn for what it alone has, HTTP/2 and HTTP/3, and uvicorn for the rest.",
    **OF_A_REQUEST,
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
