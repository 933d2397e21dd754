"""Load whose own ledger says what a server's counters must show, while workers die.

Each connection asks one request after the other, and each answer names the worker that gave
it. So it is known of every request what became of it:

- answered, by a worker that lives or ended in good order: counted, once;
- not answered, by such a worker: it was not taken any more, and is not counted;
- the last answer on a connection to a worker that was killed, and the request after it: the
  worker may have been killed before it counted, or after it. They are counted once or not at
  all; `open` counts them.

Who kills a worker between two requests (`quietly`) knows of every one.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import psutil

from perfkit.scrape import fetch
from perfkit.server import choose_port

APP = """
import os
from restmachine import ASGIAdapter, RestApplication

app = RestApplication()

@app.get("/items/{item_id}")
async def item(item_id):
    return {"worker": os.getpid()}

@app.post("/items", blocking=False)
def create(json_body):
    return {"worker": os.getpid()}, 201

asgi_app = ASGIAdapter(app)
"""
# Recycling: a worker ends in good order after so many requests, and another takes its place.
SETTINGS = """
workers = 2
limit_max_requests = 400
limit_max_requests_jitter = 200
access_log = False
log_level = "warning"
"""
CONNECTIONS = 6
READY_SECONDS = 60.0
QUIET_SECONDS = 60.0

GET = b"GET /items/1 HTTP/1.1\r\nhost: a\r\n\r\n"
POST = (
    b"POST /items HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n"
    b"content-length: 2\r\n\r\n{}"
)


@dataclass(frozen=True)
class Server:
    """A server with two workers, and the port of its metrics."""

    port: int
    metrics: int
    supervisor: int

    def sample(self, name: str) -> dict[str, float]:
        """Return the samples of a metric by their labels as text; empty if none answers."""
        answer = fetch(f"http://127.0.0.1:{self.metrics}/metrics")
        found = re.findall(rf"^{name}{{(.*)}} (.*)$", answer[1] if answer else "", re.MULTILINE)
        return {labels: float(value) for labels, value in found}

    def counted(self) -> int:
        """Return how many requests the server counted."""
        return round(sum(self.sample("http_server_request_duration_seconds_count").values()))


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """Start the server, without waiting for it, and end it."""
    (folder / "counted.py").write_text(APP)
    (folder / "settings.py").write_text(SETTINGS)
    port, metrics = choose_port(None), choose_port(None)
    command = [
        sys.executable, "-m", "perfkit", "run", "counted:asgi_app", "--config", "settings.py",
        "--port", str(port), "--metrics-port", str(metrics),
    ]  # fmt: skip
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
        try:
            yield Server(port, metrics, process.pid)
        finally:
            process.terminate()
            process.wait(30)


@dataclass
class Ledger:
    """What became of the requests; see above."""

    answered: int = 0
    open: int = 0
    killed: set[int] = field(default_factory=set)
    workers: set[int] = field(default_factory=set)


class Load:
    """Connections that ask until they are told to stop, and the one who kills."""

    def __init__(self, server: Server, seed: int, *, quietly: bool) -> None:
        self.server = server
        self._quietly = quietly
        self.ledger = Ledger()
        self._lot = Random(seed)
        self._stop = False
        self._may_ask = asyncio.Event()
        self._asking = 0

    async def run(self, kills: int) -> Ledger:
        """Ask, and kill a worker so many times meanwhile."""
        async with self._connections():
            for _ in range(kills):
                await asyncio.sleep(self._lot.uniform(0.3, 0.8))
                await self._kill()
                self._may_ask.set()
            await asyncio.sleep(0.5)
        return self.ledger

    @asynccontextmanager
    async def _connections(self) -> AsyncIterator[None]:
        self._may_ask.set()
        tasks = [asyncio.create_task(self._connection()) for _ in range(CONNECTIONS)]
        deadline = time.monotonic() + READY_SECONDS
        # Looking from time to time is simpler than being told, and costs the load nothing.
        while len(self.ledger.workers) < 2 and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        yield
        self._stop = True
        self._may_ask.set()
        await asyncio.gather(*tasks)
        await self.quiet()

    async def quiet(self) -> None:
        """Return when no request is asked, and none is in flight at the server."""
        self._may_ask.clear()
        deadline = time.monotonic() + QUIET_SECONDS
        while self._asking or not await asyncio.to_thread(self._is_idle):
            if time.monotonic() > deadline:
                raise TimeoutError(f"in flight: {self._asking} here, {self._active()} there")
            await asyncio.sleep(0.01)

    def _is_idle(self) -> bool:
        return self._active() == 0

    def _active(self) -> float | None:
        active = self.server.sample("http_server_active_requests")
        return sum(active.values()) if active else None

    async def _kill(self) -> None:
        """Kill one of the workers that have answered."""
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            if self._quietly:
                await self.quiet()
            children = psutil.Process(self.server.supervisor).children()
            alive = [child for child in children if child.pid in self.ledger.workers]
            if alive:
                worker = self._lot.choice(alive)
                self.ledger.killed.add(worker.pid)
                worker.kill()
                return
            # All were recycled, and those in their place have not answered yet.
            self._may_ask.set()
            await asyncio.sleep(0.1)

    async def _connection(self) -> None:
        while not self._stop:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            await self._ask_on(reader, writer)
            writer.close()

    async def _ask_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Ask on one connection until it ends, and write down what came of each request."""
        worker = None
        asked, answered = 0, 0
        while not self._stop:
            await self._may_ask.wait()
            self._asking += 1
            try:
                asked += 1
                worker = await self._ask(reader, writer)
                answered += 1
                self.ledger.workers.add(worker)
            except (OSError, EOFError):
                break
            finally:
                self._asking -= 1
        self._settle(worker, asked, answered)

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
        writer.write(self._lot.choice((GET, POST)))
        await writer.drain()
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        assert length is not None
        body = await reader.readexactly(int(length[1]))
        return int(re.findall(rb"\d+", body)[0])

    def _settle(self, worker: int | None, asked: int, answered: int) -> None:
        broke = asked > answered
        killed = worker is None or worker in self.ledger.killed
        unsure = min(answered, 1) if broke and killed and not self._quietly else 0
        self.ledger.answered += answered - unsure
        if broke and killed and not self._quietly:
            self.ledger.open += unsure + 1
