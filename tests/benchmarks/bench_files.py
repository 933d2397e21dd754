"""Ranges, files and streams through the ASGI adapter; each beside a route that has none of it."""

import atexit
import tempfile
from pathlib import Path

from driving import Client, LoopClient

from restmachine import ASGIAdapter, RestApplication

CONTENT = bytes(64 * 1024)
PIECES = 16
FOLDER = tempfile.TemporaryDirectory()
atexit.register(FOLDER.cleanup)
FILE = Path(FOLDER.name, "file.bin")
FILE.write_bytes(CONTENT)


def _application() -> RestApplication:
    app = RestApplication()

    @app.get("/data")
    async def data():
        return {"message": "hi!"}

    @app.get("/bytes")
    async def as_bytes():
        return CONTENT

    @app.get("/file")
    async def as_file() -> Path:
        return FILE

    @app.get("/async-stream")
    async def async_stream():
        for _ in range(PIECES):
            yield CONTENT

    @app.get("/inline-stream", blocking=False)
    def inline_stream():
        for _ in range(PIECES):
            yield CONTENT

    @app.get("/stream")
    def stream():
        for _ in range(PIECES):
            yield CONTENT

    return app


APPLICATION = ASGIAdapter(_application())
FIRST_KILOBYTE = [(b"range", b"bytes=0-1023")]


class WaitingClient(LoopClient):
    """A client that stays until it has the answer."""

    def __init__(self, application, method, path, headers=()):
        super().__init__(application, method, path)
        self._scope["headers"] += headers

    async def _receive(self):
        if not self._asked:
            self._asked = True
            return await super()._receive()
        return await self._loop.create_future()

    def __call__(self):
        """Send the request once and return the messages of the answer."""
        self._asked = False
        return super().__call__()


def _timed(benchmark, client, status, size):
    answer = client.answer()
    assert (answer.status, len(answer.body)) == (status, size)

    benchmark(client)


def bench_data(benchmark):
    _timed(benchmark, Client(APPLICATION, "GET", "/data"), 200, 17)


def bench_data_asked_for_a_range(benchmark):
    _timed(benchmark, Client(APPLICATION, "GET", "/data", FIRST_KILOBYTE), 200, 17)


def bench_bytes(benchmark):
    _timed(benchmark, Client(APPLICATION, "GET", "/bytes"), 200, len(CONTENT))


def bench_range_of_bytes(benchmark):
    _timed(benchmark, Client(APPLICATION, "GET", "/bytes", FIRST_KILOBYTE), 206, 1024)


def bench_file(benchmark):
    _timed(benchmark, WaitingClient(APPLICATION, "GET", "/file"), 200, len(CONTENT))


def bench_range_of_a_file(benchmark):
    _timed(benchmark, WaitingClient(APPLICATION, "GET", "/file", FIRST_KILOBYTE), 206, 1024)


def bench_file_not_modified(benchmark):
    tag = WaitingClient(APPLICATION, "GET", "/file").answer().headers[b"etag"]
    client = WaitingClient(APPLICATION, "GET", "/file", [(b"if-none-match", tag)])

    _timed(benchmark, client, 304, 0)


def bench_async_stream_of_16_pieces(benchmark):
    _timed(benchmark, WaitingClient(APPLICATION, "GET", "/async-stream"), 200, 16 * len(CONTENT))


def bench_stream_that_does_not_block_of_16_pieces(benchmark):
    _timed(benchmark, WaitingClient(APPLICATION, "GET", "/inline-stream"), 200, 16 * len(CONTENT))


def bench_stream_on_worker_threads_of_16_pieces(benchmark):
    _timed(benchmark, WaitingClient(APPLICATION, "GET", "/stream"), 200, 16 * len(CONTENT))
