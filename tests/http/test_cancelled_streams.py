"""A stream whose request is cancelled: what was made for it is torn down, once nobody uses it."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from restmachine import ASGIAdapter, RestApplication


async def serve_once(app: RestApplication) -> None:
    """Serve one request whose client stays."""

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    async def send(message: Any) -> None:
        await asyncio.sleep(0)

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "path": "/",
        "query_string": b"",
        "headers": [],
    }
    await ASGIAdapter(app)(scope, receive, send)


@pytest.mark.parametrize("turns", range(1, 20))
def test_dependencies_are_finished_at_whatever_turn_a_request_is_cancelled(turns: int) -> None:
    app, events = RestApplication(), []

    @app.dependency()
    async def connection():
        events.append("open")
        try:
            yield "open"
        finally:
            events.append("closed")

    @app.get("/")
    async def read(connection):
        async def pieces():
            yield b"piece"

        return pieces()

    async def run() -> list[str]:
        assert app.compiled
        serving = asyncio.create_task(serve_once(app))
        for _ in range(turns):
            await asyncio.sleep(0)
        serving.cancel()
        await asyncio.wait({serving})
        return [*events]  # the loop finishes what is left of generators at its own end

    assert asyncio.run(run()) in ([], ["open", "closed"])


def test_what_a_thread_still_uses_is_not_torn_down_by_a_second_cancellation() -> None:
    app, events = RestApplication(), []
    reading, may_end = threading.Event(), threading.Event()

    @app.dependency()
    async def connection():
        try:
            yield "open"
        finally:
            events.append("closed")

    @app.get("/")
    def read(connection):
        reading.set()
        may_end.wait(10)
        events.append("read")
        yield b"piece"

    async def run() -> None:
        serving = asyncio.create_task(serve_once(app))
        await asyncio.to_thread(reading.wait, 10)
        for _ in range(2):
            serving.cancel()
            await asyncio.sleep(0)
        may_end.set()
        await asyncio.wait({serving})

    asyncio.run(run())

    assert events == ["read", "closed"]
