"""A handler that sleeps: how long every other request waits for the event loop."""

import asyncio
import time

from perfkit.claims import LOOP_STALL, Experiment, Operation

SECONDS = 0.02

experiment = Experiment(
    theme="async",
    claims=["O-91", "O-92"],
    question="How long does a sleeping coroutine keep all others waiting?",
    hypothesis="time.sleep stops the whole loop; asyncio.sleep and a thread do not.",
    metric=LOOP_STALL,
    advice="One blocking call in a coroutine stops every request of the process: await what can be "
    "awaited, and hand over to a thread what cannot. In restmachine a handler without async runs "
    "in a thread of itself.",
    conditions=f"A sleep of {SECONDS * 1000:.0f} ms; what counts is how late a task is meanwhile "
    "that wants to run every half a millisecond.",
    precision=0.5,
)


@experiment.before
def blocking() -> Operation:
    """Sleeps with time.sleep in a coroutine."""

    async def handler() -> None:
        time.sleep(SECONDS)  # noqa: ASYNC251 (the mistake that is measured)

    return handler


@experiment.after
def awaiting() -> Operation:
    """Awaits asyncio.sleep."""

    async def handler() -> None:
        await asyncio.sleep(SECONDS)

    return handler


@experiment.beside
def in_a_thread() -> Operation:
    """Sleeps with time.sleep in a worker thread."""

    async def handler() -> None:
        await asyncio.to_thread(time.sleep, SECONDS)

    return handler
