"""What several experiments on servers serve: one process of it is one worker."""

import asyncio
import os
import sys

from restmachine import ASGIAdapter, RestApplication

SERVED = __file__
WAIT_SECONDS = 0.02

application = RestApplication(blocking=False)
app = ASGIAdapter(application)


@application.get("/")
def hello() -> dict[str, str]:
    """Answer with next to nothing."""
    return {"hello": "world"}


@application.get("/compute")
def compute() -> dict[str, int]:
    """Compute, for a millisecond or two."""
    return {"sum": sum(number * number for number in range(15_000))}


@application.get("/wait")
async def wait() -> dict[str, float]:
    """Wait for something, as for a database."""
    await asyncio.sleep(WAIT_SECONDS)
    return {"waited": WAIT_SECONDS}


@application.get("/worker")
def worker() -> dict[str, int]:
    """Answer with the number of the process."""
    return {"worker": os.getpid()}


@application.get("/modules")
def modules() -> list[str]:
    """Answer with what uvicorn loaded of the two that it need not load."""
    return [name for name in ("httptools", "uvloop") if name in sys.modules]
