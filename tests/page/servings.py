"""Three ways to serve a block, alike for the tests that ask it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

from blocks import BLOCKS, Block
from host import CONTEXT, serve
from stage import Facts, Journal
from standins import stage_of

from restmachine import MultiValueHeaders, Request
from restmachine.testing import ClientResponse, TestClient

WITHIN_S = 60.0
"""How long an answer or an end may take before something hangs; none takes a second."""


TOGETHER = 8
"""How many threads ask at the same time."""


class Served(ABC):
    """One block that serves.

    Attributes:
        block: What is served.
        journal: What its stand-ins noted.
    """

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.block: Block = BLOCKS[facts.block]
        self.journal = Journal(Path(facts.folder))
        self._ended = False

    @property
    def name(self) -> str:
        """The name under which its connections are known to PostgreSQL."""
        return os.environ["PGAPPNAME"]

    @property
    def notes(self) -> list[str]:
        """What was noted so far."""
        return self.journal.lines()

    def ask(
        self,
        line: str,
        *,
        headers: dict[str, str] | None = None,
        json: Any = None,
    ) -> ClientResponse:
        """Send a request, ``GET /path``, and return the answer."""
        method, target = line.split(" ", 1)
        content = b"" if json is None else encoded(json)
        stated = {} if json is None else {"Content-Type": "application/json"}
        return self._ask(method, target, {**stated, **(headers or {})}, content)

    def ask_together(self, lines: Sequence[str]) -> list[ClientResponse]:
        """Send requests that overlap, and return the answers in order."""
        with ThreadPoolExecutor(TOGETHER) as threads:
            return list(threads.map(self.ask, lines))

    def end(self) -> str:
        """Shut down as a server does, once, and return what was complained about meanwhile."""
        if self._ended:
            return ""
        self._ended = True
        return self._end()

    def leave(self) -> None:
        """End what still runs, without asking it to end in order if it is a process."""
        self.end()

    @abstractmethod
    def _ask(
        self, method: str, target: str, headers: dict[str, str], content: bytes
    ) -> ClientResponse: ...

    @abstractmethod
    def _end(self) -> str: ...


def encoded(data: Any) -> bytes:
    """Return data as JSON."""
    return json.dumps(data).encode()


class InProcess(Served):
    """Served as ASGI by the test client, on an event loop of its own."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._stage = stage_of(facts)
        self._client = TestClient(self._stage.__enter__().asgi)
        self._client.__enter__()

    def _ask(
        self, method: str, target: str, headers: dict[str, str], content: bytes
    ) -> ClientResponse:
        return self._client.request(method, target, headers=headers, content=content)

    def ask_together(self, lines: Sequence[str]) -> list[ClientResponse]:
        """Send requests that overlap on the client's loop."""
        requests = (self._client.request_async(*line.split(" ", 1)) for line in lines)

        async def gathered() -> list[ClientResponse]:
            return await asyncio.gather(*requests)

        return self._client.run(gathered())

    def _end(self) -> str:
        self._client.__exit__(None, None, None)
        self._stage.__exit__(None, None, None)
        return ""


class Executed(Served):
    """Served by `app.execute`, without an event loop of the caller."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._stage = stage_of(facts)
        self._app = self._stage.__enter__().app
        self._app.startup_sync()

    def _ask(
        self, method: str, target: str, headers: dict[str, str], content: bytes
    ) -> ClientResponse:
        path, _, query = target.partition("?")
        request = Request(method, unquote(path), headers, content, parse_qsl(query))
        response = self._app.execute(request)
        return ClientResponse(response.status_code, response.headers, response.body or b"")

    def _end(self) -> str:
        self._app.shutdown_sync()
        self._stage.__exit__(None, None, None)
        return ""


class OverUvicorn(Served):
    """Served by uvicorn in a process of its own, on a socket that listens from the start."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._complaints = Path(facts.folder) / "stderr"
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self._port = listening.getsockname()[1]
            arguments = (facts, listening, self.name)
            self._process = CONTEXT.Process(target=serve, args=arguments)
            self._process.start()

    def _ask(
        self, method: str, target: str, headers: dict[str, str], content: bytes
    ) -> ClientResponse:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=WITHIN_S)
        try:
            connection.request(method, target, body=content or None, headers=headers)
            response = connection.getresponse()
            fields = MultiValueHeaders(response.getheaders())
            return ClientResponse(response.status, fields, response.read())
        except OSError as error:
            raise AssertionError(f"no answer: {self._complaints.read_text()}") from error
        finally:
            connection.close()

    def _end(self) -> str:
        self._process.terminate()
        self._process.join(WITHIN_S)
        # Once it has ended in order, uvicorn passes the signal on to itself.
        status = self._process.exitcode
        unexpected = "" if status == -signal.SIGTERM else f"exit status {status}"
        return self._complaints.read_text() or unexpected

    def leave(self) -> None:
        """Kill the process if it still runs."""
        self._process.kill()
        self._process.join()
        self._process.close()


SERVINGS: dict[str, type[Served]] = {
    "in-process": InProcess,
    "execute": Executed,
    "uvicorn": OverUvicorn,
}
