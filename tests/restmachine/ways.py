"""Answers of an application by its fast ways, and by the steps of its plans, to hold together."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest.mock import patch

from restmachine import ASGIAdapter, RestApplication, asgi
from restmachine.inbound import ASGIExchange

Messages = list[dict[str, Any]]


class StepByStep(ASGIAdapter):
    """Answers every request by the steps of its plan."""

    async def _answer(self, exchange: ASGIExchange, send: Any, first: Any) -> None:
        await asgi.respond_on_loop(exchange, self.app.workers, first)
        await self._send(exchange, send)  # without keeping what is settled


def step_by_step(app: RestApplication) -> ASGIAdapter:
    with (
        patch("restmachine.plan.find_direct", return_value=None),
        patch("restmachine.plan.find_checked", return_value=None),
    ):
        assert app.compiled
    return StepByStep(app)


async def messages_of(
    adapter: ASGIAdapter, method: str, path: str, headers: Any, *pieces: bytes
) -> Messages:
    sent: Messages = []
    waiting: list[dict[str, Any]] = [
        {"type": "http.request", "body": piece, "more_body": True}
        for piece in reversed(pieces[:-1])
    ]
    waiting.insert(0, {"type": "http.request", "body": b"".join(pieces[-1:])})

    async def receive() -> dict[str, Any]:
        if not waiting:  # the client stays and says nothing more
            await asyncio.Event().wait()
        return waiting.pop()

    async def send(message: Any) -> None:
        sent.append(message)

    await asyncio.wait_for(adapter(scope_of(method, path, headers), receive, send), 10)
    return sent


def scope_of(method: str, path: str, headers: Any) -> dict[str, Any]:
    """Return a request as an ASGI server hands it over."""
    return {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": headers,
    }
