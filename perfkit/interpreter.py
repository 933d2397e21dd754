"""Counts what happens in the interpreter: stalls of the event loop, collections, allocations."""

from __future__ import annotations

from perfkit.garbage import GCPauses
from perfkit.loop import Stall, Watchdog, log_stall
from perfkit.memory import MemorySampler, RequestMemory, log_sample
from perfkit.meter import of_process
from perfkit.metrics import GC_PAUSE, LOOP_LAG, LOOP_STALLS, REQUEST_MEMORY, UNMATCHED


def watchdog(threshold: float) -> Watchdog:
    """Return a watchdog that logs stalls, and counts them when they are over."""
    return Watchdog(threshold, on_stall=stalled, on_lag=lagged)


def stalled(stall: Stall) -> None:
    """Log a stall, and count it once it is over."""
    log_stall(stall)
    if stall.ended:
        of_process.add(LOOP_STALLS, stall.route or UNMATCHED)


def lagged(seconds: float) -> None:
    """Record how late the event loop was."""
    of_process.observe(LOOP_LAG, value=seconds)


_pauses = GCPauses(
    lambda generation, seconds: of_process.observe(GC_PAUSE, str(generation), value=seconds)
)


def time_collections() -> None:
    """Record every collection of this process from now on; to ask twice changes nothing."""
    _pauses.start()


def sampler(every: int) -> MemorySampler:
    """Return a sampler that logs what a request took, and records its highest point."""
    return MemorySampler(every, on_sample=sampled)


def sampled(taken: RequestMemory) -> None:
    """Log and record what a request took."""
    log_sample(taken)
    of_process.observe(REQUEST_MEMORY, taken.route or UNMATCHED, value=taken.peak_bytes)
