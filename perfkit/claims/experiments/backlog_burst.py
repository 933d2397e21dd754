"""A burst of connections to a server that is busy: how many are established at once."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager

from perfkit.claims import Experiment, Metric, Operation
from perfkit.claims.launching import Launched
from restmachine import ASGIAdapter, RestApplication

CLIENTS = 500
BUSY_SECONDS, PATIENCE_SECONDS = 0.6, 0.4

experiment = Experiment(
    theme="servers",
    claims=["O-15"],
    question=f"How many of {CLIENTS} connections in a burst are established at once?",
    hypothesis="A backlog of 2048 instead of 128 keeps connections from failing.",
    metric=Metric("connections at once", "connections", "count", higher_is_better=True),
    advice="Leave the backlog at 2048, uvicorn's default; the flag changes nothing. Linux caps it "
    "at net.core.somaxconn without a word, so raise that first if you need more. What waits there "
    "is not served sooner.",
    conditions=f"The event loop of the server is blocked for {BUSY_SECONDS} s, so that it accepts "
    f"nothing; what counts are connections that are established within {PATIENCE_SECONDS} s. "
    "On Linux the others are not refused: the client tries again after a second.",
    isolated=False,
    alone=True,
)

application = RestApplication(blocking=False)
app = ASGIAdapter(application)
Uvicorn = Callable[..., AbstractContextManager[Launched]]


@application.get("/block")
def block() -> str:
    """Keep the event loop busy."""
    time.sleep(BUSY_SECONDS)
    return "done"


@experiment.before
async def backlog_of_128(uvicorn: Uvicorn) -> AsyncIterator[Operation]:
    """Lets 128 connections wait."""
    async for operation in burst(uvicorn, "--backlog 128"):
        yield operation


@experiment.after
async def backlog_of_2048(uvicorn: Uvicorn) -> AsyncIterator[Operation]:
    """Lets 2048 connections wait, or as many as the system allows."""
    async for operation in burst(uvicorn, "--backlog 2048"):
        yield operation


async def burst(uvicorn: Uvicorn, option: str) -> AsyncIterator[Operation]:
    """Yield what connects many times at once and returns how many are there in time."""
    with uvicorn(__file__, f"{option} --log-level error --no-access-log") as server:

        async def in_time() -> int:
            reader, writer = await asyncio.open_connection(server.host, server.port)
            writer.write(b"GET /block HTTP/1.1\r\nHost: x\r\n\r\n")
            await asyncio.sleep(0.05)
            early = await asyncio.gather(*(established(server) for _ in range(CLIENTS)))
            await reader.readline()
            writer.close()
            return sum(early)

        yield in_time


async def established(server: Launched) -> bool:
    """Return whether a connection is established in time."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            _, writer = await asyncio.open_connection(server.host, server.port)
    except (TimeoutError, OSError):
        return False
    writer.close()
    return True
