"""Stands for api.example.com: a small HTTP server on loopback, reached by real connections."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOGETHER_WITHIN_S = 10.0


class Stub(ThreadingHTTPServer):
    """The server, and what it saw.

    Attributes:
        opened: How many connections were made.
        open: How many of them are still open.
        asked: The paths asked for, in order.
    """

    daemon_threads = True
    request_queue_size = 128  # as many connections may wait to be accepted
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Forget what was seen."""
        self.opened = self.open = 0
        self.asked: list[str] = []
        self.pair = threading.Barrier(2, timeout=TOGETHER_WITHIN_S)


class _Answers(BaseHTTPRequestHandler):
    """Answers /data at once, and a user and the user's posts only when both are asked for."""

    protocol_version = "HTTP/1.1"
    server: Stub

    def setup(self) -> None:
        super().setup()
        with self.server.lock:
            self.server.opened += 1
            self.server.open += 1

    def finish(self) -> None:
        super().finish()
        with self.server.lock:
            self.server.open -= 1

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        match self.path.split("/")[1:]:
            case ["data" | ""]:
                self._answer(200, {"from": self.headers["Host"]})
            case ["users", number, *rest]:
                try:
                    self.server.pair.wait()
                except threading.BrokenBarrierError:
                    self._answer(504, {"error": "the other half was not asked for meanwhile"})
                    return
                self._answer(200, [{"by": number}] if rest else {"id": number})
            case _:
                self._answer(404, {})

    def _answer(self, status: int, data: Any) -> None:
        content = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *words: Any) -> None:
        """Keep quiet."""


@contextmanager
def running_stub() -> Iterator[Stub]:
    """Yield a stub that serves meanwhile."""
    with Stub() as stub:
        thread = threading.Thread(target=stub.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield stub
        finally:
            stub.shutdown()
            thread.join()
