"""A limit on concurrent requests that counts idle connections: nobody asks, and all are refused."""

import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import Any

from perfkit.claims import ERRORS, Experiment, Operation
from perfkit.claims.experiments._served import SERVED
from perfkit.claims.experiments._served import app as inner
from perfkit.claims.launching import Launched
from perfkit.scrape import fetch

LIMIT, REQUESTS = 20, 10

experiment = Experiment(
    theme="servers",
    claims=["O-14"],
    question=f"How many of ten requests are refused while {LIMIT} connections are idle?",
    hypothesis="--limit-concurrency limits the requests that are under way.",
    metric=ERRORS,
    hazard="uvicorn counts open connections too. As many that are kept and idle, from browsers or "
    "a proxy's pool, and a server with nothing to do refuses everybody, its health probe first.",
    advice="Limit the requests under way in the application or in the proxy. Where you use "
    "uvicorn's limit, keep it well above the connections that stay open, and those short.",
    conditions=f"A limit of {LIMIT}; {LIMIT} connections that have sent nothing, then ten "
    "requests, one after another. The safe way counts requests in a few lines of ASGI.",
    isolated=False,
)

under_way: set[int] = set()

Uvicorn = Callable[..., AbstractContextManager[Launched]]


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Refuse a request when too many others are under way."""
    if scope["type"] == "http" and len(under_way) >= LIMIT:
        await send({"type": "http.response.start", "status": 503, "headers": []})
        await send({"type": "http.response.body"})
        return
    under_way.add(id(scope))
    try:
        await inner(scope, receive, send)
    finally:
        under_way.discard(id(scope))


@experiment.before
def limit_of_uvicorn(uvicorn: Uvicorn) -> Iterator[Operation]:
    """Has uvicorn limit."""
    with uvicorn(SERVED, f"--limit-concurrency {LIMIT} --log-level critical") as server:
        yield lambda: refused(server)


@experiment.after
def limit_of_requests(uvicorn: Uvicorn) -> Iterator[Operation]:
    """Counts the requests under way in the application."""
    with uvicorn(__file__) as server:
        yield lambda: refused(server)


def refused(server: Launched) -> int:
    """Return how many requests are refused while nobody else asks."""
    with ExitStack() as stack:
        for _ in range(LIMIT):
            stack.enter_context(socket.create_connection((server.host, server.port)))
        answers = [fetch(server.url) for _ in range(REQUESTS)]
    return sum(answer is None or answer[0] == 503 for answer in answers)
