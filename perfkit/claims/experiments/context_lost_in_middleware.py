"""A context variable that the application sets, and a middleware that reads it afterwards."""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import Response

from perfkit.claims import ERRORS, Experiment, Operation
from perfkit.claims.experiments._in_process import get
from restmachine import ASGIAdapter, RestApplication

REQUESTS = 10
NOBODY = "nobody"

experiment = Experiment(
    theme="monitoring",
    claims=["O-115"],
    question="How many requests are logged without their user by a middleware around call_next?",
    hypothesis="A middleware sees what belongs to the request it times.",
    metric=ERRORS,
    hazard="BaseHTTPMiddleware runs the application in a task with a copy of the context: what a "
    "handler sets, the user or the trace, is gone when the middleware writes its line.",
    advice="Write middleware as plain ASGI, which runs in the context of the application.",
    conditions=f"{REQUESTS} requests whose async handler sets a context variable; what is counted "
    "are those where the middleware does not find it afterwards.",
)

Watch = Callable[[ASGIAdapter, list[str]], Callable[[Any, Any, Any], Awaitable[None]]]
user: ContextVar[str] = ContextVar("user", default=NOBODY)


@experiment.before
def around_call_next() -> Operation:
    """Reads the variable when call_next has returned."""

    def watched(app: ASGIAdapter, seen: list[str]) -> Any:
        async def dispatch(request: Request, call_next: RequestResponseEndpoint) -> Response:
            response = await call_next(request)
            seen.append(user.get())
            return response

        return BaseHTTPMiddleware(app, dispatch=dispatch)

    return lambda: without_user(watched)


@experiment.after
def by_plain_asgi() -> Operation:
    """Reads the variable when the application is done."""

    def watched(app: ASGIAdapter, seen: list[str]) -> Any:
        async def reading(scope: Any, receive: Any, send: Any) -> None:
            await app(scope, receive, send)
            seen.append(user.get())

        return reading

    return lambda: without_user(watched)


async def without_user(watched: Watch) -> int:
    """Return how many requests end without a user in sight."""
    app = RestApplication()

    @app.get("/")
    async def hello() -> dict[str, str]:
        user.set("somebody")
        return {"hello": "world"}

    seen: list[str] = []
    watching = watched(ASGIAdapter(app), seen)
    for _ in range(REQUESTS):
        user.set(NOBODY)
        await get(watching)
    return seen.count(NOBODY)
