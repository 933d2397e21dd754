"""Compressing in the application, or in nginx before it: what both together compute."""

import json
import random
from collections.abc import AsyncIterator

from starlette.middleware.gzip import GZipMiddleware

from perfkit.claims import SERVER_CPU, Experiment, Operation
from perfkit.claims.asking import asking
from perfkit.claims.experiments._measured import QUIET, Starts
from restmachine import ASGIAdapter, RestApplication

REQUESTS = 96

experiment = Experiment(
    theme="compression",
    claims=["O-26"],
    question="Which processor time does gzip in nginx save against gzip in the application?",
    hypothesis="Compression can be left to the proxy.",
    metric=SERVER_CPU,
    advice="Let the proxy compress: it costs less there, and no time of the event loop at all. "
    "State gzip_comp_level and gzip_proxied yourself.",
    conditions="32 KiB of rows as JSON, by restmachine on uvicorn behind nginx, both on one core; "
    "gzip at level 6 in Starlette's middleware or at the same level in nginx. What counts is the "
    "processor time of uvicorn and nginx together for a request; the third way has nginx's "
    "default, level 1.",
    matters=0.05,
    precision=0.15,
    budget_s=20,
    isolated=False,
)

lot = random.Random(7)
ROWS = json.dumps(
    [
        {"id": lot.randrange(10**9), "name": f"item {row}", "price": lot.random()}
        for row in range(460)
    ]
).encode()
application = RestApplication(blocking=False)
application.get("/")(lambda: (ROWS, 200, {"Content-Type": "application/json"}))
app = ASGIAdapter(application)
compressing = GZipMiddleware(app, minimum_size=1000, compresslevel=6)
GZIP = "gzip on; gzip_min_length 1000; gzip_types application/json;"


@experiment.before
async def in_the_application(uvicorn: Starts, nginx: Starts) -> AsyncIterator[Operation]:
    """Compresses in the application."""
    async for operation in fetching(uvicorn, nginx, "compressing", ""):
        yield operation


@experiment.after
async def in_nginx(uvicorn: Starts, nginx: Starts) -> AsyncIterator[Operation]:
    """Compresses in nginx at the same level."""
    async for operation in fetching(uvicorn, nginx, "app", f"{GZIP} gzip_comp_level 6;"):
        yield operation


@experiment.beside
async def in_nginx_by_default(uvicorn: Starts, nginx: Starts) -> AsyncIterator[Operation]:
    """Compresses in nginx at its own level."""
    async for operation in fetching(uvicorn, nginx, "app", GZIP):
        yield operation


async def fetching(
    uvicorn: Starts, nginx: Starts, name: str, http: str
) -> AsyncIterator[Operation]:
    """Yield what fetches answers and tells the CPU time of both servers for one of them."""
    with (
        uvicorn(__file__, QUIET, name=name) as server,
        nginx(f"proxy_pass {server.url};", f"{http} keepalive_timeout 600s;") as proxy,
    ):
        accepting = [("accept-encoding", "gzip")]
        async with asking(proxy.port, "/", connections=4, fields=accepting) as ask:

            async def cpu() -> float:
                before = server.cpu_seconds() + proxy.cpu_seconds()
                await ask(REQUESTS)
                return (server.cpu_seconds() + proxy.cpu_seconds() - before) / REQUESTS

            yield cpu
