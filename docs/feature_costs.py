"""Measures what each of restmachine's features costs, and what routes cost when they are many.

``python docs/feature_costs.py measure`` keeps the result as ``reports/published/features.json``,
from which ``docs/figures.py`` writes ``docs/costs.md``. How it is measured: `side_by_side`.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from statistics import median
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

PUBLISHED = ROOT / "reports" / "published" / "features.json"
PROCESSES = 16
ROUNDS = 60
SIZES = (10, 100, 1000, 10_000)
STARTS = 5
NEVER, LOST, STREAMED = "never", "an error without a handler", "on an event loop"
BASES = {"error_handler": LOST, "streamed_body": STREAMED}
"""What a route that uses a feature is compared with, where that is not the plain route."""
UNUSED = ("silent_observer",)
"""Features that have no route of their own."""


def variants() -> dict[str, Callable[[], Request]]:
    """Return what makes each of the clients that take turns."""
    import features
    from bench_features import LeavingClient
    from driving import Client

    from restmachine import ASGIAdapter, NotFound, RestApplication

    def used(feature: features.Feature) -> Request:
        app = ASGIAdapter(features.application(feature))
        if feature is features.streamed_body:
            return LeavingClient(app, "GET", features.USED)
        return Client(app, "GET", features.USED, features.SENT.get(feature.__name__, ()))

    def beside(feature: features.Feature | None) -> Request:
        return Client(ASGIAdapter(features.application(feature)), "GET", features.PLAIN)

    def lost() -> Request:
        app = RestApplication()

        @app.get(features.USED)
        async def handler() -> None:
            raise NotFound

        return Client(ASGIAdapter(app), "GET", features.USED)

    def on_loop() -> Request:
        return LeavingClient(ASGIAdapter(features.application()), "GET", features.PLAIN)

    def observed() -> Request:
        return Client(ASGIAdapter(features.listening_observer()), "GET", features.PLAIN)

    def routed(number: int, path: str) -> Request:
        return Client(ASGIAdapter(application_of(number)), "GET", path)

    made: dict[str, Callable[[], Request]] = {
        NEVER: partial(beside, None),
        LOST: lost,
        STREAMED: on_loop,
        "listening_observer": observed,
    }
    for name, feature in features.FEATURES.items():
        if name not in UNUSED:
            made[name] = partial(used, feature)
        made[f"beside {name}"] = partial(beside, feature)
    for number in (SIZES[0], SIZES[-1]):
        made[f"static among {number}"] = partial(routed, number, f"/collection{number // 2 - 1}")
        made[f"parameter among {number}"] = partial(
            routed, number, f"/collection{number // 2 - 1}/7"
        )
    return made


@lru_cache
def application_of(number: int) -> Any:
    """Return the application with a number of routes, half of them with a parameter."""
    from restmachine import RestApplication

    app = RestApplication()
    for each in range(number // 2):

        @app.get(f"/collection{each}")
        async def collection() -> dict[str, str]:
            return {"message": "hi!"}

        @app.get(f"/collection{each}/{{item}}")
        async def read_item(item: str) -> dict[str, str]:
            return {"item": item}

    return app


def start_here(number: int) -> dict[str, float]:
    """Return the seconds of CPU that making an application ready takes, and the bytes it holds."""
    import psutil

    import restmachine  # noqa: F401 - importing is no part of it

    process = psutil.Process()
    gc.collect()
    before, started = process.memory_info().rss, process_time()
    app = application_of(number)
    assert app.compiled
    return {
        "seconds": process_time() - started,
        "bytes": process.memory_info().rss - before,
    }


def starts() -> list[dict[str, float]]:
    """Return for each number of routes the least seconds and the median memory of some starts."""
    rows = []
    for number in SIZES:
        seen = []
        for _ in range(STARTS):
            command = [sys.executable, __file__, "start", str(number)]
            done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
            seen.append(json.loads(done.stdout))
        rows.append(
            {
                "routes": number,
                "seconds": min(one["seconds"] for one in seen),
                "bytes_a_route": median(one["bytes"] for one in seen) / number,
            }
        )
        print(f"feature_costs: start of {number} routes", file=sys.stderr, flush=True)
    return rows


def compared(processes: list[Times], name: str, base: str) -> dict[str, Any]:
    """Return how many microseconds more a variant takes than its base, and how many times."""
    return {
        "name": name,
        "base": base,
        "us": interval_of(differences(processes, name, base))._asdict(),
        "ratio": interval_of(ratios(processes, name, base))._asdict(),
    }


def measure() -> None:
    """Run all processes, and keep what they measured."""
    before = facts()
    processes = timed_by_processes(Path(__file__), PROCESSES, ROUNDS)
    routed = [f"{kind} among {{}}" for kind in ("static", "parameter")]
    features = [name for name in processes[0] if f"beside {name}" in processes[0]]
    report = {
        "command": "make features",
        "environment": before,
        "processes": PROCESSES,
        "rounds": ROUNDS,
        "confidence": CONFIDENCE,
        "plain_us": median(1e6 * median(times[NEVER]) for times in processes),
        "used": [compared(processes, name, BASES.get(name, NEVER)) for name in features]
        + [compared(processes, "listening_observer", NEVER)],
        "beside": [
            compared(processes, name, NEVER) for name in processes[0] if name.startswith("beside ")
        ],
        "routed": [
            compared(processes, name.format(SIZES[-1]), name.format(SIZES[0])) for name in routed
        ],
        "starts_measured": STARTS,
        "starts": starts(),
    }
    PUBLISHED.write_text(json.dumps(report, indent=2) + "\n")


def main(arguments: list[str]) -> int:
    """Do what the module's docstring tells of."""
    match arguments:
        case ["measure"]:
            measure()
        case ["serve", seed]:
            serve(int(seed), variants())
        case ["start", number]:
            print(json.dumps(start_here(int(number))))
        case _:
            print("feature_costs: say measure", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
