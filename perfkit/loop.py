"""How late an event loop is, and what blocks it, told while it is blocked.

A heartbeat on each watched loop asks to be called in short intervals; how much later that
happens is the loop's lag. A thread looks at the heartbeats. When one is overdue by the threshold
and the loop's thread is inside of a callback, the loop is blocked: the thread reads
that thread's stack and names the request and the line of the application that are running.
A loop that waits for events keeps its heartbeat, and one that was stopped is inside of no
callback, so neither is ever named.

Nor is one that wants to run and gets no core: what it runs at that moment is not to blame. Linux
tells for how long a thread has waited for one. A machine or a process that was paused is known by
the watchdog's own thread, which then woke up too late although nothing was computed meanwhile.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys
import sysconfig
import threading
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from time import perf_counter, process_time
from types import CodeType, FrameType
from typing import Any, NamedTuple
from weakref import finalize

from perfkit import record
from perfkit.errors import PerfkitError
from perfkit.listeners import guarded
from restmachine import RestApplication
from restmachine.exchange import Exchange
from restmachine.plan import Plan

logger = logging.getLogger("perfkit")

THRESHOLD_SECONDS = 0.05
BEATS = 4
"""Heartbeats in a threshold: a loop's lag is known to that fraction, at the price of the beats."""
STACK_LINES = 8
"""How many calls of a stack are kept."""

_HERE = sys._getframe().f_code.co_filename


@dataclass(frozen=True, slots=True)
class Stall:
    """An event loop that runs nothing but one callback.

    Attributes:
        seconds: For how long so far, or in all once it has *ended*; short of the truth by at
            most one heartbeat.
        ended: Whether the loop runs again.
        method, route: The request that blocks, and the template of its route; None for what
            belongs to no request, as a task of the application's own does.
        file, line, function: Where the application's code is: the innermost line which is
            neither a library's nor the framework's, if there is one.
        stack: The innermost calls, as ``file:line function``, the blocking one last.
    """

    seconds: float
    ended: bool
    method: str | None
    route: str | None
    file: str
    line: int
    function: str
    stack: tuple[str, ...]

    def __str__(self) -> str:
        request = f"{self.method} {self.route or '(no route)'}" if self.method else "no request"
        verb = "was" if self.ended else "has been"
        return (
            f"the event loop {verb} blocked for {self.seconds * 1000:.0f} ms "
            f"by {self.function} ({self.file}:{self.line}), {request}"
        )


OnStall = Callable[[Stall], None]
OnLag = Callable[[float], None]


def log_stall(stall: Stall) -> None:
    """Log one line when a loop is blocked, and one when it runs again."""
    logger.warning("%s", stall)


class Watchdog:
    """Watches event loops from a thread of its own, which starts with the first loop.

    Args:
        threshold: How long a callback may run before it is a stall, in seconds.
        on_stall: Hears of each stall twice: on the watchdog's thread while it lasts, and
            when it is over, with its duration.
        on_lag: Takes the lag of a loop at each heartbeat, in seconds, on that loop's thread;
            event loops round to milliseconds, and so does the lag.

    Raises:
        PerfkitError: The threshold is not above zero.
    """

    def __init__(
        self,
        threshold: float = THRESHOLD_SECONDS,
        *,
        on_stall: OnStall = log_stall,
        on_lag: OnLag | None = None,
    ) -> None:
        if not threshold > 0:
            raise PerfkitError(f"a stall takes longer than {threshold:g} s: give a threshold above")
        self.threshold = threshold
        self._interval = threshold / BEATS
        self._on_stall = guarded(on_stall)
        self._on_lag = guarded(on_lag) if on_lag is not None else None
        self._hearts: dict[asyncio.AbstractEventLoop, _Heart] = {}
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def watch(self) -> None:
        """Watch the running event loop from now on; a second time changes nothing."""
        loop = asyncio.get_running_loop()
        if loop in self._hearts:
            return
        heart = _Heart(loop, self._interval, self._on_lag)
        with self._lock:
            self._hearts = {**self._hearts, loop: heart}
            if self._thread is None:
                self._wake.clear()
                self._thread = threading.Thread(
                    target=self._look, name="perfkit-watchdog", daemon=True
                )
                self._thread.start()

    def unwatch(self) -> None:
        """Watch the running event loop no more; with the last one the thread ends."""
        self._forget(asyncio.get_running_loop())
        if not self._hearts:
            self.close()

    def close(self) -> None:
        """Watch nothing more, and end the thread."""
        with self._lock:
            hearts, self._hearts = self._hearts, {}
            thread, self._thread = self._thread, None
        for heart in hearts.values():
            heart.stop()
        self._wake.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _forget(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._lock:
            hearts = dict(self._hearts)
            heart = hearts.pop(loop, None)
            self._hearts = hearts
        if heart is not None:
            heart.stop()

    def _look(self) -> None:
        """Look at every heart as often as a new stall is possible, until there is none."""
        turns = _CoreTimes()
        pause, began, computed = self._pause(), perf_counter(), process_time()
        while not self._wake.wait(pause):
            # Who keeps the interpreter for long makes this thread late as well, but computes.
            late = perf_counter() - began - pause
            paused = max(0.0, late - (process_time() - computed) - turns.since_last().queued)
            for loop, heart in self._hearts.items():
                if loop.is_closed():
                    self._forget(loop)
                elif (stall := heart.examine(self.threshold, paused)) is not None:
                    self._on_stall(stall)
            pause, began, computed = self._pause(), perf_counter(), process_time()

    def _pause(self) -> float:
        # Each look takes the interpreter away from the loop, so none is taken before the
        # earliest moment at which it could find a stall.
        now = perf_counter()
        waits = [heart.look_in(now, self.threshold) for heart in self._hearts.values()]
        return min(waits, default=self.threshold)


class _OnCore(NamedTuple):
    """For how many seconds a thread ran on a core, and waited for one."""

    ran: float
    queued: float


class _CoreTimes:
    """What Linux tells of the thread that makes this; elsewhere it has never run nor waited."""

    def __init__(self) -> None:
        folder = Path(f"/proc/self/task/{threading.get_native_id()}")
        self._files: list[int] = []
        with suppress(OSError):
            for name in ("schedstat", "stat"):
                self._files.append(os.open(folder / name, os.O_RDONLY))
                finalize(self, os.close, self._files[-1])
        self._so_far = self._read()

    def since_last(self) -> _OnCore:
        """Return the times since the last call; a wait counts once it is over."""
        before, self._so_far = self._so_far, self._read()
        return _OnCore(self._so_far.ran - before.ran, self._so_far.queued - before.queued)

    def is_queued(self) -> bool:
        """Return whether the thread could run now; if it does not, it waits for a core."""
        *_, state = self._told(1).rpartition(b") ")
        return state.startswith(b"R")

    def _read(self) -> _OnCore:
        told = self._told(0).split()
        return _OnCore(int(told[0]) / 1e9, int(told[1]) / 1e9) if told else _OnCore(0.0, 0.0)

    def _told(self, file: int) -> bytes:
        """Return what a file says, nothing if it is not there or the thread has ended."""
        try:
            return os.pread(self._files[file], 1000, 0)
        except (OSError, IndexError):
            return b""


class _Heart:
    """The heartbeat of one loop, and what its watchdog made of it."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, interval: float, on_lag: OnLag | None
    ) -> None:
        self._loop = loop
        self._interval = interval
        self._on_lag = on_lag
        self._base: CodeType | None = None
        self._thread = threading.get_ident()
        self._times = _CoreTimes()
        self._due = perf_counter() + interval
        self._known: Stall | None = None
        self._known_due = 0.0
        self._looked_due = 0.0
        self._starved = 0.0
        self._rested = False
        self._timer = loop.call_later(interval, self._beat)

    def _beat(self) -> None:
        now = perf_counter()
        lag = now - self._due
        self._due = now + self._interval
        self._timer = self._loop.call_later(self._interval, self._beat)
        self._rested = False
        if self._base is None:
            # Whatever calls a callback: all that is above it on the stack is one.
            self._base = sys._getframe(1).f_code
        self._thread = threading.get_ident()
        if self._on_lag is not None:
            self._on_lag(max(0.0, lag))

    def stop(self) -> None:
        """Beat no more."""
        if self._loop.is_closed():
            return
        if threading.get_ident() == self._thread or not self._loop.is_running():
            self._timer.cancel()
        else:
            self._loop.call_soon_threadsafe(lambda: self._timer.cancel())

    def look_in(self, now: float, threshold: float) -> float:
        """Return the seconds until there may be something to tell."""
        if self._known is not None:
            return self._interval
        return max(self._interval, self._due + threshold - now)

    def examine(self, threshold: float, paused: float) -> Stall | None:
        """Return a stall that began, or one that ended.

        Args:
            paused: Seconds since the last look in which nothing ran in this process.
        """
        due, now = self._due, perf_counter()
        ran, queued = self._times.since_last()
        if self._known is not None:
            if due == self._known_due:
                return None
            # The beat after the stall set the next one to an interval later.
            stall, self._known = self._known, None
            seconds = max(stall.seconds, self._late(due))
            return replace(stall, seconds=seconds, ended=True)
        if not self._loop.is_running():
            self._rested = True
        if due != self._looked_due:
            self._looked_due, self._starved = due, 0.0
        self._starved += max(paused, queued)
        if self._rested or self._base is None or now - due - self._starved < threshold:
            return None
        if ran < self._interval / 2 and self._times.is_queued():
            return None
        calls = self._calls()
        if due != self._due or not calls:
            return None
        self._known_due = due
        self._known = _stall(now - due, calls, self._loop)
        return self._known

    def _late(self, next_due: float) -> float:
        """Return how late the first beat was that came after the known stall."""
        return next_due - self._interval - self._known_due

    def _calls(self) -> list[FrameType]:
        """Return the calls of the callback that runs, innermost first; none while it waits."""
        calls: list[FrameType] = []
        frame = sys._current_frames().get(self._thread)
        while frame is not None and frame.f_code is not self._base:
            calls.append(frame)
            frame = frame.f_back
        if frame is None or (calls and calls[0].f_code.co_filename == _HERE):
            return []
        return calls


def _stall(seconds: float, calls: list[FrameType], loop: asyncio.AbstractEventLoop) -> Stall:
    method, route = _request(calls, loop)
    blamed = next((call for call in calls if not _is_library(call.f_code.co_filename)), calls[0])
    stack = [
        f"{summary.filename}:{summary.lineno} {summary.name}"
        for summary in traceback.StackSummary.extract(
            ((call, call.f_lineno) for call in calls[STACK_LINES - 1 :: -1]), lookup_lines=False
        )
    ]
    code = blamed.f_code
    return Stall(
        seconds, False, method, route, code.co_filename, blamed.f_lineno, code.co_qualname,
        tuple(stack),
    )  # fmt: skip


def _request(
    calls: list[FrameType], loop: asyncio.AbstractEventLoop
) -> tuple[str | None, str | None]:
    """Return the method and route of the request that runs on a loop, seen from another thread."""
    task = asyncio.current_task(loop)
    running = _context(task).get(record.current) if task is not None else None
    if isinstance(running, record.Record):
        return running.method, running.route
    if running is not None:
        return running.method, running.route_template
    for call in calls:
        if call.f_globals.get("__name__", "").startswith("restmachine."):
            served = call.f_locals.get("exchange") or call.f_locals.get("plan")
            if isinstance(served, Exchange):
                return served.method, served.route_template
            if isinstance(served, Plan):
                return served.method, served.template
    return None, None


def _context(task: asyncio.Task[Any]) -> Context:
    """Return the context of a task, which it tells from Python 3.12 on."""
    if sys.version_info >= (3, 12):
        return task.get_context()
    return next((each for each in gc.get_referents(task) if isinstance(each, Context)), Context())


@cache
def _is_library(file: str) -> bool:
    """Return whether a file is of Python, an installed package, or one of these two packages."""
    if file.startswith("<"):
        return True
    paths = sysconfig.get_paths()
    folders = {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    folders |= {
        str(Path(_HERE).parent),
        str(Path(sys.modules["restmachine"].__file__ or "").parent),
    }
    return any(file.startswith(f"{folder}/") for folder in folders)


def attach(app: RestApplication, watchdog: Watchdog) -> None:
    """Watch the loop that an application runs on, from its startup to its shutdown.

    A server that does not run the lifespan of its application starts nothing: call
    `Watchdog.watch` on the loop then.
    """

    @app.on_startup
    async def stall_watchdog() -> AsyncIterator[Watchdog]:
        watchdog.watch()
        yield watchdog
        watchdog.unwatch()
