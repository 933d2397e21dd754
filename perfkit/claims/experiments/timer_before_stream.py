"""A timer that stops when the answer begins, and an answer that is streamed."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import Response

from perfkit.claims import ERRORS, Experiment, Operation
from perfkit.claims.experiments._in_process import get
from restmachine import ASGIAdapter, RestApplication

REQUESTS, PIECES, PIECE_S = 3, 4, 0.01

experiment = Experiment(
    theme="monitoring",
    claims=["O-115"],
    question="How many streamed answers does a timer around call_next take for fast ones?",
    hypothesis="The time around call_next is the time of the request.",
    metric=ERRORS,
    hazard="call_next returns when the answer begins. Of a streamed answer, which is where the "
    "time goes, the timer sees nothing: the slowest routes look like the fastest.",
    advice="Stop the clock at the last message of the answer. A header can only state what was "
    "known before: record the whole time elsewhere.",
    conditions=f"{REQUESTS} answers of {PIECES} pieces, one each {PIECE_S * 1000:.0f} ms; what "
    "is counted are those timed at less than half of that.",
)

Timed = Callable[[ASGIAdapter, list[float]], Callable[[Any, Any, Any], Awaitable[None]]]


@experiment.before
def around_call_next() -> Operation:
    """Stops when call_next returns."""

    def timed(app: ASGIAdapter, taken: list[float]) -> Any:
        async def dispatch(request: Request, call_next: RequestResponseEndpoint) -> Response:
            started = time.perf_counter()
            response = await call_next(request)
            taken.append(time.perf_counter() - started)
            return response

        return BaseHTTPMiddleware(app, dispatch=dispatch)

    return lambda: timed_too_short(timed)


@experiment.after
def to_the_last_message() -> Operation:
    """Stops when the application is done."""

    def timed(app: ASGIAdapter, taken: list[float]) -> Any:
        async def measured(scope: Any, receive: Any, send: Any) -> None:
            started = time.perf_counter()
            await app(scope, receive, send)
            taken.append(time.perf_counter() - started)

        return measured

    return lambda: timed_too_short(timed)


async def timed_too_short(timed: Timed) -> int:
    """Return how many answers are timed at less than half of what they take."""
    app = RestApplication()

    @app.get("/")
    async def export() -> AsyncIterator[bytes]:
        for _ in range(PIECES):
            await asyncio.sleep(PIECE_S)
            yield b"piece"

    taken: list[float] = []
    watched = timed(ASGIAdapter(app), taken)
    for _ in range(REQUESTS):
        await get(watched)
    return sum(seconds < PIECES * PIECE_S / 2 for seconds in taken)
