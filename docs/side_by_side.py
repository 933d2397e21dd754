"""Times variants of one request side by side, for the documents' figures of what something costs.

Fresh processes run one after another. Each has all variants in it, several instances of each, and
runs them in turns of about a millisecond, in an order by lot. What is compared is processor time,
so that others on the machine do not count; the intervals are over processes, as for `make gate`.
"""

from __future__ import annotations

import gc
import json
import math
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
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
CONFIDENCE = 0.99

Request = Callable[[], object]
Times = dict[str, list[float]]
"""Seconds of one request by variant, one for each round."""


def timed_here(seed: int, variants: Mapping[str, Callable[[], Request]], rounds: int) -> Times:
    """Time all variants in this process, in turns."""
    lot = Random(seed)
    names = [name for name in variants for _ in range(INSTANCES)]
    lot.shuffle(names)
    made = [(name, variants[name]()) for name in names]
    calls = {name: _calls(request) for name, request in made}
    times: Times = {name: [] for name in variants}
    gc.collect()
    for _ in range(rounds):
        lot.shuffle(made)
        this_round: Times = {name: [] for name in variants}
        for name, request in made:
            this_round[name].append(_seconds(request, calls[name]))
        for name, taken in this_round.items():
            times[name].append(sum(taken) / len(taken))
    return times


def timed_by_processes(script: Path, processes: int) -> list[Times]:
    """Return what ``script time SEED`` prints, of fresh processes one after another."""
    timed = []
    for seed in range(processes):
        command = [sys.executable, str(script), "time", str(seed)]
        done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
        timed.append(json.loads(done.stdout))
        print(f"{script.stem}: {seed + 1} of {processes} processes", file=sys.stderr, flush=True)
    return timed


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
