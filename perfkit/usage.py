"""How busy processes are: time on a core, and time spent waiting for one."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

LINUX: bool = sys.platform == "linux"
_CPUCLOCK_SCHED = 2


@dataclass(frozen=True, slots=True)
class Usage:
    """Shares of one core since the sample before; more than 1.0 for several processes."""

    cpu: float = 0.0
    waiting: float = 0.0

    @property
    def wanted(self) -> float:
        """The share that the process would have used had no one else been there."""
        return self.cpu + self.waiting


class ProcessUsage:
    """Samples one process, with its descendants if *tree* is set."""

    def __init__(self, pid: int | None = None, *, tree: bool = False) -> None:
        self._process = psutil.Process(pid)
        self._tree = tree
        self._before = self._totals()

    def sample(self) -> Usage:
        """Return the shares since the last call; zeros once the process is gone."""
        before, now = self._before, self._totals()
        self._before = now
        wall, cpu, waiting = (late - early for late, early in zip(now, before, strict=True))
        if wall <= 0:
            return Usage()
        return Usage(cpu=max(0.0, cpu / wall), waiting=max(0.0, waiting / wall))

    def _totals(self) -> tuple[float, float, float]:
        """Return wall, CPU and waiting seconds up to now."""
        cpu = waiting = 0.0
        for process in self._processes():
            try:
                times = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            cpu += times.user + times.system
            waiting += run_queue_wait(process.pid)
        return time.perf_counter(), cpu, waiting

    def _processes(self) -> list[psutil.Process]:
        if not self._tree:
            return [self._process]
        try:
            return [self._process, *self._process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []


def run_queue_wait(pid: int) -> float:
    """Return the seconds that the threads of *pid* were ready and kept off a core.

    Linux tells in the second number of schedstat, in nanoseconds; elsewhere it is 0.
    """
    total = 0
    for thread in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        try:
            total += int(thread.read_text().split()[1])
        except OSError:
            continue
    return total / 1e9


def cpu_seconds(pid: int) -> float:
    """Return the CPU time, user and system, that a process has used since it began.

    Linux tells another process's to the nanosecond, by the clock that clock_getcpuclockid(3)
    derives from its number; elsewhere it comes in ticks of a hundredth of a second.
    """
    if LINUX:
        return time.clock_gettime((~pid << 3) | _CPUCLOCK_SCHED)
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def unique_bytes(pid: int) -> int:
    """Return the memory that would be free if a process ended: what it shares with none."""
    return int(psutil.Process(pid).memory_full_info().uss)
