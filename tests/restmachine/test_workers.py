"""Worker threads, and the ways between them and event loops."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from collections.abc import Iterator
from time import perf_counter

import pytest

from restmachine.workers import BackgroundLoop, LoopPortal, PoolUsage, WorkerPool


@pytest.fixture
def pool() -> Iterator[WorkerPool]:
    made = WorkerPool(threads=3)
    yield made
    made.close()


def test_jobs_run_beside_the_loop_on_no_more_threads_than_allowed(pool: WorkerPool) -> None:
    seen: set[int] = set()

    def job(barrier: threading.Barrier) -> None:
        barrier.wait(timeout=10)
        seen.add(threading.get_ident())

    async def run() -> None:
        barrier = threading.Barrier(3)
        await asyncio.gather(*(pool.run(job, barrier) for _ in range(30)))

    asyncio.run(run())

    assert len(seen) == 3
    assert threading.get_ident() not in seen


def test_one_job_at_a_time_needs_one_thread(pool: WorkerPool) -> None:
    seen: set[int] = set()

    async def run() -> None:
        for _ in range(5):
            await pool.run(lambda _: seen.add(threading.get_ident()), None)

    asyncio.run(run())

    assert len(seen) == 1


def test_the_wait_for_a_thread_is_told() -> None:
    waits = WorkerPool(threads=1)
    begun, free = threading.Event(), threading.Event()

    def hold(argument: None) -> None:
        begun.set()
        free.wait(10)

    async def run() -> tuple[float, float]:
        first = asyncio.ensure_future(waits.run(hold, None))
        await asyncio.to_thread(begun.wait, 10)
        second = asyncio.ensure_future(waits.run(lambda _: None, None))
        await asyncio.sleep(0)
        handed = perf_counter()
        await asyncio.sleep(0.01)
        held = perf_counter() - handed
        free.set()
        await first
        return await second, held

    waited, held = asyncio.run(run())
    waits.close()

    assert waited >= held


def test_context_variables_go_along(pool: WorkerPool) -> None:
    variable = contextvars.ContextVar("variable", default="outside")
    seen = []

    async def run() -> None:
        variable.set("inside")
        await pool.run(lambda _: seen.append(variable.get()), None)

    asyncio.run(run())

    assert seen == ["inside"]


def test_a_job_that_raises_is_logged_and_harms_nobody(
    pool: WorkerPool, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: None) -> None:
        raise SystemExit

    async def run() -> None:
        await pool.run(broken, None)
        await pool.run(lambda _: None, None)

    with caplog.at_level(logging.ERROR, "restmachine"):
        asyncio.run(run())

    assert [record.message for record in caplog.records] == ["A job on a worker thread failed"]


def test_a_cancelled_job_that_has_not_begun_never_runs() -> None:
    pool, free, ran = WorkerPool(threads=1), threading.Event(), []

    async def run() -> None:
        blocking = asyncio.ensure_future(pool.run(lambda _: free.wait(10), None))
        waiting = asyncio.ensure_future(pool.run(ran.append, "ran"))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        free.set()
        await blocking

    asyncio.run(run())
    pool.close()

    assert ran == []


def test_a_cancelled_job_that_has_begun_is_told_and_waited_for(pool: WorkerPool) -> None:
    began, told, log = asyncio.Event(), threading.Event(), []

    async def run() -> None:
        loop = asyncio.get_running_loop()

        def job(_: None) -> None:
            loop.call_soon_threadsafe(began.set)
            told.wait(10)
            log.append("ended")

        task = asyncio.ensure_future(pool.run(job, None, told.set))
        await began.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        log.append("heard")

    asyncio.run(run())

    assert log == ["ended", "heard"]


def test_one_pool_serves_several_loops(pool: WorkerPool) -> None:
    done: list[int] = []

    async def run() -> None:
        await asyncio.gather(*(pool.run(done.append, number) for number in range(50)))

    threads = [threading.Thread(target=lambda: asyncio.run(run())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert len(done) == 150


def test_a_closed_pool_may_be_used_again(pool: WorkerPool) -> None:
    done: list[int] = []

    async def run() -> None:
        await pool.run(done.append, 1)
        await asyncio.to_thread(pool.close)
        await pool.run(done.append, 2)

    asyncio.run(run())

    assert done == [1, 2]


def test_a_loop_never_waits_for_itself() -> None:
    async def run() -> None:
        portal = LoopPortal(asyncio.get_running_loop())
        with pytest.raises(RuntimeError, match=r"await aexecute\(\) instead of execute\(\)"):
            portal.wait_for(asyncio.sleep(0))

    asyncio.run(run())


def test_a_background_loop_runs_async_code_for_a_program_without_one() -> None:
    loop = BackgroundLoop()

    async def where() -> int:
        return threading.get_ident()

    found = loop.portal.wait_for(where())
    loop.close()

    assert found != threading.get_ident()


def test_loops_that_share_a_pool_start_no_more_threads_than_allowed(pool: WorkerPool) -> None:
    seen: set[int] = set()
    together = threading.Barrier(4)

    async def run() -> None:
        jobs = (pool.run(lambda _: seen.add(threading.get_ident()), None) for _ in range(200))
        await asyncio.gather(*jobs)

    def loop() -> None:
        together.wait(timeout=10)
        asyncio.run(run())

    loops = [threading.Thread(target=loop) for _ in range(4)]
    for thread in loops:
        thread.start()
    for thread in loops:
        thread.join()

    assert 0 < len(seen) <= 3
    assert pool._unfinished == 0


def test_a_pool_tells_how_many_threads_are_busy_and_how_many_jobs_wait() -> None:
    pool = WorkerPool(2)
    begun, go_on = threading.Semaphore(0), threading.Event()

    def job(argument: None) -> None:
        begun.release()
        go_on.wait(10)

    async def run() -> list[PoolUsage]:
        jobs = [asyncio.ensure_future(pool.run(job, None)) for _ in range(5)]
        seen = [pool.usage()]
        await asyncio.to_thread(lambda: [begun.acquire(timeout=10) for _ in range(2)])
        seen.append(pool.usage())
        go_on.set()
        await asyncio.gather(*jobs)
        return [*seen, pool.usage()]

    idle, full, done = asyncio.run(run())
    pool.close()

    assert idle == PoolUsage(threads=0, busy=0, waiting=0)
    assert full == PoolUsage(threads=2, busy=2, waiting=3)
    assert done == PoolUsage(threads=2, busy=0, waiting=0)
