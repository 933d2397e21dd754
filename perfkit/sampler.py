"""Samples what the requests of one route do while they run, and times what they wait for.

A thread that works for such a request is sampled by pyinstrument, at the first call or return
after each tick of a clock that runs apart from it: once a millisecond, whatever the request
does. Waiting is not sampled but measured: a request that awaits is stopped and started by
the coroutine below, which sees where and for how long.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable, Iterator
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from math import inf
from time import perf_counter, sleep, thread_time
from typing import Any

from pyinstrument.low_level.stat_profile import setstatprofile

from perfkit.errors import PerfkitError

INTERVAL_S = 0.001
"""The time between two samples."""

_PATIENCE_S = 1.0
"""How long the end of a profile may wait for threads that are busy."""

AWAIT = "[await]"

Stack = tuple[str, ...]
"""Frames from the outermost to the innermost, each as pyinstrument writes it."""

WORKER_WAIT: Stack = ("[wait for a worker thread]\x00worker pool\x000",)
LOOP_WAIT: Stack = ("[wait for the event loop]\x00worker pool\x000",)
WAITS = frozenset({WORKER_WAIT, LOOP_WAIT})


@dataclass(slots=True)
class Sample:
    """What was on the stack, and the seconds it stands for.

    *phase* is told afterwards, by the time *at* which the sample was taken.
    """

    stack: Stack
    wall: float
    cpu: float
    waited: float
    phase: str = ""
    at: float = field(default_factory=perf_counter)


@dataclass(slots=True)
class Cost:
    """Seconds of one stack, over all requests: running by the clock, on a processor, waiting."""

    wall: float = 0.0
    cpu: float = 0.0
    waited: float = 0.0


@dataclass(slots=True)
class Samples:
    """What was gathered: costs by route, phase and stack, and exact totals in seconds."""

    costs: dict[tuple[str, str, Stack], Cost] = field(default_factory=dict)
    requests: int = 0
    count: int = 0
    wall: float = 0.0
    running: float = 0.0
    cpu: float = 0.0
    elapsed: float = 0.0

    def scaled(self) -> Iterator[tuple[tuple[str, str, Stack], Cost]]:
        """Yield the costs, the sampled ones such that they add up to what was measured."""
        sampled = sum(cost.wall for cost in self.costs.values())
        factor = self.running / sampled if sampled else 0.0
        for key, cost in self.costs.items():
            yield key, Cost(cost.wall * factor, cost.cpu * factor, cost.waited)


class Followed:
    """One request that is followed, on the event loop and on worker threads.

    Attributes:
        elsewhere: How many of its jobs are with the worker threads.
        piece: What runs for it now; there is one at most, since the loop waits for its jobs.
    """

    __slots__ = (
        "_sampler",
        "began",
        "cpu",
        "elsewhere",
        "finished",
        "piece",
        "running",
        "samples",
        "task",
    )

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler
        self.began = perf_counter()
        self.running = 0.0
        self.cpu = 0.0
        self.elsewhere = 0
        self.piece: _Piece | None = None
        self.samples: list[Sample] = []
        self.finished = False
        self.task = asyncio.current_task()

    def tell(self, phases: Iterable[tuple[float, str]]) -> None:
        """Say what the request did until which moment, in order, by `time.perf_counter`."""
        coming = iter(phases)
        until, phase = next(coming, (inf, ""))
        for sample in self.samples:
            while sample.at > until:
                until, phase = next(coming, (inf, ""))
            sample.phase = phase

    def wait(self, stack: Stack, seconds: float) -> None:
        """Note that the request waited."""
        if self._sampler.samples_stacks:
            self.samples.append(Sample(stack, 0.0, 0.0, seconds))

    def resume(self) -> None:
        """Count what this thread does from now on as the request's."""
        _here.piece = self.piece = _Piece(self, _here.piece)

    def pause(self) -> None:
        """Count it no longer."""
        piece, self.piece = self.piece, None
        assert piece is not None
        _here.piece = piece.former
        self.running += perf_counter() - piece.began
        self.cpu += thread_time() - piece.began_cpu


class _Piece:
    """A stretch of time in which one thread works for one request."""

    __slots__ = ("began", "began_cpu", "cpu", "former", "request", "wall")

    def __init__(self, request: Followed, former: _Piece | None) -> None:
        self.request = request
        self.former = former
        self.began_cpu = self.cpu = thread_time()
        self.began = self.wall = perf_counter()


class _Here(threading.local):
    piece: _Piece | None = None
    sampler: Sampler | None = None


_here = _Here()
_current: ContextVar[Followed | None] = ContextVar("followed request", default=None)


def current() -> Followed | None:
    """Return the followed request for which this code runs, None for any other."""
    return _current.get()


class Sampler:
    """Follows requests from `start` to `stop`, which the thread of the event loop calls.

    Args:
        pools: Worker pools of restmachine; what other threads do is seen as a wait for them.
        samples_stacks: False only follows, for who looks at the same frames in another way.
    """

    def __init__(self, pools: list[Any], *, samples_stacks: bool = True) -> None:
        self._pools = pools
        self.samples_stacks = samples_stacks
        self.samples = Samples()
        self._active: dict[Followed, Callable[[], str]] = {}
        self._infos: dict[tuple[int, int], str] = {}
        self._codes: list[types.CodeType] = []  # alive, so that an id stays the code's own
        self._began = 0.0
        self._stopped = False
        self._target = self._sample  # alive while a thread removes itself in it
        self._listening: set[int] = set()

    def start(self) -> None:
        """Begin; the thread that calls is sampled from now on.

        Raises:
            PerfkitError: Another profiler listens to this thread, and there is room for one.
        """
        if self.samples_stacks and sys.getprofile() is not None:
            raise PerfkitError(
                "another profiler listens to the thread of the event loop: end that one first"
            )
        self._began = perf_counter()
        for pool in self._pools:
            pool.run = partial(self._run_on_worker, pool.run)
        self._listen()

    async def stop(self) -> Samples:
        """End, leave nothing behind, and return what was gathered, unfinished requests too."""
        self.samples.elapsed = perf_counter() - self._began
        self._stopped = True
        self._forget()
        for pool in self._pools:
            del pool.run  # what `start` put before the method of the class
        for request, named in list(self._active.items()):
            self._finish(request, named)
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_S):
                await self._wake_workers()
        return self.samples

    async def settle(self) -> None:
        """Give the requests that are followed a moment to end, so that they are seen whole."""
        deadline = perf_counter() + _PATIENCE_S
        while self._active and perf_counter() < deadline:  # noqa: ASYNC110 - requests tell nobody
            await asyncio.sleep(INTERVAL_S)

    async def _wake_workers(self) -> None:
        """Let idle threads call something: then they stop listening, busy ones do so anyway."""
        while self._listening:
            jobs = [pool.run(sleep, INTERVAL_S) for pool in self._pools for _ in self._listening]
            await asyncio.gather(*jobs)

    async def follow(self, answering: Coroutine[Any, Any, None], named: Callable[[], str]) -> None:
        """Await a request's answer and keep what it did; *named* tells the route at its end."""
        request = Followed(self)
        self._active[request] = named
        token = _current.set(request)
        try:
            await follow_request(request, answering)
        finally:
            _current.reset(token)
            self._finish(request, named)

    def _listen(self) -> None:
        """Sample this thread until the end: to begin takes a tick, too long for each job."""
        if self.samples_stacks and _here.sampler is not self:
            if _here.sampler is not None:
                _here.sampler._forget()
            _here.sampler = self
            self._listening.add(threading.get_ident())
            setstatprofile(self._target, INTERVAL_S, timer_type="walltime_thread")

    def _forget(self) -> None:
        """Sample this thread no longer."""
        if _here.sampler is self:
            setstatprofile(None)
            _here.sampler = None
            self._listening.discard(threading.get_ident())

    def _finish(self, request: Followed, named: Callable[[], str]) -> None:
        if self._active.pop(request, None) is None:
            return
        request.finished = True
        piece = request.piece
        if piece is not None:  # the profile ends before the request
            request.running += piece.wall - piece.began
        samples, route = self.samples, named()
        samples.requests += 1
        samples.wall += perf_counter() - request.began
        samples.running += request.running
        samples.cpu += request.cpu
        for sample in request.samples:
            key = (route, sample.phase, sample.stack)
            cost = samples.costs.get(key)
            if cost is None:
                cost = samples.costs[key] = Cost()
            cost.wall += sample.wall
            cost.cpu += sample.cpu
            cost.waited += sample.waited
            samples.count += not sample.waited

    async def _run_on_worker(
        self,
        run: Callable[..., Awaitable[float]],
        function: Callable[[Any], None],
        argument: Any,
        *rest: Any,
    ) -> float:
        """Run a job of a worker pool such that its thread is sampled meanwhile."""
        request = current()
        if request is None or request.finished:
            return await run(function, argument, *rest)
        handed, ended = perf_counter(), 0.0

        def job(argument: Any) -> None:
            nonlocal ended
            if self._stopped:
                function(argument)
                return
            request.wait(WORKER_WAIT, perf_counter() - handed)
            try:
                self.run_job(request, function, argument)
            finally:
                ended = perf_counter()

        request.elsewhere += 1
        try:
            return await run(job, argument, *rest)
        finally:
            request.elsewhere -= 1
            if ended:
                request.wait(LOOP_WAIT, perf_counter() - ended)

    def run_job(self, request: Followed, function: Callable[[Any], None], argument: Any) -> None:
        """Run a function on a worker thread as a piece of a request."""
        self._listen()
        request.resume()
        try:
            function(argument)
        finally:
            request.pause()

    def _sample(self, frame: types.FrameType, event: str, arg: Any) -> None:
        """Take a sample on the thread that is sampled; pyinstrument calls this."""
        if self._stopped:
            self._forget()
            return
        piece = _here.piece
        if piece is None:
            # A task of the request's own, or async code for which its worker thread waits:
            # the wait is measured, what it costs a processor is not.
            request = current()
            if request is not None and not request.finished and _in_other_task(request):
                stack = self._stack(frame, event, arg)
                request.samples.append(Sample(stack, 0.0, INTERVAL_S, 0.0))
            return
        now, cpu = perf_counter(), thread_time()
        passed = now - piece.wall
        # One tick at least, or there would be no sample; more if something in C took long.
        weight = INTERVAL_S * max(1, int(passed / INTERVAL_S))
        share = min(1.0, (cpu - piece.cpu) / passed) if passed > 0 else 1.0
        piece.wall, piece.cpu = now, cpu
        if not piece.request.finished:
            stack = self._stack(frame, event, arg)
            piece.request.samples.append(Sample(stack, weight, weight * share, 0.0))

    def _stack(self, frame: types.FrameType | None, event: str, arg: Any) -> Stack:
        infos: list[str] = []
        if event == "call" and frame is not None:
            frame = frame.f_back  # the time until now was the caller's
        if frame is None or frame.f_code is _FOLLOWS or frame.f_code is _RUNS:
            return ()
        if event in ("c_return", "c_exception"):
            infos.append(f"{getattr(arg, '__qualname__', '?')}\x00<built-in>\x000")
        while frame is not None:
            if frame.f_code is _FOLLOWS or frame.f_code is _RUNS:
                break
            infos.append(self.info(frame.f_code, frame.f_lineno))
            frame = frame.f_back
        return tuple(reversed(infos))

    def info(self, code: types.CodeType, line: int) -> str:
        """Return a place in the code as pyinstrument writes it."""
        key = (id(code), line)
        info = self._infos.get(key)
        if info is None:
            self._codes.append(code)
            info = f"{code.co_qualname}\x00{code.co_filename}\x00{code.co_firstlineno}\x01l{line}"
            self._infos[key] = info
        return info

    def awaited(self, coroutine: Any) -> Stack:
        """Return where a suspended coroutine is: each coroutine of the chain that awaits."""
        infos = []
        while (frame := _frame_of(coroutine)) is not None:
            infos.append(self.info(frame.f_code, frame.f_lineno))
            coroutine = _awaited_by(coroutine)
        return (*infos, AWAIT)


@types.coroutine
def follow_request(
    request: Followed, coroutine: Coroutine[Any, Any, None]
) -> Generator[Any, Any, None]:
    """Await a coroutine, as a piece of the request whenever it runs."""
    step: Callable[[Any], Any] = coroutine.send
    value: Any = None
    sampler = request._sampler
    while True:
        try:
            request.resume()
            try:
                future = step(value)
            finally:
                request.pause()
        except StopIteration:
            return
        if request.elsewhere or not sampler.samples_stacks:
            stack: Stack = ()
        else:
            stack = sampler.awaited(coroutine)
        suspended = perf_counter()
        try:
            value = yield future
            step = coroutine.send
        except BaseException as error:  # a cancellation, too, is for the coroutine to handle
            step, value = coroutine.throw, error
        if stack:
            request.wait(stack, perf_counter() - suspended)


def _in_other_task(request: Followed) -> bool:
    try:
        task = asyncio.current_task()
    except RuntimeError:  # a worker thread, about to begin a job or just after one
        return False
    return task is not None and task is not request.task


def _frame_of(awaiting: Any) -> types.FrameType | None:
    for attribute in ("cr_frame", "gi_frame", "ag_frame"):
        frame = getattr(awaiting, attribute, None)
        if isinstance(frame, types.FrameType):
            return frame
    return None


def _awaited_by(awaiting: Any) -> Any:
    for attribute in ("cr_await", "gi_yieldfrom", "ag_await"):
        found = getattr(awaiting, attribute, None)
        if found is not None:
            return found
    return None


# Below these frames are the server, the event loop and what starts threads.
_FOLLOWS = follow_request.__code__
_RUNS = Sampler.run_job.__code__
