"""Tells the memory that one request allocates from that of all others in the process.

`tracemalloc` knows neither tasks nor requests. A `Sample` therefore looks at its totals only
where a request itself begins and ceases to run: at each of its steps on the event loop or on a
worker thread. While other threads run as well it looks at every call. And since each step is run
from this file, a block whose traceback leads through it belongs to the sampled request, whatever
else ran meanwhile: that tells what is still there when the request is gone. One request at a time
can be sampled in a process, and only then is anything traced.
"""

from __future__ import annotations

import ctypes
import sys
import threading
import tracemalloc
from _tracemalloc import _get_traces
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from time import perf_counter, process_time, thread_time
from typing import Any, Final, TypeVar

from perfkit.errors import PerfkitError
from restmachine.hooks import Steps

FRAMES: Final = 23
"""Calls that a traceback keeps, at 0.3 us each: a block that is allocated deeper below the handler
counts as somebody else's once the request is gone.

An unusual number, by which `Tracing` knows whether anyone else has started tracemalloc since.
"""
WORTH_A_LOOK: Final = 64 * 1024
"""Bytes by which a request must have grown for its lines to be looked at once more."""
ALONE_SECONDS: Final = 2e-6
"""Processor time that other threads may seem to have had while they had none."""
DOUBTFUL: Final = 16 * 1024
"""Bytes beyond which it pays to find out whose they are."""

Value = TypeVar("Value")

_HERE = sys._getframe().f_code.co_filename

Trace = tuple[int, int, Sequence[tuple[str, int]], int]
"""Domain, bytes, calls as file and line with the innermost first, and how many calls there were."""


class TracingError(PerfkitError):
    """Allocations cannot be traced here; the text says why and what to do."""


class _Allocator(ctypes.Structure):
    """`PyMemAllocatorEx` of Python's C API."""

    _fields_ = tuple(
        (name, ctypes.c_void_p) for name in ("ctx", "malloc", "calloc", "realloc", "free")
    )


class Tracing:
    """Switches tracemalloc on and off, in a process whose other threads go on allocating.

    `tracemalloc.stop` frees what a thread that allocates without holding the interpreter's lock
    (in zlib or lzma, say) may be about to use: the process then dies of a segmentation
    fault. Python 3.12.9 and 3.13.2 mend that. In 3.11 tracing is therefore started once and then
    paused: Python's own allocators are put back through `PyMem_SetAllocator` and all traces are
    dropped, but nothing is freed that another thread may still use. To trace all the time would
    be simpler, but slows every allocation of every request; and no moment is known to be quiet,
    since a user's thread may be in zlib at any.
    """

    def __init__(self) -> None:
        self._own: list[_Allocator] = []
        self._tracing: list[_Allocator] = []

    def start(self) -> None:
        """Trace all allocations from now on.

        Raises:
            TracingError: Somebody else traces already, or this Python cannot do it safely.
        """
        if tracemalloc.is_tracing():
            raise TracingError(
                "memory is not sampled while tracemalloc is on: "
                "do without PYTHONTRACEMALLOC and tracemalloc.start()"
            )
        if sys.version_info >= (3, 12):
            if sys.version_info < (3, 12, 9) or (3, 13) <= sys.version_info < (3, 13, 2):
                raise TracingError(
                    "memory is not sampled: tracemalloc of this Python may crash a process with "
                    "threads; use 3.12.9, 3.13.2 or later"
                )
            tracemalloc.start(FRAMES)
        elif self._tracing and tracemalloc.get_traceback_limit() == FRAMES:
            _config()[1] = 1
            tracemalloc.clear_traces()
            _put(self._tracing)
        else:
            self._own = _allocators()
            if any(each.ctx for each in self._own[1:]):
                raise TracingError(
                    "memory is not sampled with debug hooks on allocators: "
                    "do without PYTHONMALLOC=debug and python -X dev"
                )
            tracemalloc.start(FRAMES)
            self._tracing = _allocators()
            # Python's own functions take no notice of the context. It stays the same, as a
            # thread may read function and context while they are being exchanged.
            self._own[0].ctx = self._tracing[0].ctx

    def stop(self) -> None:
        """Trace no more, and drop all traces."""
        if sys.version_info >= (3, 12):
            tracemalloc.stop()
        elif tracemalloc.is_tracing() and tracemalloc.get_traceback_limit() == FRAMES:
            _put(self._own)
            tracemalloc.clear_traces()
            _config()[1] = 0


def _config() -> ctypes.Array[ctypes.c_int]:
    """Return tracemalloc's own switches in 3.11: initialised, tracing, frames."""
    return (ctypes.c_int * 3).in_dll(ctypes.pythonapi, "_Py_tracemalloc_config")


def _allocators() -> list[_Allocator]:
    """Return the allocators of the three domains: raw, mem and object."""
    found = [_Allocator() for _ in range(3)]
    for domain, allocator in enumerate(found):
        ctypes.pythonapi.PyMem_GetAllocator(ctypes.c_int(domain), ctypes.byref(allocator))
    return found


def _put(allocators: Sequence[_Allocator]) -> None:
    for domain, allocator in enumerate(allocators):
        ctypes.pythonapi.PyMem_SetAllocator(ctypes.c_int(domain), ctypes.byref(allocator))


tracing = Tracing()
"""The one switch: tracemalloc is on for a process or off."""
_slot = threading.Lock()


@dataclass(frozen=True, slots=True)
class Line:
    """A line of code, with the memory that it allocated and that was there at one moment."""

    file: str
    line: int
    size: int
    blocks: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.size / 1024:.1f} KiB in {self.blocks} blocks"


class Sample(Steps):
    """What one request allocates, from `begin` on until `end`.

    Args:
        is_crowded: Whether other threads may allocate just now, so that every call of the request
            must be looked at and not only each of its steps.

    Attributes:
        allocated: Bytes by which the memory rose in the request's steps, all rises added. What
            is allocated and freed below the highest point of one step is not in it, unless every
            call was looked at.
        peak: The most bytes that the request had at once.
        seconds: How long allocations were traced.
        others_cpu: Seconds for which other threads ran in steps that were looked at as a whole;
            what they allocated meanwhile is in `allocated` and `peak`, but not in the rest.
        kept, kept_blocks: What was still there at the end.
        lines: Which lines allocated most of what was there when a step had ended with most.
    """

    def __init__(self, is_crowded: Callable[[], bool] = lambda: False) -> None:
        self._is_crowded = is_crowded
        self._crowded = False
        self.allocated = 0
        self.peak = 0
        self.seconds = 0.0
        self.others_cpu = 0.0
        self.kept = 0
        self.kept_blocks = 0
        self.lines: tuple[Line, ...] = ()
        self.ended = True
        self._running = False
        self._before = 0
        self._balance = 0
        self._seen = WORTH_A_LOOK
        self._next_look = 0.0
        self._most: Sequence[Trace] = []

    def begin(self) -> bool:
        """Start tracing, unless another request is sampled.

        Raises:
            TracingError: Nothing can be traced here.
        """
        if not _slot.acquire(blocking=False):
            return False
        try:
            tracing.start()
        except BaseException:
            _slot.release()
            raise
        self.ended = False
        self._started = perf_counter()
        return True

    def end(self, top: int) -> None:
        """Stop tracing and look at what is left; *top* is how many lines to name."""
        if self.ended:
            return
        self.ended = True
        try:
            left = traces()
        finally:
            tracing.stop()
            self.seconds = perf_counter() - self._started
            _slot.release()
        own = list(owned(left))
        self.kept = sum(size for size, _ in own)
        self.kept_blocks = len(own)
        self.lines = top_lines(owned(self._most) if self._most else own, top)
        self._most = []

    def resumed(self) -> None:
        """Look at what there is before the request runs on this thread."""
        self._running = True
        self._set_out()
        # Another profiler keeps its place; the step is then looked at as a whole.
        self._crowded = self._is_crowded() and sys.getprofile() is None
        if self._crowded:
            sys.setprofile(self._called)

    def run(self, step: Callable[[Any], Value], argument: Any) -> Value:
        """Run a step of the request from this file."""
        return step(argument)

    def suspended(self) -> None:
        """Look at what the request allocated since it was resumed."""
        if self._crowded:
            sys.setprofile(None)
        if not self.ended:
            self._account()
            if not self._crowded:
                self.others_cpu += self._others_ran()
            if self._balance > self._seen:
                self._seen = self._balance + WORTH_A_LOOK
                self._most = traces()
        self._running = False

    def so_far(self) -> tuple[int, int]:
        """Return the bytes allocated and the peak, with the step that runs now."""
        if self.ended or not self._running:
            return self.allocated, self.peak
        rise = max(0, tracemalloc.get_traced_memory()[1] - self._before)
        return self.allocated + rise, max(self.peak, self._balance + rise)

    def _called(self, frame: object, event: str, argument: object) -> None:
        """Account, at each call and return on this thread, for what happened since the last."""
        if not self.ended:
            self._account()
            self._set_out()

    def _set_out(self) -> None:
        self._others = process_time() - thread_time()
        self._before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()

    def _account(self) -> None:
        """Add what this thread allocated since `_set_out`, and not what others did meanwhile.

        Where they ran, only what this request has more than before is certain.
        """
        now, peak = tracemalloc.get_traced_memory()
        rise, net = peak - self._before, now - self._before
        if self._crowded and self._others_ran() > ALONE_SECONDS:
            # What others freed may hide what this request took, so it is looked for even
            # where nothing has changed, but not in more than a tenth of the time.
            doubtful = max(rise, abs(net)) > DOUBTFUL or perf_counter() > self._next_look
            rise = net = self._own_bytes() - self._balance if doubtful else 0
        rise = max(0, rise)
        self.allocated += rise
        self.peak = max(self.peak, self._balance + rise)
        self._balance += net

    def _own_bytes(self) -> int:
        """Return the bytes that this request has now, which takes a while to count."""
        started = perf_counter()
        own = sum(size for size, _ in owned(traces()))
        self._next_look = perf_counter() + 10 * (perf_counter() - started)
        return own

    def _others_ran(self) -> float:
        """Return the seconds of processor time that other threads had since `_set_out`."""
        return max(0.0, process_time() - thread_time() - self._others)


def traces() -> Sequence[Trace]:
    """Return all blocks that were allocated since tracing started and are still there."""
    # The public snapshot makes three objects of each, which is ten times as slow.
    return _get_traces()  # type: ignore[return-value] # the stub knows Python 3.8 as well


def owned(blocks: Iterable[Trace]) -> Iterable[tuple[int, tuple[str, int]]]:
    """Yield bytes and innermost call of the blocks that the sampled request allocated."""
    known: dict[int, bool] = {}
    for _, size, calls, _ in blocks:
        # Blocks with one traceback share the object.
        own = known.get(id(calls))
        if own is None:
            own = known[id(calls)] = calls[0][0] != _HERE and any(
                file == _HERE for file, _ in calls
            )
        if own:
            yield size, calls[0]


def top_lines(blocks: Iterable[tuple[int, tuple[str, int]]], top: int) -> tuple[Line, ...]:
    """Return the lines that allocated most bytes."""
    sizes: Counter[tuple[str, int]] = Counter()
    numbers: Counter[tuple[str, int]] = Counter()
    for size, place in blocks:
        sizes[place] += size
        numbers[place] += 1
    return tuple(
        Line(*place, size=size, blocks=numbers[place]) for place, size in sizes.most_common(top)
    )
