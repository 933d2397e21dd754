"""Measures what throughput watching leaves: ``make overhead PAIRS=12``.

An application that is watched and one that is not run in a process each, pairs of them one after
the other; within a pair batches of requests take turns, A B B A. The median ratio of a
pair is one sample. The result is kept in ``reports/published/overhead.json``.
"""

from __future__ import annotations

import json
import math
import platform
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter
from typing import Any

sys.path.append(str(Path(__file__).parent))

import bench_watching

from perfkit.machine import cpu_model
from perfkit.stats import needed_samples, paired_log_ratio, signed_rank_interval

ROOT = Path(__file__).parents[2]
REPORT = ROOT / "reports" / "published" / "overhead.json"
SIDES: Mapping[str, Callable[[], bench_watching.Batch]] = {
    side.__name__: side
    for side in (
        bench_watching.off,
        bench_watching.observed,
        bench_watching.watchdog,
        bench_watching.memory_sampled,
    )
}
COMPARED = {
    "stall watchdog": ("off", "watchdog"),
    "memory sampled at 1 in 100, beside an observer": ("observed", "memory_sampled"),
    "nothing, beside itself": ("off", "off"),
}
PAIRS = 12
BLOCKS = 30
CONFIDENCE = 0.95


def serve(side: str) -> None:
    """Answer each line of the input with the seconds that one batch takes."""
    batch = SIDES[side]()
    batch()
    for _ in sys.stdin:
        started = perf_counter()
        batch()
        print(perf_counter() - started, flush=True)


def timed(process: subprocess.Popen[str]) -> float:
    """Return the seconds that a process says one batch took."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return float(process.stdout.readline())


def log_ratio(names: tuple[str, str]) -> float:
    """Return the log of the time of the second side over that of the first."""
    with ExitStack() as stack:
        sides = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, __file__, "--serve", name], cwd=ROOT, text=True,
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                )
            )
            for name in names
        ]  # fmt: skip
        times: tuple[list[float], list[float]] = ([], [])
        for block in range(BLOCKS):
            for first in (block % 2, 1 - block % 2):
                for side in (first, 1 - first):
                    times[side].append(timed(sides[side]))
        return paired_log_ratio(*times)


def main(pairs: int = PAIRS) -> None:
    """Measure everything, and write the report."""
    if pairs < needed_samples(CONFIDENCE):
        sys.exit(f"PAIRS={pairs} is too few: give at least {needed_samples(CONFIDENCE)}")
    samples: dict[str, list[float]] = {name: [] for name in COMPARED}
    for _ in range(pairs):
        for name, taken in samples.items():
            taken.append(log_ratio(COMPARED[name]))
    report: dict[str, Any] = {
        "command": f"make overhead PAIRS={pairs}",
        "python": platform.python_version(),
        "processor": cpu_model(),
        "requests_in_a_batch": bench_watching.BATCH,
        "confidence": CONFIDENCE,
        "throughput": {},
    }
    for name, taken in samples.items():
        interval = signed_rank_interval([-each for each in taken], CONFIDENCE)
        ratio = {bound: math.exp(value) for bound, value in interval._asdict().items()}
        report["throughput"][name] = {**ratio, "pairs": taken}
        print(f"{name}: {ratio['estimate']:.4f} ({ratio['low']:.4f} to {ratio['high']:.4f})")
    REPORT.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(sys.argv[2])
    else:
        main(*map(int, sys.argv[1:]))
