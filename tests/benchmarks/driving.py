"""Drives ASGI applications without a server and without an event loop: only they are timed."""

import asyncio
import atexit
from collections.abc import Callable, Coroutine, Iterable, MutableMapping
from typing import Any, NamedTuple

Message = MutableMapping[str, Any]
Application = Callable[[Any, Any, Any], Coroutine[Any, Any, None]]


class SuspendedError(Exception):
    """A coroutine waits for something that only an event loop can bring."""


class Answer(NamedTuple):
    """What an application sent."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


class Client:
    """Sends one prepared request to an application, again and again."""

    def __init__(
        self,
        application: Application,
        method: str,
        path: str,
        headers: Iterable[tuple[bytes, bytes]] = (),
        body: bytes = b"",
    ) -> None:
        fields = [(b"host", b"example.org"), (b"user-agent", b"bench"), (b"accept", b"*/*")]
        if body:
            fields += [
                (b"content-type", b"application/json"),
                (b"content-length", b"%d" % len(body)),
            ]
        self._application = application
        self._scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [*fields, *headers],
            "client": ("127.0.0.1", 50000),
            "server": ("127.0.0.1", 8000),
            "state": {},
        }
        self._content = {"type": "http.request", "body": body, "more_body": False}

    def __call__(self) -> list[Message]:
        """Send the request once and return the messages of the answer."""
        self._sent: list[Message] = []
        self._run(self._application(self._scope.copy(), self._receive, self._send))
        return self._sent

    def answer(self) -> Answer:
        """Send the request once and return the answer as a whole."""
        start, *rest = self()
        return Answer(
            start["status"],
            dict(start["headers"]),
            b"".join(message.get("body", b"") for message in rest),
        )

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        drive(coroutine)

    async def _receive(self) -> Message:
        return self._content

    async def _send(self, message: Message) -> None:
        self._sent.append(message)


class LoopClient(Client):
    """A client whose requests may wait; it has an event loop, and that is timed too."""

    def __init__(self, application: Application, method: str, path: str) -> None:
        super().__init__(application, method, path)
        self._loop = asyncio.new_event_loop()
        # The gate times after the benchmark has returned: nothing else could close it in time.
        atexit.register(self._loop.close)

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self._loop.run_until_complete(coroutine)


def drive(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that never really waits to its end, and return its result.

    Raises:
        SuspendedError: It waits, for a thread say.
    """
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise SuspendedError(f"{coroutine!r} waits; without an event loop it would do so for ever")
