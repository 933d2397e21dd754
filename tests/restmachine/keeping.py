"""What the tests of kept answers share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from restmachine import RestApplication
from restmachine.decorators import cache_response
from restmachine.testing import ClientResponse, TestClient

Serve = Callable[[RestApplication], TestClient]
MANY = 100


class Clock:
    """Tells a time that only a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Counting:
    """Answers with how often it was asked."""

    def __init__(self, **headers: str) -> None:
        self.calls = 0
        self.headers = headers

    def answer(self) -> Any:
        self.calls += 1
        fields = {name.replace("_", "-"): value for name, value in self.headers.items()}
        return {"call": self.calls}, 200, fields


def kept(app: RestApplication, path: str = "/x", max_age: int = 60, **options: Any) -> Counting:
    """Declare a route whose answers are kept, and return what counts its calls."""
    headers = options.pop("headers", {})
    counting = Counting(**headers)

    def handler() -> Any:
        return counting.answer()

    app.get(path)(cache_response(max_age=max_age, server=True, **options)(handler))
    return counting


def at_once(
    client: TestClient, count: int, url: str = "/x", **message: Any
) -> list[ClientResponse]:
    """Send requests together and return their responses."""

    async def send() -> list[ClientResponse]:
        sending = [client.request_async("GET", url, **message) for _ in range(count)]
        return await asyncio.gather(*sending)

    return client.run(send())


async def call_asgi(app: Any, path: str = "/x", *headers: tuple[bytes, bytes]) -> list[Any]:
    """Send a request as a server would, and return the messages of the response."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET",
        "scheme": "http", "path": path, "raw_path": path.encode(), "query_string": b"",
        "root_path": "", "headers": list(headers),
    }  # fmt: skip
    await app(scope, receive, send)
    return sent
