"""Two workers under gunicorn, or under uvicorn: what all of them compute."""

from collections.abc import AsyncIterator

from perfkit.claims import SERVER_CPU, Experiment, Operation
from perfkit.claims.experiments._measured import QUIET, Starts, cpu
from perfkit.claims.experiments._served import SERVED

CONNECTIONS, REQUESTS = 64, 1600

experiment = Experiment(
    theme="servers",
    claims=["O-113"],
    question="What does a request cost with uvicorn's worker under gunicorn, against uvicorn "
    "alone?",
    hypothesis="gunicorn with uvicorn's worker is the better way to run in production.",
    metric=SERVER_CPU,
    advice="uvicorn starts, watches and replaces workers itself. Take gunicorn for what it alone "
    "has, such as hooks, with the class of the package uvicorn-worker; uvicorn's own class is "
    "deprecated.",
    conditions="restmachine's smallest answer over 64 kept connections; the two workers on one "
    "core, who asks on another. What counts is what the server uses of its core for a request, so "
    "that nothing of the client is in it.",
    matters=0.1,
    precision=0.15,
    budget_s=45,
    isolated=False,
)


@experiment.before
async def uvicorn_supervises(uvicorn: Starts) -> AsyncIterator[Operation]:
    """Lets uvicorn supervise."""
    with uvicorn(SERVED, f"--workers 2 {QUIET}") as server:
        async for operation in cpu(server, connections=CONNECTIONS, requests=REQUESTS):
            yield operation


@experiment.after
async def gunicorn_supervises(gunicorn: Starts) -> AsyncIterator[Operation]:
    """Lets gunicorn supervise."""
    with gunicorn(SERVED, "--workers 2 --keep-alive 600") as server:
        async for operation in cpu(server, connections=CONNECTIONS, requests=REQUESTS):
            yield operation
