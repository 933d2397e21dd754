"""What a client of httpx sends lands at the request that sent it, and passes on its trace."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import httpx
import pytest

from perfkit import operations
from perfkit.errors import PerfkitError

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Handler(BaseHTTPRequestHandler):
    """Answers with the trace context that came; below /moved with a redirect; below /slow late."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        content = self.headers.get("traceparent", "none").encode()
        self.send_response(302 if self.path == "/moved" else 500 if self.path == "/bad" else 200)
        self.send_header("Location", "/")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        time.sleep(0.1 if self.path == "/slow" else 0)
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = Thread(target=listening.serve_forever)
        thread.start()
        yield f"127.0.0.1:{listening.server_port}"
        listening.shutdown()
        thread.join()


@pytest.fixture
def client(server: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://user:pass@{server}") as connected:
        yield operations.watch(connected)


def test_a_request_counts_by_method_and_host_without_path_and_credentials(
    client: httpx.Client, server: str, serving: Any
) -> None:
    with serving() as record:
        client.get("/s3cret", params={"token": "s3cret"})

    (operation,) = record.operations
    assert (operation.system, operation.name, operation.error) == ("http", f"GET {server}", "")
    assert operation.seconds > 0


def test_a_method_of_ones_own_is_not_named(client: httpx.Client, server: str, serving: Any) -> None:
    with serving() as record:
        client.request("S3CRET", "/")

    assert [each.name for each in record.operations] == [f"_OTHER {server}"]


@pytest.mark.parametrize("path", ["/moved", "/bad"])
def test_redirects_belong_to_a_request_and_no_status_is_an_error(
    path: str, client: httpx.Client, serving: Any
) -> None:
    with serving() as record:
        client.get(path, follow_redirects=True)

    assert [each.error for each in record.operations] == [""]


def test_a_request_that_fails_counts_with_the_type_of_its_error(
    client: httpx.Client, serving: Any
) -> None:
    with serving() as record, pytest.raises(httpx.ConnectError):
        client.get("http://127.0.0.1:1/")

    assert [(each.name, each.error) for each in record.operations] == [
        ("GET 127.0.0.1:1", "ConnectError")
    ]


def test_a_streamed_response_counts_when_it_is_closed_without_the_callers_own_time(
    client: httpx.Client, serving: Any
) -> None:
    with serving() as record:
        with client.stream("GET", "/slow") as response:
            before = len(record.operations)
            time.sleep(1)
            content = response.read()
        response.close()

    (operation,) = record.operations
    assert (before, content) == (0, b"none")
    assert operation.seconds < 1


def test_a_request_lasts_until_the_content_has_come(client: httpx.Client, serving: Any) -> None:
    with serving() as record:
        client.get("/slow")

    assert 0.1 <= record.operations[0].seconds < 10


def test_requests_of_an_async_client_count_at_their_requests(server: str, serving: Any) -> None:
    async def request(client: httpx.AsyncClient, number: int) -> int:
        with serving() as record:
            for _ in range(number):
                await client.get("/slow")
            async with client.stream("GET", "/") as response:
                assert [piece async for piece in response.aiter_bytes()] == [b"none"]
        return len(record.operations)

    async def main() -> list[int]:
        async with httpx.AsyncClient(base_url=f"http://{server}") as client:
            operations.watch(client)
            return await asyncio.gather(*(request(client, number) for number in range(4)))

    assert asyncio.run(main()) == [1, 2, 3, 4]


def test_a_cancelled_request_counts_as_cancelled(server: str, serving: Any) -> None:
    async def main() -> list[str]:
        async with httpx.AsyncClient(base_url=f"http://{server}") as client:
            operations.watch(client)
            with serving() as record, pytest.raises(TimeoutError):
                await asyncio.wait_for(client.get("/slow"), 0.02)
        return [each.error for each in record.operations]

    assert asyncio.run(main()) == ["CancelledError"]


def test_the_trace_context_is_passed_on(server: str) -> None:
    with httpx.Client(base_url=f"http://{server}") as client:
        operations.watch(client, outgoing=lambda: {"traceparent": TRACE})

        passed_on = client.get("/").text
        own = client.get("/", headers={"traceparent": "own"}).text

    assert (passed_on, own) == (TRACE, "own")


def test_the_trace_context_is_passed_on_by_an_async_client(server: str) -> None:
    async def main() -> str:
        async with httpx.AsyncClient(base_url=f"http://{server}") as client:
            operations.watch(client, outgoing=lambda: {"traceparent": TRACE})
            return (await client.get("/moved", follow_redirects=True)).text

    assert asyncio.run(main()) == TRACE


def test_a_client_that_is_let_go_is_as_before(client: httpx.Client, serving: Any) -> None:
    operations.unwatch(client)

    with serving() as record:
        client.get("/")

    assert record.operations == []
    assert type(client) is httpx.Client


def test_a_name_is_refused_as_httpx_does_not_tell_of_its_pool(client: httpx.Client) -> None:
    with pytest.raises(PerfkitError, match="a Client has no pool"):
        operations.watch(client, "pool")
