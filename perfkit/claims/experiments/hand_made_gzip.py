"""A middleware that compresses what was answered: with the length of before, or a new one."""

import gzip
import http.client
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import AbstractContextManager
from typing import Any

from starlette.middleware.gzip import GZipMiddleware

from perfkit.claims import ERRORS, Experiment, Operation
from restmachine import ASGIAdapter, RestApplication

REQUESTS = 10

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Served = Callable[[Any], AbstractContextManager[tuple[str, int]]]

experiment = Experiment(
    theme="compression",
    claims=["O-54"],
    question="How many of ten answers break when a middleware compresses and keeps the length?",
    hypothesis="A middleware of a dozen lines times and compresses.",
    metric=ERRORS,
    hazard="Content-Length still says how long the answer was: the client waits for bytes that "
    "never come, and gets an error instead of an answer.",
    advice="Take a middleware that is maintained: it sets the length, Vary and "
    "Content-Encoding, leaves alone what is compressed or streamed, and reads quality values.",
    conditions="Ten answers of 5 kB each over uvicorn; what is counted are those that do not "
    "arrive whole.",
)


@experiment.before
def by_hand(served: Served) -> Iterator[Operation]:
    """Compresses the content and adds Content-Encoding."""
    app = application()

    async def compressing(scope: Any, receive: Any, send: Send) -> None:
        async def send_compressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"content-encoding", b"gzip")]
            elif message["body"]:
                message["body"] = gzip.compress(message["body"])
            await send(message)

        await app(scope, receive, send_compressed if scope["type"] == "http" else send)

    with served(compressing) as address:
        yield lambda: broken(*address)


@experiment.after
def by_a_library(served: Served) -> Iterator[Operation]:
    """Wraps the application into starlette's GZipMiddleware."""
    with served(GZipMiddleware(application(), minimum_size=1000)) as address:
        yield lambda: broken(*address)


def application() -> ASGIAdapter:
    """Answer 5 kB of text."""
    app = RestApplication()
    app.get("/")(lambda: "all work and no play " * 250)
    return ASGIAdapter(app)


def broken(host: str, port: int) -> int:
    """Ask ten times, a connection each, and return how many answers did not arrive."""
    failed = 0
    for _ in range(REQUESTS):
        client = http.client.HTTPConnection(host, port, timeout=5)
        client.request("GET", "/", headers={"Accept-Encoding": "gzip"})
        try:
            gzip.decompress(client.getresponse().read())
        except (http.client.HTTPException, ConnectionError, EOFError):
            failed += 1
        client.close()
    return failed
