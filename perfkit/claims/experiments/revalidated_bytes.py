"""Asking again for what may have changed: the bytes that cross the wire with a tag and without."""

import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from http.client import HTTPResponse
from typing import Any

from perfkit.claims import WIRE_BYTES, Experiment, Operation
from restmachine import ASGIAdapter, RestApplication

REQUESTS = 10

Served = Callable[[Any], AbstractContextManager[tuple[str, int]]]

experiment = Experiment(
    theme="responses",
    claims=["O-102"],
    question="How many bytes does an ETag save when a client asks again?",
    hypothesis="An ETag spares the transfer of what the client has already.",
    metric=WIRE_BYTES,
    varies={"size": [20, 1000, 20_000], "changes": ["never", "each time"]},
    because="A 304 has no content but all the fields, and the tag goes both ways: on what is "
    "smaller than these, or changes each time, it is added for nothing.",
    advice="Give what is larger than its header fields, and seldom changes, a tag of its version "
    "and let the framework answer 304.",
    conditions="The client has the item and asks for it ten times more; all bytes that it sends "
    "and gets over uvicorn, header fields too. A client that keeps it for max-age asks less often.",
)


@experiment.before
def untagged(served: Served, size: int, changes: str) -> Iterator[Operation]:
    """Sends the item each time."""
    yield from asking_again(served, application(size, changes, tagged=False))


@experiment.after
def tagged(served: Served, size: int, changes: str) -> Iterator[Operation]:
    """Sends the item with a tag, and 304 as long as it is the same."""
    yield from asking_again(served, application(size, changes, tagged=True))


def application(size: int, changes: str, *, tagged: bool) -> ASGIAdapter:
    """Have an item of so many bytes, which stays as it is or is another each time."""
    app, version = RestApplication(), 1000

    @app.resource_exists
    def item() -> int:
        nonlocal version
        version += changes == "each time"
        return version

    if tagged:
        app.generate_etag(lambda item: f"v{item}")
    app.get("/item")(lambda item: f"{item}".ljust(size))
    return ASGIAdapter(app)


def asking_again(served: Served, app: ASGIAdapter) -> Iterator[Operation]:
    """Yield what asks ten times, with the tag that it got last, and returns the bytes."""
    with served(app) as address, socket.create_connection(address) as wire:
        tag = ask(wire, None)[0]

        def ask_again() -> int:
            nonlocal tag
            total = 0
            for _ in range(REQUESTS):
                tag, passed = ask(wire, tag)
                total += passed
            return total

        yield ask_again


def ask(wire: socket.socket, tag: str | None) -> tuple[str | None, int]:
    """Ask once; return the tag of the answer and how many bytes went both ways."""
    condition = f"If-None-Match: {tag}\r\n" if tag else ""
    request = f"GET /item HTTP/1.1\r\nHost: localhost\r\n{condition}\r\n".encode()
    wire.sendall(request)
    response = HTTPResponse(wire)
    response.begin()
    content = response.read()
    fields = sum(len(f"{name}: {value}\r\n") for name, value in response.getheaders())
    status_line = len(f"HTTP/1.1 {response.status} {response.reason}\r\n\r\n")
    return response.getheader("ETag"), len(request) + status_line + fields + len(content)
