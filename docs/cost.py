"""Measures what perfkit costs, beside the same application without it and beside others.

``python docs/cost.py measure`` keeps the result as ``reports/published/cost.json``, ``show``
prints what is kept there. Processes take turns with nothing: each has all variants in it, several
instances of each, and runs them in turns of about a millisecond, in an order by lot. What is
compared is processor time, so that others on the machine do not count; the intervals are over
processes, as for `make gate`.
"""

from __future__ import annotations

import gc
import json
import math
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from statistics import median
from time import process_time
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "benchmarks")]

from perfkit.machine import facts  # noqa: E402 - found by the path above
from perfkit.stats import Interval, signed_rank_interval  # noqa: E402 - as above

PUBLISHED = ROOT / "reports" / "published" / "cost.json"
PROCESSES = 24
ROUNDS = 120
INSTANCES = 3
"""Of each variant in a process: where one of them lies in memory should not decide."""
ROUND_SECONDS = 0.001
CONFIDENCE = 0.99

Times = dict[str, list[float]]
"""Seconds of one request by variant, one for each round."""


def timed_here(seed: int) -> Times:
    """Time all variants in this process, in turns."""
    from instruments import VARIANTS, clients

    lot = Random(seed)
    names = [name for name in VARIANTS for _ in range(INSTANCES)]
    lot.shuffle(names)
    made = [(name, clients([name])[name]) for name in names]
    calls = {name: _calls(client) for name, client in made}
    times: Times = {name: [] for name in VARIANTS}
    gc.collect()
    for _ in range(ROUNDS):
        lot.shuffle(made)
        this_round: Times = {name: [] for name in VARIANTS}
        for name, client in made:
            this_round[name].append(_seconds(client, calls[name]))
        for name, taken in this_round.items():
            times[name].append(sum(taken) / len(taken))
    return times


def _seconds(client: Callable[[], object], calls: int) -> float:
    started = process_time()
    for _ in range(calls):
        client()
    return (process_time() - started) / calls


def _calls(client: Callable[[], object]) -> int:
    return max(1, round(ROUND_SECONDS / min(_seconds(client, 20) for _ in range(5))))


def differences(processes: Sequence[Times], name: str, base: str) -> list[float]:
    """Return of each process by how many microseconds a variant is slower than another."""
    return [
        1e6 * median(a - b for a, b in zip(times[name], times[base], strict=True))
        for times in processes
    ]


def log_ratios(processes: Sequence[Times], name: str, base: str) -> list[float]:
    """Return of each process how many times slower a variant is, as a logarithm."""
    return [
        median(math.log(a / b) for a, b in zip(times[name], times[base], strict=True))
        for times in processes
    ]


def summary(processes: Sequence[Times]) -> list[dict[str, Any]]:
    """Return each figure with its interval and the goal that it is held to."""
    on = differences(processes, "on", "plain")
    ten = differences(processes, "on, ten dependencies", "plain, ten dependencies")
    middleware = differences(processes, "starlette, perfkit.asgi", "starlette")
    others = differences(processes, "opentelemetry", "plain")
    wrapped = differences(processes, "starlette, opentelemetry", "starlette")
    instrumentator = differences(processes, "starlette, instrumentator", "starlette")
    off = _interval([math.exp(each) for each in log_ratios(processes, "off", "plain")])
    return [
        _figure("off, as a ratio of times", off, off.low <= 1 <= off.high < off.low + 0.01),
        _at_most("microseconds a request", on, 3.0),
        _at_most(
            "microseconds a dependency", [(a - b) / 10 for a, b in zip(ten, on, strict=True)], 0.3
        ),
        _at_least("times cheaper than opentelemetry-instrumentation-asgi", others, on, 10),
        _at_least("the same of perfkit.asgi, around Starlette", wrapped, middleware, 10),
        _at_least("times cheaper than prometheus-fastapi-instrumentator", instrumentator, on, 3),
        _at_least("the same of perfkit.asgi", instrumentator, middleware, 3),
    ]


def _interval(samples: Sequence[float]) -> Interval:
    return signed_rank_interval(samples, CONFIDENCE)


def _at_most(name: str, samples: Sequence[float], goal: float) -> dict[str, Any]:
    interval = _interval(samples)
    return _figure(name, interval, interval.high <= goal, f"at most {goal:g}")


def _at_least(
    name: str, theirs: Sequence[float], ours: Sequence[float], goal: float
) -> dict[str, Any]:
    interval = _interval([a / b for a, b in zip(theirs, ours, strict=True)])
    return _figure(name, interval, interval.low >= goal, f"at least {goal:g}")


def _figure(
    name: str, interval: Interval, holds: bool, goal: str = "1.00 within less than 1 %"
) -> dict[str, Any]:
    return {"figure": name, "goal": goal, "holds": holds, **interval._asdict()}


def measure() -> None:
    """Run all processes, keep what they measured, and show it."""
    before = facts()
    processes = []
    for seed in range(PROCESSES):
        command = [sys.executable, __file__, "time", str(seed)]
        done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
        processes.append(json.loads(done.stdout))
        print(f"cost: {seed + 1} of {PROCESSES} processes", file=sys.stderr, flush=True)
    report = {
        "command": "make cost",
        "environment": before,
        "processes": PROCESSES,
        "rounds": ROUNDS,
        "confidence": CONFIDENCE,
        "figures": summary(processes),
        "median_us": {
            name: median(1e6 * median(times[name]) for times in processes) for name in processes[0]
        },
    }
    PUBLISHED.write_text(json.dumps(report, indent=2) + "\n")
    show()


def show() -> None:
    """Print the figures that are kept."""
    report = json.loads(PUBLISHED.read_text())
    print(f"{'':54} {'estimate':>9} {'99 % interval':>18}  goal")
    for row in report["figures"]:
        interval = f"{row['low']:.3f} to {row['high']:.3f}"
        verdict = "" if row["holds"] else "  MISSED"
        print(f"{row['figure']:54} {row['estimate']:9.3f} {interval:>18}  {row['goal']}{verdict}")


def main(arguments: Sequence[str]) -> int:
    """Do what the module's docstring tells of."""
    if arguments == ["measure"]:
        measure()
    elif arguments == ["show"]:
        show()
    elif arguments[:1] == ["time"]:
        print(json.dumps(timed_here(int(arguments[1]))))
    else:
        print("cost: say measure or show", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
