"""What it costs a request to be observed: restmachine with perfkit, and what others cost theirs.

    python tests/benchmarks/observing.py --generations 10 --output reports/timing-cost.json

Every subject runs in a process of its own, in an order drawn by lot, once in each generation. A
process times rounds of a few requests by the CPU time of its thread and keeps the fifth
percentile: what disturbs a round only adds to it. A cost is the difference of two subjects of one
generation; its interval comes from resampling generations. Needs the extra ``observers``.
"""

from __future__ import annotations

import argparse
import json
import logging
import platform
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from statistics import median
from time import perf_counter, thread_time
from typing import Any

from driving import Client

PATH = "/items"
ROUND_REQUESTS = 20
DEPENDENCIES = 10
RESAMPLES = 2000


def restmachine_app(dependencies: int = 0) -> Any:
    from restmachine import RestApplication

    app = RestApplication()
    for number in range(dependencies):

        async def dependency() -> int:
            return 1

        app.dependency(name=f"needed_{number}")(dependency)
    names = [f"needed_{number}" for number in range(dependencies)]
    app.get(PATH)(asking_for(names))
    return app


def asking_for(names: Sequence[str]) -> Callable[..., Any]:
    """Return an async handler with these parameters."""
    made: dict[str, Any] = {}
    exec(f"async def read({', '.join(names)}):\n    return {{'message': 'hi!'}}", made)
    handler: Callable[..., Any] = made["read"]
    return handler


def adapted(app: Any) -> Any:
    from restmachine import ASGIAdapter

    return ASGIAdapter(app)


def off() -> Any:
    return adapted(restmachine_app())


def off_ten() -> Any:
    return adapted(restmachine_app(DEPENDENCIES))


def timed(dependencies: int = 0) -> Any:
    from perfkit import timing

    app = restmachine_app(dependencies)
    timing.attach(app, slow=60.0)
    return adapted(app)


def timed_ten() -> Any:
    return timed(DEPENDENCIES)


def traced() -> Any:
    """Trace each request and make its spans, which go nowhere."""
    from perfkit import timing
    from perfkit.tracing import Tracer

    app = restmachine_app()
    tracer = Tracer(lambda spans: None)
    timing.attach(app, begun=[tracer.begin], finished=[tracer.finish])
    return adapted(app)


def opentelemetry() -> Any:
    """Have OpenTelemetry's middleware trace the same application; its spans go nowhere."""
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
    from opentelemetry.sdk.trace import TracerProvider

    return OpenTelemetryMiddleware(off(), tracer_provider=TracerProvider())


def fastapi_off() -> Any:
    from fastapi import FastAPI

    app = FastAPI()
    app.get(PATH)(asking_for([]))
    return app


def prometheus() -> Any:
    """Have prometheus-fastapi-instrumentator measure a FastAPI application."""
    from prometheus_fastapi_instrumentator import Instrumentator

    app = fastapi_off()
    Instrumentator().instrument(app)
    return app


SUBJECTS = {
    subject.__name__: subject
    for subject in (
        off, timed, traced, opentelemetry, off_ten, timed_ten, fastapi_off, prometheus,
    )
}  # fmt: skip
COSTS = {
    "timing": ("off", "timed"),
    "timing and spans": ("off", "traced"),
    "timing, of ten dependencies": ("off_ten", "timed_ten"),
    "opentelemetry-instrumentation-asgi": ("off", "opentelemetry"),
    "prometheus-fastapi-instrumentator": ("fastapi_off", "prometheus"),
}
"""What is called by a name, and between which two subjects it is the difference."""


def measure(subject: str, seconds: float) -> float:
    """Return the CPU time of one request, in microseconds."""
    logging.disable()
    client = Client(SUBJECTS[subject](), "GET", PATH)
    assert client.answer().status == 200
    for _ in range(1000):
        client()
    rounds = []
    end = perf_counter() + seconds
    while perf_counter() < end:
        started = thread_time()
        for _ in range(ROUND_REQUESTS):
            client()
        rounds.append((thread_time() - started) / ROUND_REQUESTS * 1e6)
    return sorted(rounds)[len(rounds) // 20]


def run_generation(seconds: float) -> dict[str, float]:
    """Return what each subject took, each in a process of its own."""
    found = {}
    for subject in random.sample(list(SUBJECTS), len(SUBJECTS)):
        command = [sys.executable, __file__, "--subject", subject, "--seconds", f"{seconds}"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found[subject] = float(done.stdout)
    return found


def cost(generations: Sequence[dict[str, float]], name: str) -> float:
    """Return the median cost over generations, in microseconds per request."""
    before, after = COSTS[name]
    return median(each[after] - each[before] for each in generations)


def interval(
    generations: Sequence[dict[str, float]],
    statistic: Callable[[Sequence[dict[str, float]]], float],
) -> tuple[float, float]:
    """Return a 95 % interval of a statistic by resampling generations."""
    drawn = sorted(
        statistic(random.choices(generations, k=len(generations))) for _ in range(RESAMPLES)
    )
    return drawn[RESAMPLES // 40], drawn[-RESAMPLES // 40]


def report(generations: Sequence[dict[str, float]]) -> dict[str, Any]:
    """Return costs and ratios with their intervals, and all that was measured."""
    costs = {}
    for name in COSTS:
        low, high = interval(generations, lambda drawn, name=name: cost(drawn, name))
        costs[name] = {"microseconds": cost(generations, name), "low": low, "high": high}
    ratios = {}
    for name in list(COSTS)[3:]:

        def ratio(drawn: Sequence[dict[str, float]], name: str = name) -> float:
            return cost(drawn, name) / cost(drawn, "timing")

        low, high = interval(generations, ratio)
        ratios[name] = {"times_timing": ratio(generations), "low": low, "high": high}
    packages = [*list(COSTS)[3:], "opentelemetry-sdk", "fastapi", "starlette"]
    return {
        "python": platform.python_version(),
        "machine": platform.processor() or platform.machine(),
        "packages": {name: metadata.version(name) for name in packages},
        "costs": costs,
        "ratios": ratios,
        "generations": list(generations),
    }


def main() -> None:
    """Run generations and print what was found, or measure one subject."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--generations", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=0.5, help="of one process")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--subject", choices=SUBJECTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.subject:
        print(measure(options.subject, options.seconds))
        return
    found = report([run_generation(options.seconds) for _ in range(options.generations)])
    for name, each in found["costs"].items():
        print(f"{name}: {each['microseconds']:.2f} us ({each['low']:.2f} to {each['high']:.2f})")
    for name, each in found["ratios"].items():
        print(
            f"{name} / timing: {each['times_timing']:.1f} ({each['low']:.1f} to {each['high']:.1f})"
        )
    if options.output is not None:
        options.output.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
