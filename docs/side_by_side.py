"""Times variants of one request side by side, for the documents' figures of what something costs.

Each of some processes has all variants in it, several instances of each, and runs them in turns of
about a millisecond, in an order by lot. What is compared is processor time, so that others on the
machine do not take any away; the intervals are over processes, as for `make gate`.

Whoever shares a core or a cache with us still makes everything slower, twice as slow at times, and
for seconds. So the processes live side by side as well, and take turns of a few rounds until the
end, on each core in turn: such a time, or such a core, then disturbs some rounds of each process,
and not all rounds of one.
"""

from __future__ import annotations

import gc
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import cycle, islice
from pathlib import Path
from random import Random
from statistics import median
from time import process_time

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "benchmarks")]

from perfkit.stats import Interval, signed_rank_interval  # noqa: E402 - found by the path above

INSTANCES = 3
"""Of each variant in a process: where one of them lies in memory should not decide."""
ROUND_SECONDS = 0.001
ROUNDS_IN_TURN = 4
"""Of a process, since the caches are cold when its turn begins."""
CONFIDENCE = 0.99

Request = Callable[[], object]
Round = dict[str, float]
"""Seconds of one request by variant."""
Times = dict[str, list[float]]
"""The same of one process for each round."""


def rounds_here(seed: int, variants: Mapping[str, Callable[[], Request]]) -> Iterator[Round]:
    """Yield rounds of all variants in this process, which has set them up at the first."""
    lot = Random(seed)
    names = [name for name in variants for _ in range(INSTANCES)]
    lot.shuffle(names)
    made = [(name, variants[name]()) for name in names]
    calls = {name: _calls(request) for name, request in made}
    gc.collect()
    for cores in cycle(_each_core()):
        if cores:
            os.sched_setaffinity(0, cores)
        lot.shuffle(made)
        taken: dict[str, list[float]] = {name: [] for name in variants}
        for name, request in made:
            taken[name].append(_seconds(request, calls[name]))
        yield {name: sum(each) / len(each) for name, each in taken.items()}


def serve(seed: int, variants: Mapping[str, Callable[[], Request]]) -> None:
    """Answer each line of the input, a number, with so many rounds."""
    rounds = rounds_here(seed, variants)
    for line in sys.stdin:
        print(json.dumps([*islice(rounds, int(line))]), flush=True)


def timed_by_processes(script: Path, processes: int, rounds: int) -> list[Times]:
    """Return the rounds of so many processes, each of which runs ``script serve SEED``."""
    with ExitStack() as stack:
        served = []
        for seed in range(processes):
            served.append(stack.enter_context(_started(script, seed)))
            _ask(served[-1], 1)  # while it is the only one that runs
            _tell(f"{script.stem}: {seed + 1} of {processes} processes")
        taken: list[list[Round]] = [[] for _ in served]
        for number in range(0, rounds, ROUNDS_IN_TURN):
            for process, so_far in zip(served, taken, strict=True):
                so_far.extend(_ask(process, ROUNDS_IN_TURN))
            _tell(f"{script.stem}: {number + ROUNDS_IN_TURN} of {rounds} rounds")
    return [{name: [one[name] for one in process] for name in process[0]} for process in taken]


def _each_core() -> list[set[int]]:
    """Return each core that this process may run on, and none where it cannot choose."""
    if not hasattr(os, "sched_getaffinity"):
        return [set()]
    return [{core} for core in sorted(os.sched_getaffinity(0))]


def _started(script: Path, seed: int) -> subprocess.Popen[str]:
    command = [sys.executable, str(script), "serve", str(seed)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True)


def _ask(process: subprocess.Popen[str], rounds: int) -> list[Round]:
    """Have a process run some rounds."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{rounds}\n")
    process.stdin.flush()
    answer = process.stdout.readline()
    if not answer:
        sys.exit("a process has ended before its time: its own words say why")
    taken: list[Round] = json.loads(answer)
    return taken


def _tell(progress: str) -> None:
    print(progress, file=sys.stderr, flush=True)


def differences(processes: Sequence[Times], name: str, base: str) -> list[float]:
    """Return of each process by how many microseconds a variant is slower than another."""
    return [
        1e6 * median(a - b for a, b in zip(times[name], times[base], strict=True))
        for times in processes
    ]


def ratios(processes: Sequence[Times], name: str, base: str) -> list[float]:
    """Return of each process how many times slower a variant is."""
    return [
        math.exp(median(math.log(a / b) for a, b in zip(times[name], times[base], strict=True)))
        for times in processes
    ]


def interval_of(samples: Sequence[float]) -> Interval:
    """Return the estimate of what the processes say, with its interval."""
    return signed_rank_interval(samples, CONFIDENCE)


def _seconds(request: Request, calls: int) -> float:
    started = process_time()
    for _ in range(calls):
        request()
    return (process_time() - started) / calls


def _calls(request: Request) -> int:
    return max(1, round(ROUND_SECONDS / min(_seconds(request, 20) for _ in range(5))))
