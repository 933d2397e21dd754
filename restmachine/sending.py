"""The messages by which a response is sent (ASGI 3), and what observers hear of them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, MutableMapping
from contextlib import aclosing
from time import perf_counter
from typing import TYPE_CHECKING, Any

from restmachine.exchange import CLIENT_CLOSED, Exchange
from restmachine.hooks import CONTENT, RENDERING, SENDING, STREAMING
from restmachine.inbound import ASGIExchange, Receive, Send

if TYPE_CHECKING:
    from restmachine.hooks import Hears


def response_start(exchange: Exchange) -> MutableMapping[str, Any]:
    """Return the message that begins a response."""
    return {"type": "http.response.start", "status": exchange.status, "headers": exchange.head}


def response_body(exchange: Exchange) -> MutableMapping[str, Any]:
    """Return the message with all of the content; HEAD has none (RFC 9110 section 9.3.2)."""
    content = b"" if exchange.method == "HEAD" else exchange.content
    return {"type": "http.response.body", "body": content}


def tell_end(exchange: Exchange, status: int, sent_bytes: int, now: float) -> None:
    """Tell that a request is over."""
    exchange.finished = now
    tell = exchange.plan.hears.request_finished
    if tell is not None:
        tell(exchange, status, sent_bytes, now)


def _start_of_sending(exchange: Exchange) -> float:
    """Return when the response starts: now, which may just have been read from the clock."""
    timeline = exchange.timeline
    if timeline and timeline[-1][0] is RENDERING and exchange.portal is None:
        return timeline[-1][3]
    return perf_counter()


async def noted_pieces(
    exchange: ASGIExchange, pieces: AsyncGenerator[bytes, None]
) -> AsyncGenerator[bytes, None]:
    """Yield the pieces of a stream, noting how long each took to make."""
    async with aclosing(pieces):
        while True:
            started = perf_counter()
            try:
                piece = await anext(pieces)
            except StopAsyncIteration:
                return
            finally:
                exchange.timeline.append((STREAMING, "", started, perf_counter()))
            yield piece
            del piece


def received(exchange: ASGIExchange) -> Receive:
    """Return how an exchange receives messages, noting how long it waited for content."""
    receive = exchange.receive

    async def noted() -> MutableMapping[str, Any]:
        started = perf_counter()
        message = await receive()
        if message["type"] == "http.request":
            size = len(message.get("body", b""))
            exchange.timeline.append((CONTENT, size, started, perf_counter()))
        return message

    return noted


class CountedSend:
    """Sends a response, notes each piece, and remembers the status and how much was sent."""

    __slots__ = ("_exchange", "_hears", "_send", "ended", "sent", "status")

    def __init__(self, send: Send, exchange: Exchange) -> None:
        self._send = send
        self._exchange = exchange
        self._hears: Hears = exchange.plan.hears
        self.status = CLIENT_CLOSED
        self.sent = 0
        self.ended = 0.0

    async def whole(self) -> None:
        """Send a response whose content is there."""
        exchange = self._exchange
        body = response_body(exchange)
        started = _start_of_sending(exchange)
        if self._hears.response_started is not None:
            self._hears.response_started(exchange, exchange.status, started)
        await self._send(response_start(exchange))
        self.status = exchange.status
        await self._send(body)
        self.sent = len(body["body"])
        self.ended = perf_counter()
        self._hears.note(exchange, SENDING, self.sent, started, self.ended)

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        """Send one message."""
        started = perf_counter()
        if message["type"] == "http.response.start":
            if self._hears.response_started is not None:
                self._hears.response_started(self._exchange, message["status"], started)
            message["headers"] = self._exchange.head
        await self._send(message)
        self.status = message.get("status", self.status)
        size = len(message.get("body", b""))
        self.sent += size
        self._hears.note(self._exchange, SENDING, size, started, perf_counter())
