"""Five of ten calls that run together fail: how many of the errors anybody sees."""

import asyncio

from perfkit.claims import Experiment, Metric, Operation

CALLS, FAILING = 10, 5

experiment = Experiment(
    theme="async",
    claims=["O-72"],
    question="How many of five errors of calls that run together does their caller get?",
    hypothesis="Errors of tasks that run together have to be handled, so they must be seen.",
    promised=FAILING,
    metric=Metric("errors seen", "errors", "count", higher_is_better=True),
    advice="Run calls together in a TaskGroup, and take its exceptions with except*. With gather "
    "ask for return_exceptions=True and look at every result.",
    conditions="Ten calls, of which five fail in the same moment; what is counted are the errors "
    "that reach the caller.",
)


@experiment.before
def gathered() -> Operation:
    """Awaits gather, and catches what it raises."""

    async def seen() -> int:
        failing = [call(number) for number in range(CALLS)]
        try:
            await asyncio.gather(*failing)
        except ConnectionError:
            return 1
        return 0

    return seen


@experiment.after
def in_a_task_group() -> Operation:
    """Runs them in a TaskGroup, and catches all that it raises."""

    async def seen() -> int:
        caught: list[Exception] = []
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(CALLS):
                    group.create_task(call(number))
        except* ConnectionError as errors:
            caught.extend(errors.exceptions)
        return len(caught)

    return seen


@experiment.beside
def gathered_with_exceptions() -> Operation:
    """Awaits gather with return_exceptions, and looks at the results."""

    async def seen() -> int:
        results = await asyncio.gather(*map(call, range(CALLS)), return_exceptions=True)
        return sum(isinstance(result, ConnectionError) for result in results)

    return seen


async def call(number: int) -> int:
    """Fail half of the time, as soon as everybody has begun."""
    await asyncio.sleep(0)
    if number < FAILING:
        raise ConnectionError(f"call {number} failed")
    return number
