"""A middleware that times requests: as a function around the answer, or as plain ASGI."""

import time
from typing import Any

from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import Response

from perfkit.claims import CPU, Experiment, Operation
from perfkit.claims.experiments._in_process import get
from restmachine import ASGIAdapter, RestApplication

experiment = Experiment(
    theme="monitoring",
    claims=["O-115"],
    question="What does a middleware cost that states how long a request took?",
    hypothesis="A middleware that times requests costs little.",
    metric=CPU,
    advice="Write middleware as plain ASGI: a wrapper around send. BaseHTTPMiddleware starts a "
    "task and a channel for every request, and many stacked ones cost more than the application.",
    conditions="A small JSON object by restmachine, in process by ASGI; processor time.",
    precision=0.1,
)


def application() -> ASGIAdapter:
    """Answer a small object."""
    app = RestApplication()

    @app.get("/")
    async def hello() -> dict[str, str]:
        return {"hello": "world"}

    return ASGIAdapter(app)


@experiment.before
def untimed() -> Operation:
    """Has no middleware."""
    app = application()
    return lambda: get(app)


@experiment.after
def by_a_function() -> Operation:
    """Times by a function of BaseHTTPMiddleware."""

    async def timed(request: Request, call_next: RequestResponseEndpoint) -> Response:
        started = time.perf_counter()
        response = await call_next(request)
        response.headers["X-Process-Time"] = f"{time.perf_counter() - started:.6f}"
        return response

    app = BaseHTTPMiddleware(application(), dispatch=timed)
    return lambda: get(app)


@experiment.beside
def by_plain_asgi() -> Operation:
    """Times by a wrapper around send."""
    inner = application()

    async def timed(scope: Any, receive: Any, send: Any) -> None:
        started = time.perf_counter()

        async def stating(message: Any) -> None:
            if message["type"] == "http.response.start":
                taken = f"{time.perf_counter() - started:.6f}".encode()
                message["headers"] = [*message["headers"], (b"x-process-time", taken)]
            await send(message)

        await inner(scope, receive, stating)

    return lambda: get(timed)
