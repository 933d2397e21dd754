"""Asks an HTTP server over connections that are kept, from the process of a variant."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from perfkit.claims.launching import Launched
from perfkit.errors import PerfkitError
from perfkit.requester import Connection, Load, first_answer, opened, request_bytes
from perfkit.server import HOST
from perfkit.workload import Workload

PATIENCE_SECONDS = 30.0
WARM_UP = 4
"""Requests of each connection before the counting begins."""

Ask = Callable[[int], Awaitable[int]]


@asynccontextmanager
async def asking(
    port: int, path: str, *, connections: int, fields: Sequence[tuple[str, str]] = ()
) -> AsyncIterator[Ask]:
    """Yield what sends so many GETs for *path* and returns their number, once all are answered.

    Each connection sends the next request when it has an answer. The first answer is parsed; the
    others must have its status line and its length.
    """
    workload = Workload(path, path, path, headers=fields)
    load = Load(request_bytes(workload), (await first_answer(workload, port)).raw)
    # All at once, as servers with several processes share them out among those that are free.
    groups = await asyncio.gather(
        *(opened(lambda: Connection(load), port, 1) for _ in range(connections))
    )
    kept = [connection for group in groups for connection in group]

    async def ask(count: int) -> int:
        # What has been closed meanwhile is known after one look.
        await asyncio.sleep(0.001)
        if any(connection.transport.is_closing() for connection in kept):
            raise PerfkitError("the server closed a connection that was idle: let it keep them")
        async with asyncio.timeout(PATIENCE_SECONDS):
            await load.send(count, kept)
        return count

    try:
        await ask(WARM_UP * connections)
        yield ask
    finally:
        for connection in kept:
            connection.transport.abort()


async def cpu_per_request(server: Launched, ask: Ask, count: int) -> float:
    """Return the CPU time, in seconds, that all processes of *server* use for one request."""
    before = server.cpu_seconds()
    await ask(count)
    return (server.cpu_seconds() - before) / count


async def statuses(port: int, path: str, count: int) -> list[int]:
    """Send *count* GETs at once, each on a connection of its own, and return their statuses."""
    request = request_bytes(Workload(path, path, path, headers=[("connection", "close")]))

    async def status() -> int:
        reader, writer = await asyncio.open_connection(HOST, port)
        try:
            writer.write(request)
            return int((await reader.read()).split(b" ", 2)[1])
        finally:
            writer.close()

    async with asyncio.timeout(PATIENCE_SECONDS):
        return await asyncio.gather(*(status() for _ in range(count)))
