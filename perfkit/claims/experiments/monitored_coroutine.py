"""A decorator that takes the time of a function, around one that is async."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import wraps

from perfkit.claims import ERRORS, Experiment, Operation

CALLS, SECONDS = 10, 0.002

experiment = Experiment(
    theme="monitoring",
    claims=["O-74"],
    question="For how many of ten async calls does the decorator tell far too short a time?",
    hypothesis="A decorator tells the time that a function used.",
    metric=ERRORS,
    hazard="To call an async function only makes a coroutine. A decorator that does not await "
    "takes the time of that, microseconds, whatever the function then does: the slowest "
    "handler looks like the fastest.",
    advice="Await within the measured part, or have what runs the handler measure it: "
    "perfkit times a request from its start to its last byte, async or not.",
    conditions=f"Ten calls that wait {SECONDS * 1000:.0f} ms each; what is counted are those of "
    "which less than half is told.",
)

Told = list[float]


async def waiting() -> None:
    """Wait, as for a database."""
    await asyncio.sleep(SECONDS)


@experiment.before
def called() -> Operation:
    """Takes the time of calling the function."""

    def monitored(function: Callable[[], Awaitable[None]], told: Told) -> Operation:
        @wraps(function)
        def timed() -> Awaitable[None]:
            started = time.perf_counter()
            try:
                return function()
            finally:
                told.append(time.perf_counter() - started)

        return timed

    return lambda: wrongly_told(monitored)


@experiment.after
def awaited() -> Operation:
    """Takes the time until the function is done."""

    def monitored(function: Callable[[], Awaitable[None]], told: Told) -> Operation:
        @wraps(function)
        async def timed() -> None:
            started = time.perf_counter()
            try:
                await function()
            finally:
                told.append(time.perf_counter() - started)

        return timed

    return lambda: wrongly_told(monitored)


async def wrongly_told(monitored: Callable[..., Operation]) -> int:
    """Call the monitored function ten times and return how often its time was not told."""
    told: Told = []
    function = monitored(waiting, told)
    for _ in range(CALLS):
        await function()
    return sum(seconds < SECONDS / 2 for seconds in told)
