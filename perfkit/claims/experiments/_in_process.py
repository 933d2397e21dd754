"""Sends a request to an ASGI application in process, with as little of its own as can be."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

Application = Callable[[Any, Any, Any], Awaitable[None]]
SCOPE = {
    "type": "http", "method": "GET", "path": "/", "raw_path": b"/", "query_string": b"",
    "headers": [], "http_version": "1.1", "scheme": "http",
    "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 1), "asgi": {"version": "3.0"},
}  # fmt: skip


async def get(app: Application) -> int:
    """Ask for ``/`` and return the status, once all of the answer has come."""
    asked, status = False, 0

    async def receive() -> dict[str, Any]:
        nonlocal asked
        if asked:
            # A client that stays sends nothing more.
            await asyncio.Event().wait()
        asked = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Mapping[str, Any]) -> None:
        nonlocal status
        status = message.get("status", status)

    await app({**SCOPE}, receive, send)
    return status
