"""What restmachine adds to a request, without a server that would hide it."""

from typing import Any

import orjson

from perfkit.claims import CPU, Experiment, Operation
from perfkit.claims.experiments._in_process import get
from restmachine import ASGIAdapter, RestApplication

HELLO = {"hello": "world"}

experiment = Experiment(
    theme="state machine",
    claims=["O-01"],
    question="How much processor time does a route of restmachine need beyond bare ASGI?",
    hypothesis="restmachine has minimal overhead.",
    metric=CPU,
    advice="Count on some microseconds a request for routing, decisions and rendering. A server "
    "takes several times as much, and a query more than all of them.",
    conditions="A small JSON object, in process by ASGI, no server: the least that can be "
    "compared with, for what is left is a call that sends two messages. Both use orjson.",
    precision=0.1,
)


@experiment.before
def bare_callable() -> Operation:
    """Sends JSON by an ASGI callable."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        del scope, receive
        content = orjson.dumps(HELLO)
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(content)).encode()),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    return lambda: get(app)


@experiment.after
def route_of_restmachine() -> Operation:
    """Answers by restmachine and its state machine."""
    app = RestApplication()

    @app.get("/")
    async def hello() -> dict[str, str]:
        return HELLO

    adapter = ASGIAdapter(app)
    return lambda: get(adapter)
