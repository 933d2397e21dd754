"""A request on uvloop, or on the event loop of asyncio: what the server computes."""

from collections.abc import AsyncIterator

from perfkit.claims import Experiment, Operation
from perfkit.claims.experiments._measured import OF_A_REQUEST, QUIET, Starts, cpu
from perfkit.claims.experiments._served import SERVED

experiment = Experiment(
    theme="servers",
    claims=["O-11"],
    question="What does uvloop save of the processor time of a small request?",
    hypothesis="On uvloop a server answers more requests than on asyncio's loop.",
    advice="Install uvloop; uvicorn takes it by itself. What your handler does is not made faster.",
    **OF_A_REQUEST,
)


@experiment.before
async def asyncio_loop(uvicorn: Starts) -> AsyncIterator[Operation]:
    """Serves on asyncio's own loop."""
    with uvicorn(SERVED, f"--loop asyncio {QUIET}") as server:
        async for operation in cpu(server):
            yield operation


@experiment.after
async def uvloop_loop(uvicorn: Starts) -> AsyncIterator[Operation]:
    """Serves on uvloop."""
    with uvicorn(SERVED, f"--loop uvloop {QUIET}") as server:
        async for operation in cpu(server):
            yield operation
