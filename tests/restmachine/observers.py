"""An application with a route for everything that observers hear of, and one who listens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

from restmachine import NotFound, Observer, RestApplication
from restmachine.exchange import Exchange
from restmachine.hooks import DEPENDENCY, KINDS, TEARDOWN, Entry
from restmachine.testing import TestClient

STARTED, RESPONDING, FINISHED = "started", "responding", "finished"


class Everything(Observer):
    """Writes down every call in the timeline of its request, and keeps the last timeline."""

    kinds = KINDS

    def __init__(self) -> None:
        self.timeline: list[Entry] = []
        self.finished = (0, 0)
        self.decision = ""

    def request_started(self, exchange: Exchange, now: float) -> None:
        exchange.timeline.append((STARTED, "", now, now))

    def response_started(self, exchange: Exchange, status: int, now: float) -> None:
        exchange.timeline.append((RESPONDING, "", now, now))

    def request_finished(
        self, exchange: Exchange, status: int, sent_bytes: int, now: float
    ) -> None:
        self.timeline = [*exchange.timeline, (FINISHED, "", now, now)]
        self.finished = (status, sent_bytes)
        self.decision = exchange.decision

    @property
    def labels(self) -> list[str]:
        return [
            f"{kind} {subject}" if kind in (DEPENDENCY, TEARDOWN) else kind
            for kind, subject, _, _ in self.timeline
        ]

    def entry(self, kind: str, subject: object = "") -> Entry:
        """Return the one entry of a kind, and of a subject if that is given."""
        (found,) = [each for each in self.timeline if each[0] == kind and subject in ("", each[1])]
        return found


def application(observer: Observer) -> RestApplication:
    """Return an observed application with a dependency of each kind."""
    app = RestApplication()
    app.observe(observer)

    @app.dependency()
    async def session() -> AsyncIterator[str]:
        yield "session"

    @app.dependency()
    def user(session: str) -> str:
        return "user"

    @app.dependency()
    async def absent() -> None:
        raise NotFound

    @app.get("/sync")
    def sync(user: str) -> dict[str, str]:
        return {"a": user}

    @app.get("/async")
    async def asynchronous(session: str) -> dict[str, str]:
        return {"a": session}

    @app.get("/stream")
    async def stream(session: str) -> Iterator[str]:
        return iter(["one", "two"])

    @app.get("/broken")
    async def broken(session: str) -> None:
        raise KeyError("x")

    @app.get("/absent")
    async def missing(absent: None) -> None:
        return None

    @app.get("/endless")
    async def endless(session: str) -> None:
        await asyncio.sleep(60)

    @app.post("/posted")
    async def posted(json_body: Any) -> Any:
        return json_body

    return app


async def cancelled(client: TestClient) -> None:
    """Cancel a request while its handler waits."""
    task = asyncio.ensure_future(client.request_async("GET", "/endless"))
    await asyncio.sleep(0.01)
    task.cancel()
    await task
