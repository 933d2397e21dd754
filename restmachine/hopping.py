"""The direct way of a plan whose handler may block: one hop to a worker thread, and no more.

As `direct`, but what may block is called on a worker, which also writes the data as JSON. When
anything else turns up there, an exchange goes on with it in the plan, on that thread.
`serving.respond_on_loop` is the plain twin; a property test holds one to the other.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from restmachine.direct import Direct, fail_with, go_on
from restmachine.inbound import ASGIExchange, Receive, Scope, exchange_with
from restmachine.plan import Plan
from restmachine.representations import encode_data
from restmachine.serving import respond
from restmachine.workers import LoopPortal


class Hop:
    """A request that goes on a worker thread, once what need not block has been made for it.

    Attributes:
        content: The data that the handler returned, as JSON; None if an exchange has the answer.
        exchange: What went on in the plan, None if nothing had to.
        error: What ended the work without an answer, None for most.
    """

    __slots__ = (
        "_abandoned", "_plan", "_portal", "_receive", "_scope", "_values", "_way", "content",
        "error", "exchange",
    )  # fmt: skip

    def __init__(
        self, plan: Plan, way: Direct, values: list[Any], scope: Scope, receive: Receive,
        portal: LoopPortal,
    ) -> None:  # fmt: skip
        self._plan, self._way, self._values = plan, way, values
        self._scope, self._receive, self._portal = scope, receive, portal
        self._abandoned = False
        self.content: bytes | None = None
        self.exchange: ASGIExchange | None = None
        self.error: BaseException | None = None

    def run(self) -> None:
        """Do what may block, on a worker thread."""
        way, values = self._way, self._values
        try:
            for slot, make in way.blocking_moves:
                values[slot] = make(values)
            result = way.call(values)
            self.content = encode_data(result)
            if self.content is not None:
                return
            step = go_on(way, result)
        except Exception as error:
            step = fail_with(way, error)
        except BaseException as error:
            self.error = error
            return
        exchange = exchange_with(values, self._plan, self._scope, self._receive)
        exchange.portal = self._portal
        self.exchange = exchange
        if self._abandoned:
            exchange.abandon()
        try:
            with suppress(asyncio.CancelledError):
                respond(exchange, step)
        finally:
            if not exchange.status:
                self.error = exchange.error

    def abandon(self) -> None:
        """Hear that nobody wants the response any more while a worker thread makes it."""
        self._abandoned = True
        if self.exchange is not None:
            self.exchange.abandon()
