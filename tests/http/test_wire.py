"""What the tests over a socket would notice: servers that break the framing of HTTP."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager

import h11
import pytest
from wire import Wire

from restmachine.testing import TestClient

ABSENT = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
Scripted = Callable[[bytes], TestClient]


@contextmanager
def answering(*answers: bytes) -> Iterator[tuple[str, int]]:
    """Answer the requests of one connection with these bytes, then close it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                for each in answers:
                    if not connection.recv(65536):
                        return
                    connection.sendall(each)

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield listener.getsockname()
        finally:
            thread.join()


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    """Return a client of a server that gives this answer, and 404 to the request after it."""
    with ExitStack() as stack:

        def start(answer: bytes) -> TestClient:
            address = stack.enter_context(answering(answer, ABSENT))
            return TestClient(stack.enter_context(closing(Wire(address))))

        yield start


def test_one_answer_of_the_stated_length_is_taken(scripted: Scripted) -> None:
    response = scripted(FINE).get("/")

    assert (response.status, response.content) == (200, b"ok")


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        pytest.param("GET", FINE + FINE, id="two answers"),
        pytest.param("GET", FINE + b"more", id="more than the stated length"),
        pytest.param("HEAD", FINE, id="content after HEAD"),
        pytest.param("GET", b"HTTP/1.1 204 No Content\r\n\r\nok", id="content after 204"),
        pytest.param("GET", b"HTTP/1.1 304 Not Modified\r\n\r\nok", id="content after 304"),
        pytest.param(
            "GET", FINE.replace(b"\r\n", b"\r\nConnection: close\r\n", 1) + b"more",
            id="bytes before the end of the connection",
        ),
    ],
)  # fmt: skip
def test_bytes_beyond_the_answer_are_noticed(
    scripted: Scripted, method: str, answer: bytes
) -> None:
    client = scripted(answer)

    with pytest.raises(AssertionError, match="bytes came after"):
        client.request(method, "/")


def test_an_answer_shorter_than_its_stated_length_is_noticed() -> None:
    short = FINE.replace(b": 2", b": 9")

    with answering(short) as address, closing(Wire(address)) as wire:
        client = TestClient(wire)

        with pytest.raises(h11.RemoteProtocolError, match="without sending complete message body"):
            client.get("/")


def test_a_connection_that_ends_unannounced_is_noticed() -> None:
    with answering(FINE) as address, closing(Wire(address)) as wire:
        client = TestClient(wire)

        with pytest.raises((h11.RemoteProtocolError, OSError)):
            client.get("/")
