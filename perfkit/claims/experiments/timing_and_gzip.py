"""A middleware that times and compresses, done right: what it adds to answers by their size."""

import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.middleware.gzip import GZipMiddleware

from perfkit.claims import LATENCY, Experiment, Operation
from restmachine import ASGIAdapter, RestApplication

Message = MutableMapping[str, Any]

experiment = Experiment(
    theme="compression",
    claims=["O-54"],
    question="What does a middleware that times and compresses add to an answer?",
    hypothesis="It costs little: let that be a tenth of the request at most.",
    metric=LATENCY,
    varies={"size": [100, 2000, 50_000]},
    because="Taking the time costs the same for each request; compressing costs in proportion to "
    "what is compressed, and nothing below a kilobyte.",
    advice="Time every request, and compress only where the link is slower than the compressor; "
    "the proxy in front can do that without keeping the event loop busy.",
    conditions="Text in process over ASGI, without a network, where smaller answers would gain; "
    "starlette's GZipMiddleware from 1000 bytes, at level 9, its default.",
    matters=0.1,
    precision=0.1,
    budget_s=15,
)


@experiment.before
async def plain(size: int) -> Operation:
    """Answers as it is."""
    return asking(application(size))


@experiment.after
async def timed_and_compressed(size: int) -> Operation:
    """Answers through both."""
    return asking(timed(GZipMiddleware(application(size), minimum_size=1000)))


@experiment.beside
async def only_timed(size: int) -> Operation:
    """Answers with the time in a header."""
    return asking(timed(application(size)))


def application(size: int) -> ASGIAdapter:
    """Answer so much text."""
    app, text = RestApplication(), ("all work and no play, says the next line; " * 2000)[:size]

    async def answer() -> str:
        return text

    app.get("/")(answer)
    return ASGIAdapter(app)


def timed(app: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """State in X-Response-Time how long it took until the answer began."""

    async def timing(scope: Any, receive: Any, send: Callable[[Message], Awaitable[None]]) -> None:
        started = time.perf_counter()

        async def send_timed(message: Message) -> None:
            if message["type"] == "http.response.start":
                field = f"{time.perf_counter() - started:.4f}".encode()
                message["headers"] = [*message["headers"], (b"x-response-time", field)]
            await send(message)

        await app(scope, receive, send_timed)

    return timing


def asking(app: Callable[..., Awaitable[None]]) -> Operation:
    """Return what asks once."""
    scope = {
        "type": "http", "method": "GET", "path": "/", "raw_path": b"/", "query_string": b"",
        "headers": [(b"accept-encoding", b"gzip")], "http_version": "1.1", "scheme": "http",
        "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 1), "asgi": {"version": "3.0"},
    }  # fmt: skip

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        del message

    return lambda: app(dict(scope), receive, send)
