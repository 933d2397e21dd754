"""Executes one block of the page, unchanged, with what it leaves undefined supplied.

The page's addresses lead to the servers of this test: PostgreSQL by libpq's own variables,
Redis's port and https://api.example.com by replacing what the block calls.
"""

from __future__ import annotations

import functools
import logging
import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from blocks import PAGE, Block

from restmachine import ASGIAdapter, ConfigurationWarning, RestApplication


class Facts(NamedTuple):
    """What a stage has to know of its surroundings; paths are texts, for they travel as JSON."""

    block: str
    folder: str
    redis_port: int
    stub_port: int


@dataclass(frozen=True)
class Journal:
    """Notes of what happened, in a file: the server that notes may be another process."""

    folder: Path

    def note(self, *words: Any) -> None:
        """Add a line."""
        with (self.folder / "journal").open("a") as file:
            file.write(" ".join(map(str, words)) + "\n")

    def lines(self) -> list[str]:
        """Return every line noted so far."""
        path = self.folder / "journal"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def hold(self) -> Path:
        """While there is such a file, a stand-in that can wait does."""
        return self.folder / "hold"


class Stage:
    """One block, executed.

    Attributes:
        app: The application, the block's own or the one supplied.
        names: The block's global names.
    """

    def __init__(
        self,
        block: Block,
        journal: Journal,
        before: Callable[[Stage], None],
        after: Callable[[Stage], None],
    ) -> None:
        self.note, self.hold = journal.note, journal.hold
        self.app = RestApplication()
        self.names: dict[str, Any] = {
            "__name__": "page_block",
            "app": self.app,
            "RestApplication": RestApplication,
            "print": self.note,
        }
        before(self)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ConfigurationWarning)
            exec(compile(block.code, f"{PAGE.name}, {block}", "exec"), self.names)
        for warning in caught:
            self.note("warning:", warning.message)
        self.app = self.names["app"]
        after(self)

    @property
    def asgi(self) -> Any:
        """The ASGI application, as the block wraps it or plain."""
        return self.names.get("asgi_app") or ASGIAdapter(self.app)


@contextmanager
def staged(
    facts: Facts,
    block: Block,
    before: Callable[[Stage], None],
    after: Callable[[Stage], None],
) -> Iterator[Stage]:
    """Yield a stage whose surroundings are as the page presumes."""
    journal = Journal(Path(facts.folder))
    with ExitStack() as stack:
        for words, redirection in REDIRECTIONS.items():
            if words in block.code:
                stack.enter_context(redirection(facts))
        stack.enter_context(logging_to(journal))
        stack.callback(tracemalloc.stop)
        yield Stage(block, journal, before, after)


# ---- where the page's addresses lead -----------------------------------------------------


@contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Give an attribute another value meanwhile."""
    former = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, former)


@contextmanager
def redis_here(facts: Facts) -> Iterator[None]:
    """Connect to our Redis, whatever port a block states."""
    import redis

    there = redis.Redis

    def here(**settings: Any) -> Any:
        return there(**{**settings, "port": facts.redis_port})

    with replaced(redis, "Redis", here):
        yield


@contextmanager
def httpx_here(facts: Facts) -> Iterator[None]:
    """Send what httpx sends to our stub; the Host field still names the page's host."""
    import httpx

    there = httpx.AsyncHTTPTransport.handle_async_request

    @functools.wraps(there)
    async def here(transport: Any, request: httpx.Request) -> httpx.Response:
        request.url = request.url.copy_with(scheme="http", host="127.0.0.1", port=facts.stub_port)
        return await there(transport, request)

    with replaced(httpx.AsyncHTTPTransport, "handle_async_request", here):
        yield


@contextmanager
def requests_here(facts: Facts) -> Iterator[None]:
    """Send what requests sends to our stub; the Host field still names the page's host."""
    from requests.adapters import HTTPAdapter

    there = HTTPAdapter.send

    @functools.wraps(there)
    def here(adapter: HTTPAdapter, request: Any, **options: Any) -> Any:
        request.headers["Host"] = "api.example.com"
        request.url = f"http://127.0.0.1:{facts.stub_port}{request.path_url}"
        return there(adapter, request, **options)

    with replaced(HTTPAdapter, "send", here):
        yield


@contextmanager
def pools_noted(facts: Facts) -> Iterator[None]:
    """Note when a pool is closed: the end of its process would close its connections too."""
    from psycopg2.pool import SimpleConnectionPool

    with noted(facts, SimpleConnectionPool, "closeall", "pool closed"):
        yield


@contextmanager
def clients_noted(facts: Facts) -> Iterator[None]:
    """Note when a client is closed: the end of its process would close its connections too."""
    import httpx

    with noted(facts, httpx.AsyncClient, "aclose", "client closed"):
        yield


@contextmanager
def noted(facts: Facts, owner: type, name: str, words: str) -> Iterator[None]:
    """Note every call of a method."""
    called = getattr(owner, name)
    journal = Journal(Path(facts.folder))

    @functools.wraps(called)
    def noting(*arguments: Any) -> Any:
        journal.note(words)
        return called(*arguments)

    with replaced(owner, name, noting):
        yield


REDIRECTIONS = {
    "closeall(": pools_noted,
    "aclose(": clients_noted,
    "redis.Redis(": redis_here,
    "httpx": httpx_here,
    "http_client.get(": httpx_here,
    "requests.get(": requests_here,
}
"""What a block contains when it needs a redirection."""


@contextmanager
def logging_to(journal: Journal) -> Iterator[None]:
    """Note what a block logs, in the words "LEVEL: message"."""
    logger = logging.getLogger("page_block")
    handler = logging.Handler()
    handler.emit = lambda record: journal.note(f"{record.levelname}: {record.getMessage()}")  # type: ignore[method-assign]
    logger.addHandler(handler)
    logger.setLevel("DEBUG")
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
