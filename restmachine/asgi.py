"""Turns an ASGI scope into an exchange, and its response into sends (ASGI 3)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

from restmachine.errors import ClientDisconnected, ContentTooLarge
from restmachine.exchange import Exchange
from restmachine.hooks import notify
from restmachine.plan import Plan
from restmachine.request import Body, Request
from restmachine.serving import close_on_loop, respond_on_loop

if TYPE_CHECKING:
    from restmachine.application import RestApplication

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

logger = logging.getLogger("restmachine")

CLIENT_CLOSED = 499
"""What observers are told when the client left before the response started."""

_CHUNK_BYTES = 64 * 1024


class ASGIExchange(Exchange):
    """An exchange whose request comes from an ASGI server; it is read when it is needed."""

    _request: Request | None = None
    _body: Body | None = None

    def __init__(self, plan: Plan, path_values: list[str], scope: Scope, receive: Receive) -> None:
        self.plan = plan
        self.method = scope["method"]
        self.path_values = path_values
        self.values = plan.blank.copy()
        self.scope = scope
        self.receive = receive
        headers = scope["headers"]
        # Hot path: most requests repeat no field, and a dict of the pairs is made in C
        # (bench_asgi.py::bench_bare_get).
        fields = dict(headers)
        self.fields = fields if len(fields) == len(headers) else joined_fields(headers)
        self.unread = plan.reads_content

    @property
    def request(self) -> Request:
        """The request message with its content."""
        if self.unread:
            self.wait_for(self.read_content())
        return self.message

    @property
    def message(self) -> Request:
        """The request message, its fields and query decoded when first asked for."""
        if self._request is None:
            scope = self.scope
            tls = (scope.get("extensions") or {}).get("tls") or {}
            self._request = Request.from_wire(
                self.method,
                scope["path"],
                scope["headers"],
                scope["query_string"],
                self._body,
                self.path_params,
                tls=scope.get("scheme") == "https",
                client_cert=tls.get("client_cert"),
            )
        return self._request

    async def read_content(self) -> None:
        """Read the whole content of the request.

        Raises:
            ContentTooLarge: It is longer than the route takes.
            ClientDisconnected: The client left before it had sent everything.
        """
        self.unread = False
        # Hot path: a generator of the pieces would cost 1.2 of 10 us per POST
        # (bench_asgi.py::bench_post_json).
        pieces: list[bytes] = []
        size = 0
        more = self.may_have_content
        while more:
            piece, more = await self.receive_piece()
            size += len(piece)
            if size > self.plan.max_content:
                raise ContentTooLarge
            pieces.append(piece)
        if size:
            self._body = Body(b"".join(pieces))
            if self._request is not None:
                self._request.body = self._body

    async def receive_piece(self) -> tuple[bytes, bool]:
        """Return the next piece of the request's content, and whether there is more."""
        message = await self.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnected
        return message.get("body", b""), message.get("more_body", False)

    @property
    def may_have_content(self) -> bool:
        """Whether content may come; before HTTP/2 a header field must announce it."""
        return self.has_content or not self.scope.get("http_version", "1.1").startswith("1")


def joined_fields(headers: list[tuple[bytes, bytes]]) -> Mapping[bytes, bytes]:
    """Return header fields by name, several lines of one field as one list."""
    fields: dict[bytes, bytes] = {}
    for name, value in headers:
        former = fields.get(name)
        fields[name] = value if former is None else former + b", " + value
    return fields


class ASGIAdapter:
    """A restmachine application as an ASGI 3 application."""

    def __init__(self, app: RestApplication) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection: a request, or the application's lifespan."""
        if scope["type"] == "http":
            plan, values = self.app.dispatch(scope["method"], scope["path"])
            exchange = ASGIExchange(plan, values, scope, receive)
            if plan.observed:
                await self._serve_observed(exchange, send)
                return
            try:
                await respond_on_loop(exchange, self.app.workers)
            except ClientDisconnected:
                return
            if exchange.content.__class__ is bytes:
                await send(response_start(exchange))
                await send(response_body(exchange))
            else:
                await self._stream(exchange, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1000})
        else:
            raise RuntimeError(f"restmachine does not serve ASGI scopes of type {scope['type']!r}.")

    async def _serve_observed(self, exchange: ASGIExchange, send: Send) -> None:
        hears = exchange.plan.hears
        exchange.notes = {}
        counter = _Counter(send)
        notify(hears["request_started"], exchange)
        try:
            await respond_on_loop(exchange, self.app.workers)
            if hears["response_started"]:
                notify(hears["response_started"], exchange, exchange.status)
            if exchange.content.__class__ is bytes:
                body = response_body(exchange)
                await send(response_start(exchange))
                counter.status = exchange.status
                await send(body)
                counter.sent = len(body["body"])
            else:
                await self._stream(exchange, counter)
        except ClientDisconnected:
            return
        finally:
            if hears["request_finished"]:
                notify(hears["request_finished"], exchange, counter.status, counter.sent)

    async def _stream(self, exchange: ASGIExchange, send: Send) -> None:
        """Send content piece by piece until its end, or until the client leaves."""
        sending = asyncio.ensure_future(self._send_pieces(exchange, send))
        leaving = asyncio.ensure_future(disconnected(exchange.receive))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not sending.done():
                exchange.error = ClientDisconnected()
                sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            if not sending.cancelled() and (error := sending.exception()) is not None:
                exchange.error = error
                raise error
        except asyncio.CancelledError as cancelled:
            exchange.error = cancelled
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            raise
        finally:
            leaving.cancel()
            if exchange.closers is not None:
                await close_on_loop(exchange, self.app.workers)

    async def _send_pieces(self, exchange: ASGIExchange, send: Send) -> None:
        await send(response_start(exchange))
        pieces = self.pieces(exchange.content)
        try:
            if exchange.method != "HEAD":
                async for piece in pieces:
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
        finally:
            await pieces.aclose()
        await send({"type": "http.response.body", "body": b""})

    async def pieces(self, content: Any) -> Any:
        """Yield streamed content as bytes; what may block is read on a worker thread."""
        if hasattr(content, "__aiter__"):
            try:
                async for piece in content:
                    yield as_bytes(piece)
            finally:
                if hasattr(content, "aclose"):
                    await content.aclose()
            return
        reader = _Reader(content)
        try:
            while True:
                await self.app.workers.run(_Reader.read, reader)
                if reader.error is not None:
                    raise reader.error
                if reader.ended:
                    return
                yield reader.piece
        finally:
            await self.app.workers.run(_Reader.close, reader)

    async def _live(self, receive: Receive, send: Send) -> None:
        """Start and stop the application as the server says (ASGI lifespan)."""
        await receive()
        try:
            await self.app.startup()
        except Exception as error:
            logger.exception("The application could not start")
            await send(
                {"type": "lifespan.startup.failed", "message": f"{type(error).__name__}: {error}"}
            )
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.app.shutdown()
        await send({"type": "lifespan.shutdown.complete"})


def response_start(exchange: Exchange) -> MutableMapping[str, Any]:
    """Return the message that begins a response."""
    return {"type": "http.response.start", "status": exchange.status, "headers": exchange.head}


def response_body(exchange: Exchange) -> MutableMapping[str, Any]:
    """Return the message with all of the content; HEAD has none (RFC 9110 section 9.3.2)."""
    content = b"" if exchange.method == "HEAD" else exchange.content
    return {"type": "http.response.body", "body": content}


class _Counter:
    """Sends messages, and remembers the status and how many bytes of content they had."""

    __slots__ = ("_send", "sent", "status")

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = CLIENT_CLOSED
        self.sent = 0

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        """Send one message."""
        await self._send(message)
        self.status = message.get("status", self.status)
        self.sent += len(message.get("body", b""))


class _Reader:
    """Reads a file or an iterator piece by piece, on a worker thread."""

    def __init__(self, content: Any) -> None:
        self._content = content
        self._pieces: Iterator[Any] | None = None if hasattr(content, "read") else iter(content)
        self.piece = b""
        self.ended = False
        self.error: Exception | None = None

    def read(self) -> None:
        """Read the next piece, or set `ended` or `error`."""
        try:
            if self._pieces is None:
                self.piece = as_bytes(self._content.read(_CHUNK_BYTES))
                self.ended = not self.piece
            else:
                self.piece = as_bytes(next(self._pieces))
        except StopIteration:
            self.ended = True
        except Exception as error:
            self.error = error

    def close(self) -> None:
        """Close the file or generator."""
        if hasattr(self._content, "close"):
            self._content.close()


def as_bytes(piece: Any) -> bytes:
    """Return a piece of a stream as bytes, text in UTF-8."""
    return piece.encode() if isinstance(piece, str) else bytes(piece)


async def disconnected(receive: Receive) -> None:
    """Return when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        continue


def create_asgi_app(app: RestApplication) -> ASGIAdapter:
    """Return a restmachine application as an ASGI application."""
    return ASGIAdapter(app)
