"""Opens one variant and measures rounds of its operation, within the process that holds it."""

from __future__ import annotations

import asyncio
import inspect
import os
import time
import tracemalloc
from collections.abc import Callable, Mapping
from itertools import repeat
from typing import Any

from perfkit.claims.experiment import ExperimentError, Metric
from perfkit.usage import run_queue_wait
from perfkit.worker import ROUND_SECONDS, repeated

WARM_SECONDS = 0.02
MOST_CALLS = 10_000_000
CALIBRATIONS = 5
# A first call of this length is no short one that was late.
LONG_SECONDS = 50 * ROUND_SECONDS
TICK_SECONDS = 0.0005
# A round that was kept off its core for a larger share of its time tells of other processes.
WAITING_SHARE = 0.02


class Fixture:
    """What a function of an experiment set up: *value*, until `close`."""

    def __init__(
        self, function: Callable[..., Any], gifts: Mapping[str, Any], runner: asyncio.Runner
    ) -> None:
        self._runner = runner
        wanted = {name: gifts[name] for name in inspect.signature(function).parameters}
        self._made = function(**wanted)
        self.value = self._entered()

    def _entered(self) -> Any:
        if inspect.isasyncgen(self._made):
            return self._runner.run(_awaited(anext(self._made)))
        if inspect.isgenerator(self._made):
            return next(self._made)
        if inspect.iscoroutine(self._made):
            return self._runner.run(self._made)
        return self._made

    def close(self) -> None:
        """Let it clear up after itself."""
        if inspect.isasyncgen(self._made):
            self._runner.run(_awaited(anext(self._made, None)))
        elif inspect.isgenerator(self._made):
            next(self._made, None)


class Opened:
    """A variant that has been set up, with its operation warm.

    *runner* holds the one event loop of the process, on which async variants and operations run.
    """

    def __init__(self, fixture: Fixture, metric: Metric, runner: asyncio.Runner) -> None:
        self.fixture = fixture
        self._metric = metric
        self._runner = runner
        self._operation = fixture.value
        if not callable(self._operation):
            raise ExperimentError("a variant has to return or yield a function")
        started = time.perf_counter()
        self._awaits = self._first_call()
        self._first_s = time.perf_counter() - started
        while not metric.steady and time.perf_counter() < started + WARM_SECONDS:
            self._elapsed(1)

    def _first_call(self) -> bool:
        """Call the operation once and return whether it has to be awaited."""
        result = self._operation()
        awaits = inspect.isawaitable(result)
        if awaits:
            result = self._runner.run(_awaited(result))
        if self._metric.kind in {"count", "rate", "told"} and not isinstance(result, int | float):
            raise ExperimentError(f"the operation has to return what it counts, not {result!r}")
        if self._metric.kind == "stall" and not awaits:
            raise ExperimentError("only an async operation can stall the event loop")
        return awaits

    def calls(self) -> int:
        """Return how many calls make a round of `ROUND_SECONDS`."""
        if self._metric.kind not in {"time", "cpu"} or self._first_s > LONG_SECONDS:
            return 1
        calls = 1
        while True:
            # The least of a few: one pause would make rounds so short that each starts cold.
            elapsed = min(self._elapsed(calls) for _ in range(CALIBRATIONS)) / 1e9
            if elapsed >= ROUND_SECONDS / 4 or calls >= MOST_CALLS:
                return max(1, round(calls * ROUND_SECONDS / elapsed))
            calls *= 4

    def round(self, calls: int) -> tuple[float, bool]:
        """Return the value of one round, and whether other processes disturbed it."""
        waited, started = run_queue_wait(os.getpid()), time.perf_counter()
        value = self._value(calls)
        elapsed = time.perf_counter() - started
        waited = run_queue_wait(os.getpid()) - waited
        return value, not self._metric.steady and waited > WAITING_SHARE * elapsed

    def _value(self, calls: int) -> float:
        match self._metric.kind:
            case "time":
                return self._elapsed(calls) / 1e9 / calls
            case "cpu":
                before = time.process_time_ns()
                self._elapsed(calls)
                return (time.process_time_ns() - before) / 1e9 / calls
            case "rate":
                start = time.perf_counter()
                done = self._once()
                return float(done / (time.perf_counter() - start))
            case "stall":
                return self._runner.run(_stalled(self._operation))
            case "memory":
                return float(self._peak())
            case "count" | "told":
                return float(self._once())

    def _elapsed(self, calls: int) -> int:
        """Return the nanoseconds of *calls* calls."""
        if not self._awaits:
            return repeated(self._operation, calls)
        return self._runner.run(_repeated(self._operation, calls))

    def _once(self) -> Any:
        return self._runner.run(_awaited(self._operation())) if self._awaits else self._operation()

    def _peak(self) -> int:
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()
            self._once()
            return max(1, tracemalloc.get_traced_memory()[1] - before)
        finally:
            tracemalloc.stop()


async def _awaited(awaitable: Any) -> Any:
    return await awaitable


async def _repeated(operation: Callable[[], Any], calls: int) -> int:
    start = time.perf_counter_ns()
    for _ in repeat(None, calls):
        await operation()
    return time.perf_counter_ns() - start


async def _stalled(operation: Callable[[], Any]) -> float:
    """Return the longest, in seconds, that a task was late which wants to run all the time."""
    longest = 0.0

    async def tick() -> None:
        nonlocal longest
        while True:
            before = time.perf_counter()
            try:
                await asyncio.sleep(TICK_SECONDS)
            finally:
                longest = max(longest, time.perf_counter() - before - TICK_SECONDS)

    ticker = asyncio.create_task(tick())
    await asyncio.sleep(0)
    await operation()
    ticker.cancel()
    await asyncio.gather(ticker, return_exceptions=True)
    return max(longest, 1e-6)
