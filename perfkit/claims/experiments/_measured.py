"""What several experiments measure of a server: its processor time, and what it answers."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from typing import Any

from perfkit.claims import SERVER_CPU, Operation
from perfkit.claims.asking import asking, cpu_per_request
from perfkit.claims.launching import Launched

REQUESTS, CONNECTIONS = 400, 16
KEPT = "--timeout-keep-alive 600"
"""Connections are idle while other variants have their turn, for longer than uvicorn keeps them."""
QUIET = f"--log-level error --no-access-log {KEPT}"

Starts = Callable[..., AbstractContextManager[Launched]]

OF_A_REQUEST: dict[str, Any] = {
    "metric": SERVER_CPU,
    "conditions": f"restmachine's smallest answer over {CONNECTIONS} kept connections; the server "
    "on one core, who asks on another. What counts is what the server uses of its core for a "
    "request, so that nothing of the client is in it.",
    "matters": 0.05,
    "precision": 0.15,
    "budget_s": 20,
    "isolated": False,
}
"""How experiments on what a server computes for a small request are set up."""


async def cpu(
    server: Launched,
    path: str = "/",
    *,
    connections: int = CONNECTIONS,
    requests: int = REQUESTS,
) -> AsyncIterator[Operation]:
    """Yield what tells the CPU time, in seconds, that all its processes use for a request."""
    async with asking(server.port, path, connections=connections) as ask:
        yield lambda: cpu_per_request(server, ask, requests)


async def throughput(
    server: Launched, path: str, *, connections: int, requests: int
) -> AsyncIterator[Operation]:
    """Yield what sends so many requests and returns their number."""
    async with asking(server.port, path, connections=connections) as ask:
        yield lambda: ask(requests)
