"""What it costs a small request to be watched: by a decorator, and by the framework's hooks."""

import http.client
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import psutil

from perfkit.claims import LATENCY, Experiment, Operation
from perfkit.timing import attach
from restmachine import ASGIAdapter, RestApplication

Served = Callable[[Any], AbstractContextManager[tuple[str, int]]]

experiment = Experiment(
    theme="monitoring",
    claims=["O-33", "O-39", "O-74"],
    question="What does a request cost that logs its time, or its time and memory?",
    hypothesis="Watching each request is affordable: a twentieth at most.",
    metric=LATENCY,
    advice="Keep what runs for every request down to a few readings of the clock, and ask the "
    "operating system for memory once a scrape instead of twice a request.",
    conditions="A GET of a small JSON object over a connection that is kept; client and server "
    "in one process, restmachine on uvicorn.",
    matters=0.05,
    precision=0.06,
    budget_s=15,
)


@experiment.before
def unwatched(served: Served) -> Iterator[Operation]:
    """Answers, and that is all."""
    yield from asking(served, RestApplication(), hello)


@experiment.after
def timed_by_hooks(served: Served) -> Iterator[Operation]:
    """Has perfkit time it, and log it if it took a second."""
    app = RestApplication()
    attach(app, slow=1.0)
    yield from asking(served, app, hello)


@experiment.beside
def decorated(served: Served) -> Iterator[Operation]:
    """Wraps the handler into a decorator that tells time and resident memory."""

    async def watched() -> dict[str, str]:
        started, before = time.perf_counter(), psutil.Process().memory_info().rss
        try:
            return await hello()
        finally:
            seconds = time.perf_counter() - started
            grown = psutil.Process().memory_info().rss - before
            print(f"hello: {seconds:.4f} s, {grown / 2**20:.2f} MiB", file=out)

    with Path(os.devnull).open("w") as out:
        yield from asking(served, RestApplication(), watched)


async def hello() -> dict[str, str]:
    """Answer a small object."""
    return {"hello": "world"}


def asking(
    served: Served, app: RestApplication, handler: Callable[[], object]
) -> Iterator[Operation]:
    """Yield what asks once over a connection that is kept."""
    app.get("/")(handler)
    with served(ASGIAdapter(app)) as address:
        client = http.client.HTTPConnection(*address)

        def ask() -> bytes:
            client.request("GET", "/")
            return client.getresponse().read()

        yield ask
        client.close()
