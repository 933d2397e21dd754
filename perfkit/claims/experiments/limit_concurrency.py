"""A limit on concurrent requests: so large that it never holds, or sized for one core."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager

from perfkit.claims import Experiment, Metric, Operation
from perfkit.claims.asking import statuses
from perfkit.claims.launching import Launched
from restmachine import ASGIAdapter, RestApplication

CLIENTS, SIZED = 200, 20

experiment = Experiment(
    theme="servers",
    claims=["O-14"],
    question=f"How many of {CLIENTS} requests at once does a limit of 1000 let in?",
    hypothesis="--limit-concurrency 1000 protects a server from too much at once.",
    metric=Metric("requests at once", "requests", "count"),
    advice="Find the number of requests under way at which more of them only wait, the knee, and "
    "limit there: a 503 is worth more than an answer that comes too late. Limit in the "
    "application or the proxy: uvicorn counts connections, and while more of them are open than "
    "the limit it refuses every request, health probes too, and not only those beyond it.",
    conditions="One worker; each request waits for a quarter of a second, so that all are under "
    f"way together. What counts is how many were. The third way limits to {SIZED}.",
    isolated=False,
    alone=True,
)

application = RestApplication(blocking=False)
app = ASGIAdapter(application)
under_way: set[object] = set()
most = 0

Uvicorn = Callable[..., AbstractContextManager[Launched]]


@application.get("/wait")
async def wait() -> str:
    """Wait, and notice how many others do."""
    global most
    request = object()
    under_way.add(request)
    most = max(most, len(under_way))
    await asyncio.sleep(0.25)
    under_way.discard(request)
    return "done"


@application.get("/most")
def highest() -> str:
    """Answer with the most that were under way together."""
    return str(most)


@experiment.before
async def without_limit(uvicorn: Uvicorn) -> AsyncIterator[Operation]:
    """Sets no limit."""
    async for operation in burst(uvicorn, ""):
        yield operation


@experiment.after
async def limit_of_1000(uvicorn: Uvicorn) -> AsyncIterator[Operation]:
    """Sets the limit of 1000."""
    async for operation in burst(uvicorn, "--limit-concurrency 1000"):
        yield operation


@experiment.beside
async def limit_sized(uvicorn: Uvicorn) -> AsyncIterator[Operation]:
    """Sets a limit that holds: with more connections open than that, uvicorn refuses all."""
    async for operation in burst(uvicorn, f"--limit-concurrency {SIZED}"):
        yield operation


async def burst(uvicorn: Uvicorn, option: str) -> AsyncIterator[Operation]:
    """Yield what sends the requests at once and returns how many were under way together."""
    with uvicorn(__file__, f"{option} --log-level critical --no-access-log") as server:

        async def at_once() -> int:
            await statuses(server.port, "/wait", CLIENTS)
            return int(server.get("/most"))

        yield at_once
