"""One of ten calls fails: how many of the others go on after their request has ended."""

import asyncio

from perfkit.claims import Experiment, Metric, Operation

CALLS = 10

experiment = Experiment(
    theme="async",
    claims=["O-27"],
    question="How many calls go on after the request that made them has failed?",
    hypothesis="Awaiting calls together with gather leaves nothing behind.",
    metric=Metric("calls left running", "calls", "count"),
    hazard="gather raises the first error and leaves all other calls running: the client has its "
    "500 while nine calls still write, hold connections, and fail unseen.",
    advice="Use a TaskGroup: when one call fails it cancels the others, and waits until they "
    "have ended.",
    conditions="Ten calls of which one fails at once, and the others would take ten seconds.",
)


@experiment.before
def gathered() -> Operation:
    """Awaits gather."""

    async def left() -> int:
        calls = [asyncio.create_task(call(number)) for number in range(CALLS)]
        try:
            await asyncio.gather(*calls)
        except ConnectionError:
            pass
        return await running(calls)

    return left


@experiment.after
def in_a_task_group() -> Operation:
    """Runs them in a TaskGroup."""

    async def left() -> int:
        calls = []
        try:
            async with asyncio.TaskGroup() as group:
                calls += [group.create_task(call(number)) for number in range(CALLS)]
        except* ConnectionError:
            pass
        return await running(calls)

    return left


async def call(number: int) -> None:
    """Fail if it is the first, else wait."""
    if number == 0:
        raise ConnectionError("the first call failed")
    await asyncio.sleep(10)


async def running(calls: list[asyncio.Task[None]]) -> int:
    """Return how many have not ended, and end them."""
    left = [task for task in calls if not task.done()]
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    return len(left)
