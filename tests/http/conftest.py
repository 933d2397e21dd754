"""Tables of requests and the answers which the RFCs ask for, sent to one application each.

A module declares `application()` and `CASES`, whose rows are: an id that names the section of
the RFC (RFC 9110 unless it says otherwise) and the decision, if one decides; the method and
target; the header fields; the status; and the fields of the answer, where None means that the
field is absent. A sixth member is the content to send, a seventh why a server answers the
request itself. Every case is asked within the process and over a socket; `SERVER` names the
parser of the server, where it is not httptools.

Other modules declare an application in each test, and talk to it in process (`serve`), message
by message (`converse`) or over a socket (`listen`).
"""

from __future__ import annotations

import asyncio
import re
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from restmachine import ASGIAdapter, Observer, RestApplication
from restmachine.hooks import KINDS
from restmachine.testing import ClientResponse, TestClient

sys.path.append(str(Path(__file__).parent))

from wire import Wire

REFUSAL = b"Invalid HTTP request received."  # uvicorn's words, which no application says


@dataclass(frozen=True)
class Case:
    """One request, and what must come of it."""

    id: str
    line: str
    sent: dict[str, Any]
    status: int
    fields: dict[str, Any] = field(default_factory=dict)
    content: bytes = b""
    refused_by_server: str = ""

    def ask(self, client: TestClient) -> ClientResponse:
        """Send the request; only where the table says so may the server refuse it."""
        method, target = self.line.split(" ", 1)
        response = client.request(method, target, headers=self.sent, content=self.content)
        assert self.refused_by_server or response.content != REFUSAL
        return response

    def differences(self, response: ClientResponse) -> dict[str, Any]:
        """Return every field of the answer that is not as expected."""
        found = {name: response.headers.joined(name) for name in self.fields}
        return {
            name: found[name]
            for name, expected in self.fields.items()
            if not _agrees(found[name], expected)
        }


def _agrees(found: str | None, expected: Any) -> bool:
    if isinstance(expected, re.Pattern):
        return found is not None and expected.fullmatch(found) is not None
    return bool(found == expected)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test that takes `case` every row of its module's table."""
    if "case" in metafunc.fixturenames:
        rows = [Case(*row) for row in metafunc.module.CASES]
        ids = [f"{row.id}{'-refused-by-server' * bool(row.refused_by_server)}" for row in rows]
        metafunc.parametrize("case", rows, ids=ids)


@pytest.fixture(scope="module", params=["in_process", "over_socket"])
def client(request: pytest.FixtureRequest) -> Iterator[TestClient]:
    """Start the module's application, within the client and then behind a server."""
    app = request.module.application()
    if request.param == "in_process":
        with TestClient(app) as started:
            yield started
        return
    parser = getattr(request.module, "SERVER", "httptools")
    with ExitStack() as stack:
        server = _listening(app, http=parser, server_header=False, date_header=False)
        wire = stack.enter_context(closing(Wire(stack.enter_context(server))))
        yield TestClient(wire)


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Keep the tracebacks of errors that are meant out of the report."""
    caplog.set_level("CRITICAL", logger="restmachine")


@pytest.fixture
def serve() -> Iterator[Callable[[RestApplication], TestClient]]:
    """Start an application and return a client of it; it is shut down after the test."""
    with ExitStack() as stack:
        yield lambda app: stack.enter_context(TestClient(app))


@pytest.fixture
def listen() -> Iterator[Callable[[RestApplication], tuple[str, int]]]:
    """Start an application behind uvicorn and return its address."""
    with ExitStack() as stack:
        yield lambda app: stack.enter_context(_listening(app))


@contextmanager
def _listening(app: RestApplication, **settings: Any) -> Iterator[tuple[str, int]]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        config = uvicorn.Config(ASGIAdapter(app), log_level="critical", ws="none", **settings)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield listener.getsockname()
        finally:
            server.should_exit = True
            thread.join()


def request_messages(content: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """Yield the messages by which a server hands over the content of a request."""
    for piece in content:
        yield {"type": "http.request", "body": piece, "more_body": True}
    yield {"type": "http.request", "body": b"", "more_body": False}


class Conversation:
    """The two ends of one request; the client leaves when it is told to."""

    def __init__(self, app: RestApplication, content: Iterable[bytes] = ()) -> None:
        self.app = app
        self.sent: list[dict[str, Any]] = []
        self.on_send: Callable[[dict[str, Any]], None] = self.sent.append
        self.gives_way = True  # whether taking a message lets others have their turn
        self.left = asyncio.Event()
        self.messages = request_messages(content)

    async def run(self, method: str, path: str) -> None:
        """Have the application answer a request."""
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "path": path,
            "query_string": b"",
            "headers": [(b"transfer-encoding", b"chunked")] if method == "POST" else [],
        }
        await ASGIAdapter(self.app)(scope, self._receive, self._send)

    async def _receive(self) -> dict[str, Any]:
        message = next(self.messages, None)
        if message is None:
            await self.left.wait()
            return {"type": "http.disconnect"}
        return message

    async def _send(self, message: Any) -> None:
        self.on_send(message)
        if self.gives_way:
            await asyncio.sleep(0)


@pytest.fixture
def app() -> Iterator[RestApplication]:
    """Give an application for conversations; its workers end after the test."""
    application = RestApplication()
    yield application
    application.shutdown_sync()


class Listening(Observer):
    """Has all of each request written down."""

    kinds = KINDS


@pytest.fixture(params=[False, True], ids=["alone", "observed"])
def alone_or_observed(request: pytest.FixtureRequest) -> Iterator[RestApplication]:
    """Give an application whose requests nobody observes, and then one of which all are."""
    application = RestApplication()
    if request.param:
        application.observe(Listening())
    yield application
    application.shutdown_sync()


@pytest.fixture
def converse() -> type[Conversation]:
    """Give the way to talk to an application message by message."""
    return Conversation
