"""A line in the access log for each request, or none: what the server computes."""

from collections.abc import AsyncIterator

from perfkit.claims import SERVER_CPU, Experiment, Operation
from perfkit.claims.experiments._measured import KEPT, Starts, cpu
from perfkit.claims.experiments._served import SERVED

experiment = Experiment(
    theme="servers",
    claims=["O-13"],
    question="What does the access log cost of the processor time of a small request?",
    hypothesis="Without the access log a server answers more requests.",
    metric=SERVER_CPU,
    advice="The level warning already silences the access log; --no-access-log adds nothing to it. "
    "Without either have the proxy write the log: who asked for what is needed one day.",
    conditions="The log goes to a file. restmachine's smallest answer over 16 kept connections; "
    "uvicorn on one core, who asks on another. What counts is what the server uses of its core "
    "for a request.",
    matters=0.05,
    precision=0.15,
    budget_s=15,
    isolated=False,
)


@experiment.before
async def with_access_log(uvicorn: Starts) -> AsyncIterator[Operation]:
    """Writes a line for each request."""
    with uvicorn(SERVED, KEPT) as server:
        async for operation in cpu(server):
            yield operation


@experiment.after
async def without_access_log(uvicorn: Starts) -> AsyncIterator[Operation]:
    """Switches the access log off."""
    with uvicorn(SERVED, f"--no-access-log {KEPT}") as server:
        async for operation in cpu(server):
            yield operation


@experiment.beside
async def level_warning(uvicorn: Starts) -> AsyncIterator[Operation]:
    """Lets the level silence it."""
    with uvicorn(SERVED, f"--log-level warning {KEPT}") as server:
        async for operation in cpu(server):
            yield operation
