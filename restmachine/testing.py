"""An in-process client for tests: real ASGI, no server, and every message checked."""

from __future__ import annotations

import asyncio
import json
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from functools import partialmethod
from typing import Any, Self, TypeVar
from urllib.parse import unquote, urlencode

from restmachine.application import RestApplication
from restmachine.asgi import ASGIAdapter
from restmachine.headers import MultiValueHeaders, Pair
from restmachine.inbound import Receive, Scope, Send
from restmachine.representations import decode_text

Value = TypeVar("Value")
Message = MutableMapping[str, Any]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Fields = Mapping[str, str | list[str]] | Iterable[tuple[str, str]] | MultiValueHeaders | None

_EMPTY_STATUSES = frozenset({204, 304})


@dataclass(frozen=True, slots=True)
class ClientResponse:
    """What a client received."""

    status: int
    headers: MultiValueHeaders
    content: bytes

    @property
    def text(self) -> str:
        """The content as text, in the charset that Content-Type states."""
        return decode_text(self.content, self.headers.get("Content-Type"))

    def json(self) -> Any:
        """Return the content as JSON data; `ValueError` when it is none."""
        return json.loads(self.content)


class TestClient:
    """Sends requests to an application on a private event loop.

    As a context manager it starts the application and shuts it down, as a server does
    through the lifespan; used without ``with`` it only sends requests.

    Args:
        app: An application, or one that middleware wraps as ASGI.

    Raises:
        AssertionError: From every request whose answer breaks ASGI or HTTP framing.
    """

    __test__ = False  # pytest must not take it for a test

    def __init__(self, app: RestApplication | Application) -> None:
        self._app: Application = ASGIAdapter(app) if isinstance(app, RestApplication) else app
        self._loop = asyncio.new_event_loop()
        self._close = weakref.finalize(self, self._loop.close)
        self._lifespan: _Lifespan | None = None

    def __enter__(self) -> Self:
        async def start() -> _Lifespan:
            lifespan = _Lifespan(self._app)
            await lifespan.reach("startup")
            return lifespan

        try:
            self._lifespan = self.run(start())
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *raised: object) -> None:
        try:
            if self._lifespan is not None:
                self.run(self._lifespan.reach("shutdown"))
            self.run(self._loop.shutdown_asyncgens())
        finally:
            self._close()

    def run(self, coroutine: Coroutine[Any, Any, Value]) -> Value:
        """Run a coroutine on the client's loop, several `request_async` together for instance."""
        return self._loop.run_until_complete(coroutine)

    def request(self, method: str, url: str, **message: Any) -> ClientResponse:
        """Send a request and return its response; see `request_async`."""
        return self.run(self.request_async(method, url, **message))

    get = partialmethod(request, "GET")
    head = partialmethod(request, "HEAD")
    post = partialmethod(request, "POST")
    put = partialmethod(request, "PUT")
    patch = partialmethod(request, "PATCH")
    delete = partialmethod(request, "DELETE")
    options = partialmethod(request, "OPTIONS")

    async def request_async(
        self,
        method: str,
        url: str,
        *,
        headers: Fields = None,
        content: str | bytes | Iterable[bytes] = b"",
        json: Any = None,
        params: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    ) -> ClientResponse:
        """Send a request from a coroutine that `run` runs.

        Args:
            url: A path, percent-encoded where needed, and perhaps a query.
            headers: Header fields; `Host` and the length of the content are added.
            content: The content; an iterable is sent chunked, one message for each piece.
            json: Data to send as JSON instead.
            params: More parameters of the query.
        """
        fields = headers if isinstance(headers, MultiValueHeaders) else MultiValueHeaders(headers)
        fields = fields.copy()
        if json is not None:
            content = _as_json(json)
            fields.setdefault("Content-Type", "application/json")
        if isinstance(content, str):
            content = content.encode()
        if not isinstance(content, bytes):
            fields.setdefault("Transfer-Encoding", "chunked")
        elif content:
            fields.setdefault("Content-Length", str(len(content)))
        fields.setdefault("Host", "testserver")
        pieces = [content] if isinstance(content, bytes) else list(content)
        scope = _scope(method, url, urlencode(list(_pairs(params))), fields)
        conversation = _Conversation(method, pieces)
        await self._app(scope, conversation.receive, conversation.send)
        return conversation.response()


def _as_json(data: Any) -> bytes:
    return json.dumps(data).encode()


def _pairs(params: Mapping[str, str] | Iterable[tuple[str, str]]) -> Iterable[tuple[str, str]]:
    return params.items() if isinstance(params, Mapping) else params


def _scope(method: str, url: str, more_query: str, fields: MultiValueHeaders) -> Scope:
    path, _, query = url.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode("ascii"),
        "query_string": "&".join(filter(None, (query, more_query))).encode("ascii"),
        "root_path": "",
        "headers": fields.encoded(),
        "client": ("127.0.0.1", 50000),
        "server": ("testserver", 80),
    }


def _require(holds: bool, otherwise: str | Callable[[], str]) -> None:
    if not holds:
        raise AssertionError(otherwise if isinstance(otherwise, str) else otherwise())


class _Conversation:
    """One request and the messages that answer it, each checked as it comes."""

    def __init__(self, method: str, pieces: list[bytes]) -> None:
        self._method = method
        self._pieces = pieces or [b""]
        self._sent = 0
        self._ended = asyncio.Event()
        self._status: int | None = None
        self._headers: list[Pair] = []
        self._content: list[bytes] = []

    async def receive(self) -> Message:
        """Give the next piece of content, then the disconnect after the response."""
        if self._sent < len(self._pieces):
            self._sent += 1
            more = self._sent < len(self._pieces)
            return {"type": "http.request", "body": self._pieces[self._sent - 1], "more_body": more}
        await self._ended.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Take a message of the response."""
        if message["type"] == "http.response.start":
            self._start(message["status"], list(message.get("headers", ())))
            return
        _require(message["type"] == "http.response.body", lambda: f"{message} answers no request")
        _require(self._status is not None, "content came before the status")
        _require(not self._ended.is_set(), "content came after the end of the response")
        content = message.get("body", b"")
        _require(isinstance(content, bytes), lambda: f"content is not bytes: {content!r}")
        self._content.append(content)
        if not message.get("more_body", False):
            self._ended.set()

    def _start(self, status: int, headers: list[Pair]) -> None:
        _require(self._status is None, "the response started twice")
        _require(200 <= status <= 599, f"{status} is no status of a final response")
        for name, value in headers:
            _require(isinstance(name, bytes) and name == name.lower(), f"bad field name {name!r}")
            _require(
                isinstance(value, bytes) and not set(b"\r\n\0") & set(value),
                f"bad value of {name!r}: {value!r}",
            )
        self._status, self._headers = status, headers

    def response(self) -> ClientResponse:
        """Return the response, once it is known to be complete and well framed."""
        status = self._status
        _require(status is not None and self._ended.is_set(), "the response never ended")
        assert status is not None
        content = b"".join(self._content)
        lengths = [value for name, value in self._headers if name == b"content-length"]
        _require(len(lengths) < 2, "the response states several lengths")
        if self._method == "HEAD" or status in _EMPTY_STATUSES:
            _require(not content, f"{self._method} was answered {status} with content")
            _require(status != 204 or not lengths, "204 states a length (RFC 9110 section 8.6)")
        elif lengths:
            _require(
                lengths[0] == b"%d" % len(content),
                f"the stated length is {lengths[0]!r}, the content has {len(content)} bytes",
            )
        return ClientResponse(status, MultiValueHeaders.received(self._headers), content)


class _Lifespan:
    """The lifespan of an application, run in a task of its own as servers do."""

    def __init__(self, app: Application) -> None:
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._outbox: asyncio.Queue[Message] = asyncio.Queue()
        scope: Scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}}
        self._task = asyncio.ensure_future(app(scope, self._inbox.get, self._outbox.put))

    async def reach(self, phase: str) -> None:
        """Start the application or shut it down; `RuntimeError` tells why it could not."""
        await self._inbox.put({"type": f"lifespan.{phase}"})
        answer = asyncio.ensure_future(self._outbox.get())
        await asyncio.wait({answer, self._task}, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            answer.cancel()
            await self._task
            raise AssertionError(f"the lifespan ended without an answer to {phase}")
        message = answer.result()
        if message["type"] != f"lifespan.{phase}.complete":
            await self._task
            raise RuntimeError(f"{message['type']}: {message.get('message', '')}")
