"""Worker threads, on which sync code runs so that it never blocks the event loop."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from time import perf_counter
from typing import Any, TypeVar

Value = TypeVar("Value")

logger = logging.getLogger("restmachine")

DEFAULT_THREADS = 8
"""Well below the 20 connections of a usual pool, whose `getconn` raises when it is empty."""


class LoopPortal:
    """A way from other threads to an event loop that runs."""

    __slots__ = ("_loop",)

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def submit(self, awaitable: Coroutine[Any, Any, Value]) -> Future[Value]:
        """Run a coroutine on the loop and return the future of its result.

        Raises:
            RuntimeError: The caller is on the loop's own thread, which would wait for ever.
        """
        try:
            running = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        if running is self._loop:
            awaitable.close()
            raise RuntimeError(
                "The event loop cannot wait for itself: await aexecute() instead of execute()."
            )
        return asyncio.run_coroutine_threadsafe(awaitable, self._loop)

    def wait_for(self, awaitable: Coroutine[Any, Any, Value]) -> Value:
        """Run a coroutine on the loop and return its result."""
        return self.submit(awaitable).result()


class BackgroundLoop:
    """An event loop on a thread of its own, for async code of a program that has none."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="restmachine-loop", daemon=True
        )
        self._thread.start()
        self.portal = LoopPortal(self._loop)

    def close(self) -> None:
        """Stop the loop and its thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()


class _Mailbox:
    """Where ended jobs wait for the event loop that gave them."""

    __slots__ = ("_ended", "_waking", "loop", "portal")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._ended: deque[_Job] = deque()
        self._waking = False
        self.portal = LoopPortal(loop)

    def put(self, job: _Job) -> None:
        """Take an ended job from a worker thread, and wake the loop unless it is about to look."""
        self._ended.append(job)
        if not self._waking:
            self._waking = True
            try:
                self.loop.call_soon_threadsafe(self._deliver)
            except RuntimeError:
                if not self.loop.is_closed():
                    raise

    def _deliver(self) -> None:
        # Cleared before the box is emptied: a job that ends meanwhile wakes the loop again.
        self._waking = False
        while self._ended:
            job = self._ended.popleft()
            job.ended = True
            if not job.future.done():
                job.future.set_result(None)


class _Job:
    """A function for a worker, and the future that learns of its end."""

    __slots__ = (
        "argument",
        "context",
        "ended",
        "function",
        "future",
        "handed",
        "mailbox",
        "ticket",
        "waited",
    )

    def __init__(
        self,
        function: Callable[[Any], None],
        argument: Any,
        future: asyncio.Future[None],
        mailbox: _Mailbox,
    ) -> None:
        self.function = function
        self.argument = argument
        self.future = future
        self.mailbox = mailbox
        self.context = contextvars.copy_context()
        self.handed = perf_counter()
        self.waited = 0.0
        self.ended = False
        self.ticket = [True]  # whoever pops it, a worker or a cancelled caller, has the job

    def claim(self) -> bool:
        """Take the job; only the first one to ask gets it."""
        try:
            return self.ticket.pop()
        except IndexError:
            return False


@dataclass(frozen=True, slots=True)
class PoolUsage:
    """What the threads of a pool do: how many there are, how many run a job, how many jobs wait."""

    threads: int
    busy: int
    waiting: int


class WorkerPool:
    """Threads that run jobs for event loops.

    Hot path: jobs travel through a `SimpleQueue`, and their ends are delivered to the loop
    in batches, one wake-up for all that are ready (bench_workers.py::bench_hop).
    """

    def __init__(self, threads: int = DEFAULT_THREADS) -> None:
        self._most = threads
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._mailboxes: list[_Mailbox] = []  # the last one used comes first
        self._unfinished = 0
        self._lock = threading.Lock()  # for the two counts: several loops may share a pool

    def portal(self) -> LoopPortal:
        """Return the way back to the running event loop."""
        return self._mailbox().portal

    async def run(
        self,
        function: Callable[[Any], None],
        argument: Any,
        abandon: Callable[[], None] | None = None,
    ) -> float:
        """Run a function on a worker and return how many seconds it waited for one.

        The function leaves its result in its argument; should it raise all the same, the
        error is logged. A cancelled caller takes back a job that has not begun; for one that
        has, it calls *abandon* and waits, since a thread cannot be interrupted.
        """
        mailbox = self._mailbox()
        loop = mailbox.loop
        job = _Job(function, argument, loop.create_future(), mailbox)
        with self._lock:
            self._unfinished += 1
            if self._unfinished > len(self._threads) < self._most:
                self._start_thread()
        self._jobs.put(job)
        try:
            await job.future
        except asyncio.CancelledError:
            if not job.claim():
                if abandon is not None:
                    abandon()
                while not job.ended:
                    job.future = loop.create_future()
                    with suppress(asyncio.CancelledError):
                        await job.future
            raise
        finally:
            with self._lock:
                self._unfinished -= 1
        return job.waited

    def usage(self) -> PoolUsage:
        """Return how busy the threads are at this moment."""
        with self._lock:
            threads, unfinished = len(self._threads), self._unfinished
        waiting = min(self._jobs.qsize(), unfinished)
        return PoolUsage(threads, min(threads, unfinished - waiting), waiting)

    def close(self, seconds: float | None = None) -> None:
        """Stop the threads once the jobs they were given are done.

        Args:
            seconds: How long to wait; a thread that is still busy then is left behind.
        """
        deadline = None if seconds is None else perf_counter() + seconds
        with self._lock:
            threads, self._threads = self._threads, []
        for _ in threads:
            self._jobs.put(None)
        for thread in threads:
            thread.join(None if deadline is None else max(0.0, deadline - perf_counter()))
        busy = sum(thread.is_alive() for thread in threads)
        if busy:
            logger.warning("%d worker threads were still busy at shutdown", busy)

    def _mailbox(self) -> _Mailbox:
        loop = asyncio.get_running_loop()
        # Hot path: most pools serve one loop (bench_workers.py::bench_hop). The list is replaced
        # and never changed, as other threads may be at it.
        boxes = self._mailboxes
        if boxes and boxes[0].loop is loop:
            return boxes[0]
        mailbox = next((box for box in boxes if box.loop is loop), None) or _Mailbox(loop)
        others = [box for box in boxes if box is not mailbox and not box.loop.is_closed()]
        self._mailboxes = [mailbox, *others]
        return mailbox

    def _start_thread(self) -> None:
        name = f"restmachine-worker-{len(self._threads)}"
        thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            if job.claim():
                job.waited = perf_counter() - job.handed
                try:
                    job.context.run(job.function, job.argument)
                except BaseException:  # the thread must outlive whatever a job does
                    logger.exception("A job on a worker thread failed")
            job.mailbox.put(job)
            del job  # an idle thread keeps nothing of a request alive
