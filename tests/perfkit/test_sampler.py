"""Following one request: nothing of it is lost, counted twice, or changed."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from perfkit.sampler import AWAIT, WORKER_WAIT, Followed, Sampler, Samples, current
from restmachine.workers import WorkerPool


def follow(
    answering: Coroutine[Any, Any, None], pools: list[Any] | None = None
) -> tuple[Samples, BaseException | None]:
    async def main() -> tuple[Samples, BaseException | None]:
        sampler = Sampler(pools or [])
        sampler.start()
        task = asyncio.create_task(sampler.follow(answering, lambda: "GET /"))
        (outcome,) = await asyncio.gather(task, return_exceptions=True)
        return await sampler.stop(), outcome

    return asyncio.run(main())


def test_an_exception_passes_through() -> None:
    async def fails() -> None:
        await asyncio.sleep(0)
        raise LookupError("lost")

    samples, outcome = follow(fails())

    assert str(outcome) == "lost"
    assert samples.requests == 1


def test_a_cancellation_reaches_the_request_where_it_waits() -> None:
    heard = []

    async def cancelled() -> None:
        asyncio.get_running_loop().call_soon(asyncio.current_task().cancel)
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            heard.append("cancelled")
            raise

    samples, outcome = follow(cancelled())

    assert heard == ["cancelled"]
    assert isinstance(outcome, asyncio.CancelledError)
    assert samples.requests == 1


def test_a_request_that_catches_what_it_awaits_goes_on() -> None:
    async def patient() -> None:
        try:
            async with asyncio.timeout(0.01):
                await asyncio.sleep(60)
        except TimeoutError:
            await asyncio.sleep(0.01)

    samples, outcome = follow(patient())

    assert outcome is None
    assert 0.015 <= sum(cost.waited for cost in samples.costs.values()) < 5


def test_a_wait_is_charged_to_the_coroutines_that_await_in_order() -> None:
    async def inner() -> None:
        await asyncio.sleep(0.05)

    async def outer() -> None:
        await inner()

    samples, _ = follow(outer())

    (stack,) = [stack for (_, _, stack), cost in samples.costs.items() if cost.waited]
    names = [info.split("\x00")[0].rpartition(".")[2] for info in stack]
    assert names == ["outer", "inner", "sleep", AWAIT.rpartition(".")[2]]


def test_what_a_worker_thread_does_is_counted_once() -> None:
    pool = WorkerPool(1)

    def nap_until_sampled(request: Followed) -> None:
        until, latest = time.perf_counter() + 0.2, time.perf_counter() + 30
        # A sample that waits has no time of its own.
        while time.perf_counter() < until or not any(each.wall for each in request.samples):
            assert time.perf_counter() < latest
            time.sleep(0.01)

    async def hops() -> None:
        await pool.run(nap_until_sampled, current())

    samples, _ = follow(hops(), [pool])
    pool.close()

    told = sum(cost.wall + cost.waited for _, cost in samples.scaled())
    assert 0.2 <= samples.running < samples.wall
    assert told == pytest.approx(samples.wall, rel=0.2)
    assert any(stack == WORKER_WAIT for _, _, stack in samples.costs)


def test_a_task_of_the_requests_own_costs_a_processor_and_no_time_twice() -> None:
    async def burn() -> None:
        request, until, latest = current(), time.thread_time() + 0.1, time.perf_counter() + 30
        assert request is not None
        # The clock of the samples runs on a thread of its own, and late on a busy machine.
        while time.thread_time() < until or len(request.samples) < 20:
            assert time.perf_counter() < latest

    async def gathers() -> None:
        await asyncio.gather(burn(), asyncio.sleep(0.01))

    samples, _ = follow(gathers())

    own = [cost for (_, _, stack), cost in samples.costs.items() if "burn" in str(stack)]
    assert sum(cost.cpu for cost in own) > 0.01
    assert sum(cost.wall for cost in own) == 0
    assert sum(cost.waited for cost in samples.costs.values()) >= 0.09


@pytest.mark.parametrize(("seconds", "ends"), [(0.05, True), (30.0, False)])
def test_a_request_under_way_is_seen_whole_unless_it_takes_too_long(
    seconds: float, ends: bool
) -> None:
    async def main() -> bool:
        sampler = Sampler([], samples_stacks=False)
        sampler.start()
        request = asyncio.create_task(sampler.follow(asyncio.sleep(seconds), lambda: "GET /"))
        await asyncio.sleep(0)
        await sampler.settle()
        was_over = request.done()
        await sampler.stop()
        request.cancel()
        return was_over

    was_over = asyncio.run(main())

    assert was_over == ends


def test_the_end_waits_for_no_thread_that_is_busy() -> None:
    pool, begun, go_on = WorkerPool(1), threading.Event(), threading.Event()

    def blocks(argument: None) -> None:
        begun.set()
        go_on.wait(30)

    async def main() -> tuple[Samples, bool]:
        sampler = Sampler([pool])
        sampler.start()
        blocked = asyncio.create_task(sampler.follow(pool_run(pool, blocks), lambda: "GET /"))
        await asyncio.to_thread(begun.wait, 30)
        samples = await sampler.stop()
        was_over = blocked.done()
        go_on.set()
        await blocked
        return samples, was_over

    samples, was_over = asyncio.run(main())
    pool.close()

    assert samples.requests == 1
    assert not was_over


async def pool_run(pool: WorkerPool, function: Callable[[None], None]) -> None:
    await pool.run(function, None)
