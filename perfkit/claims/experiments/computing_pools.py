"""Four computations on two workers: in threads, or in processes, by how long each is."""

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor

from perfkit.claims import LATENCY, Experiment, Operation

TASKS = 4

experiment = Experiment(
    theme="async",
    claims=["O-71", "O-90"],
    question="How much sooner are computations done in processes than in threads?",
    hypothesis="Work on the processor belongs into processes.",
    metric=LATENCY,
    varies={"loops": [10, 300_000]},
    because="Threads take turns at one interpreter, so two cores help them nothing; a process "
    "has to be sent its arguments and to send its result, which short work does not pay for.",
    advice="Keep a pool of processes for computations of a millisecond and more. Below that "
    "compute where you are.",
    conditions="Four computations handed to two workers that are warm, free to run on all cores; "
    "arguments and results are single numbers: larger ones cost more to send.",
    matters=0.1,
    precision=0.3,
)


@experiment.before
def in_threads(loops: int) -> Iterator[Operation]:
    """Computes in two threads."""
    with ThreadPoolExecutor(2) as pool:
        yield computing(pool, loops)


@experiment.after
def in_processes(loops: int) -> Iterator[Operation]:
    """Computes in two processes."""
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
        yield computing(pool, loops)


def compute(loops: int) -> int:
    """Keep the processor busy."""
    return sum(number & 7 for number in range(loops))


def computing(pool: Executor, loops: int) -> Operation:
    """Return what has all computations done, on any of the cores."""
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    return lambda: list(pool.map(compute, [loops] * TASKS))
