"""Timing and errors: what a request took, and what becomes of one that fails.

Start it with ``python -m restmachine serve examples.observatory:asgi_app``.
"""

import logging
import time
import tracemalloc
from collections.abc import Generator, Iterator
from typing import Any

from restmachine import ASGIAdapter, Conflict, Request, RestApplication

SLOW_S = 0.5

app = RestApplication()
asgi_app = ASGIAdapter(app)
logger = logging.getLogger("observatory")


@app.dependency()
def stopwatch(request: Request) -> Generator[None, None, dict[str, str]]:
    """Time a request: a mapping that a generator returns becomes header fields."""
    started = time.perf_counter()
    yield
    took = time.perf_counter() - started
    if took > SLOW_S:
        logger.warning("%s %s took %.1f s", request.method, request.path, took)
    return {"Server-Timing": f"handler;dur={took * 1000:.1f}"}


@app.dependency()
def allocations() -> Iterator[None]:
    """Log where a request took its memory; far too slow for every request."""
    tracemalloc.start()
    try:
        before = tracemalloc.take_snapshot()
        yield
        after = tracemalloc.take_snapshot()
    finally:
        tracemalloc.stop()
    for line in after.compare_to(before, "lineno")[:3]:
        logger.info("%s", line)


@app.get("/health", bypass_state_machine=True)
def health() -> Any:
    """Answer a load balancer at once: no decision is asked."""
    return {"ready": True}, 200, {"Cache-Control": "no-store"}


@app.get("/stars/{count}")
def count_stars(count: int, stopwatch: None) -> dict[str, int]:
    """Count; what is no number names no star."""
    return {"stars": sum(1 for _ in range(min(count, 100_000)))}


@app.get("/charts/{size}")
def draw_chart(size: int, allocations: None) -> dict[str, list[str]]:
    """Draw a chart whose memory is looked at."""
    return {"chart": ["*" * column for column in range(min(size, 500))]}


@app.get("/nights")
def count_nights(request: Request, stopwatch: None) -> dict[str, int]:
    """Read a number from the query; what is none is the client's mistake, 400."""
    return {"nights": int(request.query_params.get("year", "365"))}


@app.get("/vault")
def open_vault() -> None:
    """Refuse: PermissionError is 403."""
    raise PermissionError("the code of the vault is 1234")


@app.post("/telescope")
def turn_telescope() -> None:
    """Say what is in the way: an HTTP error with words for the client."""
    raise Conflict("The telescope is turning already.")


@app.get("/comet")
def find_comet(stopwatch: None) -> float:
    """Fail: the traceback is logged, and the client learns only that it was 500."""
    return 1 / 0
