"""A handler that computes: what a thread and a process do for the others on the loop."""

import asyncio
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

from perfkit.claims import LOOP_STALL, Experiment, Operation

LOOPS = 1_000_000

experiment = Experiment(
    theme="async",
    claims=["O-90"],
    promised=20,
    question="Does a thread keep the event loop free while a handler computes?",
    hypothesis="A handler without async, which runs in a thread, is right for work on the "
    "processor too: it frees the loop: another task waits a twentieth at most.",
    metric=LOOP_STALL,
    advice="Compute in a process, or outside of the request. A thread shares the interpreter's "
    "lock with the loop, which gets its turn only every few milliseconds.",
    conditions="A million additions; all on one core, as in a container with one. What counts is "
    "how late a task is meanwhile that wants to run every half a millisecond.",
    precision=0.5,
)


def compute() -> int:
    """Keep the processor busy for some ten milliseconds."""
    total = 0
    for number in range(LOOPS):
        total += number
    return total


@experiment.before
def inline() -> Operation:
    """Computes in the coroutine."""

    async def handler() -> int:
        return compute()

    return handler


@experiment.after
def in_a_thread() -> Operation:
    """Computes in a worker thread."""

    async def handler() -> int:
        return await asyncio.to_thread(compute)

    return handler


@experiment.beside
def in_a_process() -> Iterator[Operation]:
    """Computes in a process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:

        async def handler() -> int:
            return await asyncio.get_running_loop().run_in_executor(pool, compute)

        yield handler
