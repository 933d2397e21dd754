"""A route of restmachine, or an ASGI callable without any framework."""

import http.client
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from perfkit.claims import CPU, Experiment, Operation
from restmachine import ASGIAdapter, RestApplication

experiment = Experiment(
    theme="state machine",
    claims=["O-01"],
    question="What does the framework add to a request that is served over HTTP?",
    hypothesis="restmachine adds little to an application: less than a fifth of a request.",
    metric=CPU,
    varies={"additions": [0, 20_000]},
    because="What a framework adds is the same for every request, so it is a share of whatever "
    "else the request needs: of the server and the connection at least.",
    advice="Choose a framework by what it does for you. Where requests do nothing but answer, its "
    "share shows; next to one query of a database it does not.",
    conditions="uvicorn, one client on a connection that is kept; processor time of both "
    "together. The handler answers a small JSON object after so many additions. make bench-peers "
    "compares frameworks, FastAPI too.",
    matters=0.2,
    precision=0.1,
    budget_s=30,
)

Served = Callable[[Any], AbstractContextManager[tuple[str, int]]]
HELLO = {"hello": "world"}


@experiment.before
def bare_callable(served: Served, additions: int) -> Iterator[Operation]:
    """Sends JSON by an ASGI callable."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        compute(additions)
        content = orjson.dumps(HELLO)
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(content)).encode()),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    yield from asking(served, app)


@experiment.after
def route_of_restmachine(served: Served, additions: int) -> Iterator[Operation]:
    """Answers by restmachine and its state machine."""
    app = RestApplication()

    @app.get("/")
    async def hello() -> dict[str, str]:
        compute(additions)
        return HELLO

    yield from asking(served, ASGIAdapter(app))


@experiment.beside
def route_of_starlette(served: Served, additions: int) -> Iterator[Operation]:
    """Answers by Starlette, without a state machine."""

    async def hello(request: Request) -> JSONResponse:
        del request
        compute(additions)
        return JSONResponse(HELLO)

    yield from asking(served, Starlette(routes=[Route("/", hello)]))


def compute(additions: int) -> int:
    """Keep the processor busy: 20 000 additions take about a millisecond."""
    total = 0
    for number in range(additions):
        total += number
    return total


def asking(served: Served, app: Any) -> Iterator[Operation]:
    """Yield what asks once over a connection that is kept."""
    with served(app) as address:
        client = http.client.HTTPConnection(*address)

        def ask() -> bytes:
            client.request("GET", "/")
            return client.getresponse().read()

        yield ask
        client.close()
