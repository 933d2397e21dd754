"""Measures the throughput that watching leaves: ``python tests/benchmarks/overhead.py [processes]``.

Each process makes an application with and one without, and runs batches of requests on both in
turns, A B B A; its median ratio is one sample, so that what is peculiar to a process counts once.
The result is kept in ``reports/published/overhead.json``.
"""

from __future__ import annotations

import json
import math
import platform
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

sys.path.append(str(Path(__file__).parent))

import bench_watching

from perfkit.machine import cpu_model
from perfkit.stats import paired_log_ratio, signed_rank_interval

ROOT = Path(__file__).parents[2]
REPORT = ROOT / "reports" / "published" / "overhead.json"
WATCHED: Mapping[str, Callable[[], bench_watching.Batch]] = {
    "stall watchdog": bench_watching.watchdog,
    "memory sampled at 1 in 100": bench_watching.memory_sampled,
    "nothing, against itself": bench_watching.off,
}
PROCESSES = 12
BLOCKS = 20
CONFIDENCE = 0.95


def timed(batch: bench_watching.Batch) -> float:
    """Return the seconds that one batch takes."""
    started = perf_counter()
    batch()
    return perf_counter() - started


def log_ratio(name: str) -> float:
    """Return the log of the time of a watched application over that of an unwatched one."""
    off, on = bench_watching.off(), WATCHED[name]()
    times: tuple[list[float], list[float]] = ([], [])
    for block in range(BLOCKS):
        for first_off in (block % 2 == 0, block % 2 == 1):
            for batch in (off, on) if first_off else (on, off):
                times[batch is on].append(timed(batch))
    return paired_log_ratio(*times)


def main(processes: int = PROCESSES) -> None:
    """Measure everything, and write the report."""
    samples: dict[str, list[float]] = {name: [] for name in WATCHED}
    for _ in range(processes):
        for name, taken in samples.items():
            done = subprocess.run(
                [sys.executable, __file__, "--one", name], cwd=ROOT, check=True,
                capture_output=True, text=True,
            )  # fmt: skip
            taken.append(float(done.stdout))
    report: dict[str, Any] = {
        "command": "python tests/benchmarks/overhead.py",
        "python": platform.python_version(),
        "processor": cpu_model(),
        "requests_in_a_batch": bench_watching.BATCH,
        "confidence": CONFIDENCE,
        "throughput": {},
    }
    for name, taken in samples.items():
        interval = signed_rank_interval([-each for each in taken], CONFIDENCE)
        ratio = {bound: math.exp(value) for bound, value in interval._asdict().items()}
        report["throughput"][name] = {**ratio, "processes": taken}
        print(f"{name}: {ratio['estimate']:.4f} ({ratio['low']:.4f} to {ratio['high']:.4f})")
    REPORT.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(log_ratio(sys.argv[2]))
    else:
        main(*map(int, sys.argv[1:]))
