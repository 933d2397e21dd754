"""What watching costs every request: a loop's watchdog, and memory sampled at 1 in 100.

One call is a batch of requests on a running event loop. ``overhead.py`` has the same applications
served in turns, and gives the ratio of their throughput with its interval.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from driving import LoopClient

from perfkit import loop, memory
from restmachine import ASGIAdapter, Observer, RestApplication
from restmachine.exchange import Exchange

BATCH = 500
ITEMS = [{"id": number, "name": f"item {number}", "text": "x" * 100} for number in range(50)]


class Batch(LoopClient):
    """Sends so many requests, one after the other, in one run of the loop."""

    def __init__(self, app: RestApplication) -> None:
        super().__init__(ASGIAdapter(app), "GET", "/items")
        self._loop.run_until_complete(app.startup())

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        coroutine.close()
        self._loop.run_until_complete(self._all())

    async def _all(self) -> None:
        for _ in range(BATCH):
            self._sent = []
            await self._application(self._scope.copy(), self._receive, self._send)
            await asyncio.sleep(0)


def application() -> RestApplication:
    app = RestApplication()

    @app.get("/items")
    async def items() -> list[dict[str, Any]]:
        await asyncio.sleep(0)
        return [item for item in ITEMS if item["id"] % 2]

    return app


class Hearing(Observer):
    """Hears of what a sampler hears of."""

    def enters(self, now: float) -> bool:
        """Want no more of any request."""
        return True

    def follow(self, exchange: Exchange) -> None:
        """Follow no request."""

    def request_finished(
        self, exchange: Exchange, status: int, sent_bytes: int, now: float
    ) -> None:
        """Do nothing with it."""


def observed_application() -> RestApplication:
    app = application()
    app.observe(Hearing())
    return app


def memory_sampled_application() -> RestApplication:
    app = application()
    memory.attach(app, memory.MemorySampler(100, on_sample=lambda taken: None))
    return app


def watched_application() -> RestApplication:
    app = application()
    loop.attach(app, loop.Watchdog())
    return app


def _timed(benchmark: Callable[..., Any], app: RestApplication) -> None:
    client = Batch(app)
    assert client.answer().status == 200

    benchmark(client)


def bench_unwatched(benchmark: Callable[..., Any]) -> None:
    _timed(benchmark, application())


def bench_observed(benchmark: Callable[..., Any]) -> None:
    _timed(benchmark, observed_application())


def bench_watchdog(benchmark: Callable[..., Any]) -> None:
    _timed(benchmark, watched_application())


def bench_memory_sampled_1_in_100(benchmark: Callable[..., Any]) -> None:
    _timed(benchmark, memory_sampled_application())
