"""An ASGI application for load tests of the load test, with metrics of its own."""

import asyncio
import os
import signal
from time import perf_counter

from prometheus_client import CollectorRegistry, Histogram, generate_latest

registry = CollectorRegistry()
durations = Histogram(
    "http_server_request_duration_seconds",
    "Time to answer.",
    ["http_request_method", "http_route", "http_response_status_code"],
    registry=registry,
)


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    path = scope["path"]
    if path == "/metrics":
        await answer(send, 200, generate_latest(registry))
        return
    begun = perf_counter()
    route, status = await serve(path)
    await answer(send, status, b"{}")
    durations.labels(scope["method"], route, str(status)).observe(perf_counter() - begun)


async def serve(path):
    if path.startswith("/items/"):
        return "/items/{id}", 200
    if path == "/slow":
        await asyncio.sleep(0.2)
        return path, 200
    if path == "/hang":
        await asyncio.sleep(3600)
    if path == "/fatal":
        os.kill(os.getpid(), signal.SIGKILL)
    return path, 200 if path == "/health" else 500


async def answer(send, status, content):
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": content})


async def lifespan(receive, send):
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
