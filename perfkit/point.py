"""One point of one curve: measures an application in a process that does nothing else.

`perfkit.curves` starts this as ``python -m perfkit.point``. Messages are JSON, one a line:

    started with  {"package", "peer", "curve", "point"}
    answers       {"answers": {curve: [[status, headers, body]]}, "startup", "bytes", "seconds",
                  "peak"}  or {"error": text}

*startup* is the CPU time from the first route's registration to the first answer, in seconds;
*bytes* is by how much the process had grown by then. *seconds* is the fastest round's time of a
request, and *peak* the Python memory that one request needs while it is answered, in bytes.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import tracemalloc
from importlib import import_module
from time import process_time
from typing import Any

import uvloop

from perfkit.contender import Application, answer_of, batch, made, started
from perfkit.usage import unique_bytes
from perfkit.worker import described
from perfkit.workload import Curve, Workload

ROUNDS = 40
ROUND_SECONDS = 0.002


def point(package: str, peer: str, curve: str, at: int) -> dict[str, Any]:
    """Measure one point."""
    curves: list[Curve] = import_module(f"{package}.rows").CURVES
    (workload,) = (each.workload(at) for each in curves if each.name == curve)
    module = import_module(f"{package}.{peer}")
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    gc.collect()
    before, start = unique_bytes(os.getpid()), process_time()
    application = made(module, workload.routes, workload.depth)
    lifespan = loop.run_until_complete(started(application))
    given = loop.run_until_complete(answer_of(application, workload))
    startup = process_time() - start
    gc.collect()
    grown = unique_bytes(os.getpid()) - before
    gc.freeze()
    seconds = fastest(loop, application, workload)
    peak = loop.run_until_complete(peak_of(application, workload))
    del lifespan
    return {
        "answers": {workload.name: [[given.status, given.headers, given.body.decode("latin-1")]]},
        "startup": startup,
        "bytes": grown,
        "seconds": seconds,
        "peak": peak,
    }


def fastest(loop: Any, application: Application, workload: Workload) -> float:
    """Return the seconds of a request in the fastest of some rounds.

    A single process has no other one beside it to be compared with, and other programs can only
    make it slower.
    """
    calls, nanoseconds = 1, 0
    while nanoseconds < ROUND_SECONDS * 1e9 / 2:
        nanoseconds = loop.run_until_complete(batch(application, workload, calls))
        calls = max(calls + 1, min(calls * 4, round(calls * ROUND_SECONDS * 1e9 / nanoseconds)))
    quickest: int = min(
        loop.run_until_complete(batch(application, workload, calls)) for _ in range(ROUNDS)
    )
    return quickest / calls / 1e9


async def peak_of(application: Application, workload: Workload) -> int:
    """Return the most bytes that Python had allocated at once for one request."""
    tracemalloc.start()
    # The tracer counts what was allocated since it started: caches are filled first.
    for _ in range(10):
        await answer_of(application, workload)
    before, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    await batch(application, workload, 1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak - before


def serve(requests: Any, answers: Any) -> None:
    """Measure what the first line asks for."""
    setup = json.loads(requests.readline())
    try:
        shown = point(setup["package"], setup["peer"], setup["curve"], setup["point"])
    # Whatever a framework raises is the answer: it does not run.
    except Exception as error:
        shown = {"error": described(error)}
    print(json.dumps(shown), file=answers, flush=True)


if __name__ == "__main__":
    # What a framework prints must not look like an answer.
    with os.fdopen(os.dup(1), "w") as channel:
        os.dup2(2, 1)
        serve(sys.stdin, channel)
