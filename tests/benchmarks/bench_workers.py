"""What a hop to a worker thread costs, against the standard library's executor."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from restmachine.workers import WorkerPool

CALLERS = 32
LOOP = asyncio.new_event_loop()
POOL = WorkerPool(8)
EXECUTOR = ThreadPoolExecutor(8)


def nothing(argument: None) -> None:
    return None


async def hop() -> None:
    await asyncio.gather(*(POOL.run(nothing, None) for _ in range(CALLERS)))


async def run_in_executor() -> None:
    await asyncio.gather(*(LOOP.run_in_executor(EXECUTOR, nothing, None) for _ in range(CALLERS)))


def bench_hop(benchmark: Callable[..., Any]) -> None:
    benchmark(lambda: LOOP.run_until_complete(hop()))


def bench_hop_by_executor(benchmark: Callable[..., Any]) -> None:
    benchmark(lambda: LOOP.run_until_complete(run_in_executor()))
