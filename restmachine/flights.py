"""Requests whose answer others wait for, on whatever thread or event loop each of them is."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING

from restmachine.errors import ClientDisconnected
from restmachine.exchange import Exchange
from restmachine.headers import Pair
from restmachine.storing import Key, StoredResponse

if TYPE_CHECKING:
    from restmachine.response_cache import ResponseCache


_led: ContextVar[Flight | None] = ContextVar("led", default=None)


def leads() -> bool:
    """Return whether whoever asks is on behalf of a request for which others may wait.

    It must not wait itself: two that ask for each other's answers would wait for ever.
    """
    led = _led.get()
    return led is not None and not led.has_ended


class Flight:
    """A request on its way through the handler, for whose response others may wait.

    Attributes:
        on_thread: Whether it has a thread to itself, and so ends without another one.
        plain_head: The fields of the route alone, where others are stated as well.
        has_ended: Whether nobody waits for it any longer.
    """

    __slots__ = (
        "_cache", "_former", "_response", "_waiting", "has_ended", "key", "on_thread", "plain_head",
    )  # fmt: skip

    def __init__(self, cache: ResponseCache, key: Key, exchange: Exchange, on_thread: bool) -> None:
        self.key = key
        self.on_thread = on_thread
        self._cache = cache
        self._response: tuple[Key, StoredResponse] | None = None
        self._waiting: list[Callable[[], object]] = []
        self.has_ended = False
        self.plain_head: Sequence[Pair] | None = None
        # What was stated before the handler is stated for each request anew.
        fields = exchange.response_fields
        self._former = () if fields is None else tuple(fields.encoded())
        _led.set(self)

    def keep(self, exchange: Exchange) -> None:
        """Keep the whole answer of a handler, before conditions and ranges are judged.

        Nobody waits any longer for one that is not for others, which may be a long stream.
        """
        plain = exchange.head if self.plain_head is None else self.plain_head
        self._response = self._cache.stored_form(exchange, plain, self._former, self.key)
        if self._response is None and exchange.status == 200:
            self._end(is_settled=True)

    def let_go(self, exchange: Exchange) -> None:
        """Let nobody wait any longer for an answer that is a stream: who sends it needs a thread
        again for each piece, and all of them could be waiting here.
        """
        self._end(is_settled=exchange.status == 200)

    def land(self, exchange: Exchange) -> None:
        """Store what was kept, once everything of the request has gone well."""
        error = exchange.error
        is_answer = error is None or (
            isinstance(error, Exception) and not isinstance(error, ClientDisconnected)
        )
        if error is not None:
            self._response = None
        self._end(is_settled=is_answer and exchange.status == 200)

    def _end(self, is_settled: bool) -> None:
        now = self._cache.clock()
        with self._cache.lock:
            if self.has_ended:
                return
            self.has_ended = True
            self._cache.end(self, self._response, is_settled and bool(self._waiting), now)
        for wake in self._waiting:
            wake()

    def wait(self) -> None:
        """Return when it has ended, on a thread that may block."""
        ended = threading.Event()
        if self._call_at_end(ended.set):
            ended.wait()

    async def wait_later(self) -> None:
        """Return when it has ended, on whatever thread or event loop that is."""
        loop = asyncio.get_running_loop()
        ended = loop.create_future()
        if self._call_at_end(partial(_wake, loop, ended)):
            await ended

    def _call_at_end(self, wake: Callable[[], object]) -> bool:
        with self._cache.lock:
            if not self.has_ended:
                self._waiting.append(wake)
            return not self.has_ended


def _wake(loop: asyncio.AbstractEventLoop, ended: asyncio.Future[None]) -> None:
    with suppress(RuntimeError):  # the loop has been closed, so nobody waits there
        loop.call_soon_threadsafe(_tell, ended)


def _tell(ended: asyncio.Future[None]) -> None:
    if not ended.done():  # who waited may have been cancelled
        ended.set_result(None)
