"""Runs two versions of the same packages in turns, on one core, and keeps every raw round.

One **generation** is a pair of fresh processes, one for each version. Within it the versions take
turns in blocks of four rounds, A B B A or B A A B by lot, so that neither profits from
its place; benchmarks follow one another in random order. A process can be off for its whole life,
so generations are short and many, and each process lays out its memory by lot. What must be equal
on both sides is: the core, the environment, the seed of string hashes (another one in each
generation), the benchmarks' source and the number of calls in a round.
"""

from __future__ import annotations

import ast
import math
import os
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import NamedTuple

import psutil

from perfkit.peer import Peer, PeerError
from perfkit.stats import Pair
from perfkit.versions import Trees
from perfkit.worker import ROUND_SECONDS

SIDES = {"base": "BASE", "head": "the working tree"}
# glibc giving memory back and asking for it again moved one workload by 25 %. Setting one of
# the two switches off the other's adaptation, so both are set.
MALLOC = {"MALLOC_TRIM_THRESHOLD_": str(1 << 30), "MALLOC_MMAP_THRESHOLD_": str(1 << 25)}


Samples = dict[str, list[list[Pair]]]
"""By benchmark, then by generation."""


@dataclass(frozen=True)
class Bench:
    """What is run: two trees, one folder of benchmarks for both, and what they may measure."""

    trees: Trees
    benchmarks: Path
    packages: Sequence[str]


@dataclass
class Plan:
    """What can be compared, how, and why the rest cannot."""

    calls: dict[str, int]
    """Calls in a round, by benchmark: the same on both sides."""
    passes: int
    """Blocks of each benchmark in a generation."""
    new: dict[str, str]
    """Why these benchmarks do not run on the base version."""
    gone: list[str]
    """Benchmarks which only the base version has."""
    samples: Samples = field(default_factory=dict)


class Worker(Peer):
    """A process that has loaded something and times rounds of it on request."""

    def timed(self, name: str, calls: int) -> tuple[float, bool]:
        """Return the seconds of one call of *name*, and whether the round was interrupted."""
        nanoseconds, interrupted = self.ask([name, calls])
        return nanoseconds / 1e9, interrupted


class Workers(NamedTuple):
    """One worker a side."""

    base: Worker
    head: Worker


@contextmanager
def generation(bench: Bench, names: Collection[str], seed: int) -> Iterator[Workers]:
    """Start a fresh process for each side on one core; *names* is what to load."""
    core = pick_core()
    sides = list(zip(Trees._fields, bench.trees, strict=True))
    # By lot, as the one that starts first may find other memory than the second.
    Random(seed).shuffle(sides)
    with ExitStack() as stack:
        workers = {}
        for side, tree in sides:
            environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
            environment |= MALLOC | {"PYTHONPATH": str(tree), "PYTHONHASHSEED": str(seed)}
            command = [sys.executable, "-P", str(Path(__file__).with_name("worker.py"))]
            with pinned(core):
                worker = Worker(SIDES[side], command, environment)
            stack.callback(worker.close)
            worker.send(
                {
                    "tree": str(tree),
                    "benchmarks": str(bench.benchmarks),
                    "packages": list(bench.packages),
                    "names": sorted(names),
                    "layout": f"{seed} {side}",
                }
            )
            workers[side] = worker
        yield Workers(**workers)


def pick_core() -> int | None:
    """Return the idlest core that we may use, or None where the system cannot pin."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    busy = psutil.cpu_percent(interval=0.05, percpu=True)
    # Containers may show fewer cores than they number.
    return min(os.sched_getaffinity(0), key=lambda core: busy[core] if core < len(busy) else 100.0)


@contextmanager
def pinned(core: int | None) -> Iterator[None]:
    """Let processes started in this block have *core* from before their first thread on."""
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def benchmark_names(folder: Path) -> list[str]:
    """Return ``file::function`` of all benchmarks in *folder*, without running anything."""
    return [
        f"{path.name}::{node.name}"
        for path in sorted(folder.glob("bench_*.py"))
        for node in ast.parse(path.read_bytes()).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("bench_")
    ]


def prepare(bench: Bench, wanted: Callable[[str], bool]) -> Plan:
    """Find out what runs on both sides and how many calls make a round.

    Raises:
        PeerError: A benchmark fails in the working tree, or a process does.
    """
    started = time.perf_counter()
    chosen = [name for name in benchmark_names(bench.benchmarks) if wanted(name)]
    with generation(bench, chosen, seed=0) as workers:
        theirs, ours = workers.base.answer(), workers.head.answer()
        startup = time.perf_counter() - started
        for name, reason in ours["broken"].items():
            raise PeerError(SIDES["head"], f"{name} fails: {reason}")
        both = [name for name in ours["ready"] if name in theirs["ready"]]
        calls = {name: calibrated(workers, name) for name in both}
    base_folder = bench.trees.base / bench.benchmarks.relative_to(bench.trees.head)
    gone = [name for name in benchmark_names(base_folder) if wanted(name) and name not in chosen]
    return Plan(calls, balanced_passes(startup, len(both)), theirs["broken"], gone)


def balanced_passes(startup: float, benchmarks: int) -> int:
    """Return how many passes a generation needs to pay for its start, given in seconds.

    Processes differ more than rounds do, so many processes with few rounds each narrow an
    interval fastest; the best number goes with the root of what a start costs over what a pass
    costs. Two passes at least: the median of four pairs bears one outlier.
    """
    one_pass = 4 * 1.2 * ROUND_SECONDS * max(1, benchmarks)
    return min(20, max(2, round(math.sqrt(startup / one_pass))))


def calibrated(workers: Workers, name: str) -> int:
    """Return how many calls of *name* make a round of `ROUND_SECONDS` on the slower side."""
    calls = 1
    while True:
        slower = max(worker.timed(name, calls)[0] for worker in workers)
        if slower * calls >= ROUND_SECONDS / 4:
            return max(1, round(ROUND_SECONDS / slower))
        calls *= 4


def time_generation(workers: Workers, plan: Plan, names: Collection[str], lot: Random) -> Samples:
    """Time all passes of one generation; the result has one generation for each name."""
    taken: Samples = {name: [[]] for name in names}
    order = sorted(names)
    for _ in range(plan.passes):
        lot.shuffle(order)
        for name in order:
            base_first = lot.random() < 0.5
            for first in (base_first, not base_first):
                taken[name][0].append(timed_pair(workers, name, plan.calls[name], first))
    return taken


def timed_pair(workers: Workers, name: str, calls: int, base_first: bool) -> Pair:
    """Time a round of each side, one directly after the other."""
    if base_first:
        base, head = workers.base.timed(name, calls), workers.head.timed(name, calls)
    else:
        head, base = workers.head.timed(name, calls), workers.base.timed(name, calls)
    return Pair(base[0], head[0], base_first, base[1] or head[1])


def collect(
    bench: Bench,
    plan: Plan,
    deadlines: Sequence[float],
    decided: Callable[[Samples], Collection[str]],
    progress: Callable[[str], None],
    clock: Callable[[], float] = time.perf_counter,
) -> None:
    """Fill ``plan.samples``, generation by generation; one at least, however short the time.

    Args:
        deadlines: Seconds from now at which *decided* is asked which benchmarks are settled;
            they leave the run. The last deadline ends it.
        decided: Looks at all samples so far.
        progress: Takes one line for the user after each generation.
        clock: Seconds since any moment.
    """
    begin = clock()
    open_names = set(plan.calls)
    plan.samples = {name: [] for name in plan.calls}
    seed = 0
    for deadline in deadlines:
        while open_names and (seed == 0 or clock() - begin < deadline):
            seed += 1
            with generation(bench, open_names, seed) as workers:
                for worker in workers:
                    worker.answer()
                taken = time_generation(workers, plan, open_names, Random(seed))
            for name, generations in taken.items():
                plan.samples[name].extend(generations)
            elapsed = clock() - begin
            progress(
                f"{elapsed:.0f} of at most {deadlines[-1]:.0f} s, {seed} pairs of processes, "
                f"{len(open_names)} of {len(plan.calls)} benchmarks open"
            )
        open_names -= set(decided(plan.samples))
