"""Real services, seeded, and the application on them: called directly and over the network."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest

from loadtests.app import app, asgi_app
from loadtests.settings import POSTGRES_VARIABLE, REDIS_VARIABLE
from perfkit.services import Services, start_services

ROOT = Path(__file__).parents[2]

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def run() -> Run:
    """Run Python at the root of the repository to its end, with more variables if given."""

    def run_python(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=os.environ | variables,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )

    return run_python


@pytest.fixture(scope="session")
def services(run: Run) -> Iterator[Services]:
    """Both services, seeded, and known to this process and its children."""
    with start_services() as started, pytest.MonkeyPatch.context() as patch:
        patch.setenv(POSTGRES_VARIABLE, started.postgres_url)
        patch.setenv(REDIS_VARIABLE, started.redis_url)
        seeded = run("-m", "loadtests.seed")
        assert seeded.returncode == 0, seeded.stderr
        yield started


@pytest.fixture(scope="session")
def server_url(services: Services) -> Iterator[str]:
    """The application in a uvicorn of its own, on a socket that listens before it starts."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        # uvicorn takes the descriptor for a Unix socket's and does not ask for this itself;
        # without it every answer would wait 40 ms for the client's acknowledgement.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "uvicorn", "loadtests.app:asgi_app"),
                *("--log-level=warning", f"--fd={listener.fileno()}"),
            ],
            cwd=ROOT,
            pass_fds=[listener.fileno()],
        )
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=60)


@pytest.fixture(scope="session")
def over_uvicorn(server_url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server_url, timeout=60) as client:
        yield client


class InProcess:
    """httpx without a network: the application runs on an event loop in a thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, client: httpx.AsyncClient) -> None:
        self._loop = loop
        self._client = client
        self.get = partial(self.request, "GET")
        self.post = partial(self.request, "POST")
        self.put = partial(self.request, "PUT")

    def request(self, method: str, address: str, **options: Any) -> httpx.Response:
        """Send a request; this may be called from several threads."""
        asked = self._client.request(method, address, **options)
        return asyncio.run_coroutine_threadsafe(asked, self._loop).result(timeout=60)


@pytest.fixture(scope="session")
def in_process(services: Services) -> Iterator[InProcess]:
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever)
    thread.start()

    def wait_for(coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, loop).result(timeout=60)

    transport = httpx.ASGITransport(app=asgi_app)
    client = httpx.AsyncClient(transport=transport, base_url="http://in-process")
    try:
        wait_for(app.startup())
        yield InProcess(loop, client)
        wait_for(client.aclose())
        wait_for(app.shutdown())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture(params=["in_process", "over_uvicorn"])
def client(request: pytest.FixtureRequest) -> Any:
    """The application, called directly and over the network."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def numbers() -> Iterator[int]:
    """Identifiers which no test has used yet."""
    return count(1001)


@pytest.fixture
def fresh(numbers: Iterator[int]) -> int:
    """The identifier of a user and a product that no other test reads or changes."""
    return next(numbers)
