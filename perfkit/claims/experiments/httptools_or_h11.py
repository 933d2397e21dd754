"""A request parsed by httptools, or by h11: what the server computes."""

from collections.abc import AsyncIterator

from perfkit.claims import Experiment, Operation
from perfkit.claims.experiments._measured import OF_A_REQUEST, QUIET, Starts, cpu
from perfkit.claims.experiments._served import SERVED

experiment = Experiment(
    theme="servers",
    claims=["O-12"],
    question="What does httptools save of the processor time of a small request?",
    hypothesis="With the parser httptools a server answers more requests than with h11.",
    advice="Install httptools; uvicorn takes it by itself. h11 is stricter and written in Python: "
    "where a few thousand requests a second are enough, it is no mistake.",
    **OF_A_REQUEST,
)


@experiment.before
async def parser_h11(uvicorn: Starts) -> AsyncIterator[Operation]:
    """Parses with h11."""
    with uvicorn(SERVED, f"--http h11 {QUIET}") as server:
        async for operation in cpu(server):
            yield operation


@experiment.after
async def parser_httptools(uvicorn: Starts) -> AsyncIterator[Operation]:
    """Parses with httptools."""
    with uvicorn(SERVED, f"--http httptools {QUIET}") as server:
        async for operation in cpu(server):
            yield operation
