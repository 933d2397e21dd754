"""Measures what perfkit costs, beside the same application without it and beside others.

``python docs/cost.py measure`` keeps the result as ``reports/published/cost.json``, ``show``
prints what is kept there. How it is measured: `side_by_side`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any

from side_by_side import (
    CONFIDENCE,
    ROOT,
    Request,
    Times,
    differences,
    interval_of,
    ratios,
    serve,
    timed_by_processes,
)

from perfkit.machine import facts
from perfkit.stats import Interval

PUBLISHED = ROOT / "reports" / "published" / "cost.json"
PROCESSES = 32
ROUNDS = 120
SCRAPERS, SCRAPES = 16, 20


def variants() -> dict[str, Callable[[], Request]]:
    """Return what makes a client for each of what is compared, which has answered once."""
    from instruments import VARIANTS, clients

    def client(name: str) -> Request:
        return clients([name])[name]

    return {name: partial(client, name) for name in VARIANTS}


def summary(processes: Sequence[Times]) -> list[dict[str, Any]]:
    """Return each figure with its interval and the goal that it is held to."""
    on = differences(processes, "on", "plain")
    ten = differences(processes, "on, ten dependencies", "plain, ten dependencies")
    middleware = differences(processes, "starlette, perfkit.asgi", "starlette")
    others = differences(processes, "opentelemetry", "plain")
    wrapped = differences(processes, "starlette, opentelemetry", "starlette")
    instrumentator = differences(processes, "starlette, instrumentator", "starlette")
    off = interval_of(ratios(processes, "off", "plain"))
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


def scraped() -> dict[str, Any]:
    """Return the figure of a scrape, by processes that scrape the same workers."""
    from bench_scrape import RECYCLED, workers

    with TemporaryDirectory() as folder:
        living = workers(Path(folder))
        command = [sys.executable, __file__, "scrape", folder]
        taken = []
        for _ in range(SCRAPERS):
            done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
            taken.append(float(done.stdout))
        del living
    return _at_most(f"milliseconds a scrape, four workers after {RECYCLED} others", taken, 50)


def scrape_here(folder: Path) -> float:
    """Return how many milliseconds of processor time a scrape takes."""
    from bench_scrape import scraper

    scrape, taken = scraper(folder), []
    for _ in range(SCRAPES):
        started = process_time()
        scrape()
        taken.append(1000 * (process_time() - started))
    return median(taken)


def _at_most(name: str, samples: Sequence[float], goal: float) -> dict[str, Any]:
    interval = interval_of(samples)
    return _figure(name, interval, interval.high <= goal, f"at most {goal:g}")


def _at_least(
    name: str, theirs: Sequence[float], ours: Sequence[float], goal: float
) -> dict[str, Any]:
    interval = interval_of([a / b for a, b in zip(theirs, ours, strict=True)])
    return _figure(name, interval, interval.low >= goal, f"at least {goal:g}")


def _figure(
    name: str, interval: Interval, holds: bool, goal: str = "1.00 within less than 1 %"
) -> dict[str, Any]:
    return {"figure": name, "goal": goal, "holds": holds, **interval._asdict()}


def measure() -> None:
    """Run all processes, keep what they measured, and show it."""
    before = facts()
    processes = timed_by_processes(Path(__file__), PROCESSES, ROUNDS)
    report = {
        "command": "make cost",
        "environment": before,
        "processes": PROCESSES,
        "rounds": ROUNDS,
        "confidence": CONFIDENCE,
        "figures": [*summary(processes), scraped()],
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
    elif arguments[:1] == ["serve"]:
        serve(int(arguments[1]), variants())
    elif arguments[:1] == ["scrape"]:
        print(scrape_here(Path(arguments[1])))
    else:
        print("cost: say measure or show", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
