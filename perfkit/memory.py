"""What single requests cost in memory, sampled while many others run.

`attach` gives an application an observer, which samples every so many requests, and the dependency
`memory_monitor`, by which a handler reads what its own request took so far. See
`perfkit.allocations` for how one request is told from the others, and what cannot be.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from contextvars import ContextVar
from dataclasses import dataclass
from time import perf_counter, process_time

from perfkit.allocations import Line, Sample, TracingError
from perfkit.errors import PerfkitError
from perfkit.listeners import guarded
from restmachine import RestApplication
from restmachine.exchange import Exchange
from restmachine.hooks import Observer
from restmachine.inbound import ASGIExchange
from restmachine.workers import WorkerPool

logger = logging.getLogger("perfkit")

EVERY = 100
SHARE = 0.01
"""Part of the process's processor time that may pass while allocations are traced."""
LONGEST_SECONDS = 5.0
"""A request that lasts longer, a stream of events say, is sampled no further."""
TOP = 3

_UNSAMPLED = Sample()
_current: ContextVar[Sample] = ContextVar("perfkit.memory", default=_UNSAMPLED)


@dataclass(frozen=True, slots=True)
class RequestMemory:
    """What one sampled request took; bytes and blocks of Python's allocators alone.

    Attributes:
        method, route: The request's method and the template of its route, None for no route.
        status: The status of its response, 0 if it was not complete.
        allocated_bytes: All rises added: at each of the request's steps, from its beginning to
            its highest point.
        peak_bytes: The most that the request had at once.
        kept_bytes, kept_blocks: What was still there when the request was gone: kept by a cache,
            leaked, in a cycle that was not collected yet, or waiting to be sent by the server.
        seconds: How long allocations were traced.
        others_cpu_seconds: Processor time of threads that are not the application's workers while
            the request ran; what those allocated is in *allocated_bytes* and *peak_bytes*.
        lines: Which lines had allocated most, at the end of the step that left most behind.
        complete: Whether the request ended while it was sampled.
    """

    method: str
    route: str | None
    status: int
    allocated_bytes: int
    peak_bytes: int
    kept_bytes: int
    kept_blocks: int
    seconds: float
    others_cpu_seconds: float
    lines: tuple[Line, ...]
    complete: bool

    def __str__(self) -> str:
        figures = (
            f"{self.method} {self.route or '(no route)'} allocated {_mib(self.allocated_bytes)}, "
            f"had {_mib(self.peak_bytes)} at most and kept {_mib(self.kept_bytes)} "
            f"in {self.kept_blocks} blocks"
        )
        return "; ".join((figures, *map(str, self.lines)))


OnSample = Callable[[RequestMemory], None]


def log_sample(taken: RequestMemory) -> None:
    """Log one line for each sampled request."""
    logger.info("%s", taken)


class MemoryReading:
    """What the request that runs here took so far; all zeros when it is not sampled."""

    __slots__ = ("_sample",)

    def __init__(self, sample: Sample) -> None:
        self._sample = sample

    @property
    def sampled(self) -> bool:
        """Whether this request is sampled."""
        return self._sample is not _UNSAMPLED

    @property
    def allocated_bytes(self) -> int:
        """All rises of memory so far, added."""
        return self._sample.so_far()[0]

    @property
    def peak_bytes(self) -> int:
        """The most that the request had at once so far."""
        return self._sample.so_far()[1]


class MemorySampler(Observer):
    """Samples the memory of requests, one at a time.

    Requests that an ASGI server hands over are sampled; for `RestApplication.execute` there is
    `perfkit.leaks.leak_check`. What a handler has other tasks do, with `asyncio.gather` say,
    counts as others'.

    Args:
        every: Sample one request in so many; 0 for none but those of *routes*.
        routes: Templates of routes of which each request is sampled.
        share: The part of the process's processor time that passes while allocations are traced,
            from above 0 to 1: everything is slower then. Requests whose turn comes too early for
            it are passed over, so *every* is how often a sample is taken at most.
        top: How many lines to name.
        longest: Seconds after which a request is sampled no further.
        on_sample: Takes each result, on the event loop.

    Raises:
        PerfkitError: An option is out of its range.
    """

    def __init__(
        self,
        every: int = EVERY,
        *,
        routes: Collection[str] = (),
        share: float = SHARE,
        top: int = TOP,
        longest: float = LONGEST_SECONDS,
        on_sample: OnSample = log_sample,
        clock: Callable[[], float] = perf_counter,
        cpu_clock: Callable[[], float] = process_time,
    ) -> None:
        if isinstance(routes, str):
            raise PerfkitError(f'routes= takes a list of templates: routes=["{routes}"]')
        if every < 0:
            raise PerfkitError(f"every={every}: give 0 or how many requests there are to a sample")
        if not 0 < share <= 1:
            raise PerfkitError(f"share={share:g}: give a part of the time, above 0 and at most 1")
        self.passed_over = 0
        """Requests that were to be sampled while another one was, or before their time."""
        self._every = every
        self._routes = frozenset(routes)
        self._share = share
        self._top = top
        self._longest = longest
        self._on_sample = guarded(on_sample)
        self._clock = clock
        self._cpu_clock = cpu_clock
        self._cpu_started = 0.0
        # Hot path: to look into the notes of each exchange would make them, and cost as much as
        # all samples (bench_watching.py::bench_memory_sampled_1_in_100).
        self._sampled: dict[Exchange, tuple[Sample, asyncio.TimerHandle]] = {}
        self._pool: WorkerPool | None = None
        self._count = 0
        self._window_ends = 0.0
        self._not_before = 0.0
        self._broken = False

    def heed(self, pool: WorkerPool) -> None:
        """Look closer while any thread of a pool runs a job."""
        self._pool = pool

    def _is_crowded(self) -> bool:
        return self._pool is not None and self._pool.usage().busy > 0

    def window(self, seconds: float) -> None:
        """Sample as many requests as *share* allows, for so many seconds from now."""
        self._window_ends = self._clock() + seconds

    def enters(self, now: float) -> bool:
        """Count a request that is certainly not sampled; others are asked about in `follow`."""
        if self._routes or self._window_ends or self._count + 1 == self._every:
            return False
        self._count += 1
        return True

    def follow(self, exchange: Exchange) -> Sample | None:
        """Sample this request if it is its turn."""
        self._count += 1
        if self._count != self._every:
            if not self._routes and not self._window_ends:
                return None
            if not self._is_wanted(exchange.route_template):
                return None
        else:
            self._count = 0
        return self._begin(exchange)

    def _is_wanted(self, route: str | None) -> bool:
        if self._window_ends and self._clock() >= self._window_ends:
            self._window_ends = 0.0
        return bool(self._window_ends) or route in self._routes

    def _begin(self, exchange: Exchange) -> Sample | None:
        if self._broken or not isinstance(exchange, ASGIExchange):
            return None
        now = self._cpu_clock()
        if now < self._not_before:
            self.passed_over += 1
            return None
        sample = Sample(self._is_crowded)
        try:
            begun = sample.begin()
        except TracingError as error:
            self._broken = True
            logger.warning("%s", error)
            return None
        if not begun:
            self.passed_over += 1
            return None
        self._cpu_started = now
        _current.set(sample)
        timer = asyncio.get_running_loop().call_later(self._longest, self._cut, exchange)
        self._sampled[exchange] = (sample, timer)
        return sample

    def request_finished(
        self, exchange: Exchange, status: int, sent_bytes: int, now: float
    ) -> None:
        """Look at what is left, once this request is gone."""
        taken = self._sampled.pop(exchange, None) if self._sampled else None
        if taken is None:
            return
        sample, timer = taken
        timer.cancel()
        _current.set(_UNSAMPLED)
        # What the request still holds now is not kept: its content, for one.
        asyncio.get_running_loop().call_soon(
            self._finish, sample, exchange.method, exchange.route_template, status
        )

    def _cut(self, exchange: Exchange) -> None:
        sample, _ = self._sampled.pop(exchange)
        self._finish(sample, exchange.method, exchange.route_template, 0)

    def _finish(self, sample: Sample, method: str, route: str | None, status: int) -> None:
        sample.end(self._top)
        now = self._cpu_clock()
        self._not_before = now + (now - self._cpu_started) * (1 / self._share - 1)
        taken = RequestMemory(
            method=method,
            route=route,
            status=status,
            allocated_bytes=sample.allocated,
            peak_bytes=sample.peak,
            kept_bytes=sample.kept,
            kept_blocks=sample.kept_blocks,
            seconds=sample.seconds,
            others_cpu_seconds=sample.others_cpu,
            lines=sample.lines,
            complete=status != 0,
        )
        self._on_sample(taken)


def attach(app: RestApplication, sampler: MemorySampler) -> None:
    """Sample the requests of an application, and offer the dependency `memory_monitor`."""
    app.observe(sampler)
    sampler.heed(app.workers)

    @app.dependency(blocking=False)
    def memory_monitor() -> MemoryReading:
        return MemoryReading(_current.get())


def _mib(size: int) -> str:
    return f"{size / 2**20:.2f} MiB"
