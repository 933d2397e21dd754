"""Serves an ASGI application from a thread of the process that asks it, by uvicorn."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import uvicorn

from perfkit.errors import PerfkitError

HOST = "127.0.0.1"
READY_SECONDS = 20.0


@contextmanager
def served(app: Any) -> Iterator[tuple[str, int]]:
    """Yield the host and port at which *app* answers while the block runs.

    Raises:
        PerfkitError: It did not start.
    """
    with socket.create_server((HOST, 0), backlog=1024) as listener:
        config = uvicorn.Config(
            app, log_level="error", access_log=False, lifespan="auto", timeout_graceful_shutdown=1
        )
        server = uvicorn.Server(config)
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(server.run, sockets=[listener])
            try:
                deadline = time.monotonic() + READY_SECONDS
                while not server.started:
                    if running.done() or time.monotonic() > deadline:
                        raise PerfkitError("the application did not start: uvicorn says why above")
                    time.sleep(0.002)
                yield HOST, listener.getsockname()[1]
            finally:
                server.should_exit = True
