"""Runs one exchange from its first decision to its response and its teardown.

`respond` does so on a thread that may block. `respond_on_loop` does so on an event loop, and
hops to a worker thread once, at the first sync function that may block; what is async after
that is run on the loop while the worker waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from time import perf_counter
from typing import Any

from restmachine.endings import Ending
from restmachine.errors import ClientDisconnected
from restmachine.exchange import Exchange
from restmachine.hooks import notify
from restmachine.outcome import conclude, discard, fail, is_stream, merged
from restmachine.plan import Plan, Step, decide
from restmachine.recipes import finish, finish_async
from restmachine.workers import WorkerPool


def respond(exchange: Exchange, step: Step | int | None = None) -> None:
    """Answer an exchange, from a step on, on a thread that may block.

    Dependencies are torn down, unless the content is a stream: then call `close` after its
    last byte.
    """
    plan = exchange.plan
    try:
        try:
            status = decide(plan.first if step is None else step, exchange)
            if plan.observed:
                _conclude_observed(exchange, status)
            else:
                conclude(exchange, status)
        except ClientDisconnected:
            raise
        except Exception as error:
            fail(exchange, error)
        if plan.ending is not None:
            plan.ending.run(exchange)
    except ClientDisconnected as error:
        exchange.error = error
    except BaseException as error:
        exchange.error = error
        close(exchange)
        raise
    if exchange.closers is not None and not is_stream(exchange.content):
        close(exchange)


async def respond_on_loop(exchange: Exchange, pool: WorkerPool) -> None:
    """Answer an exchange on an event loop, with the pool for what may block.

    Dependencies are torn down, unless the content is a stream: then await `close_on_loop`
    after its last byte.
    """
    plan = exchange.plan
    step = plan.first
    try:
        try:
            while isinstance(step, Step):
                later = step.later
                if later is None:
                    answer = step.test(exchange)
                elif step.blocks:
                    await later(exchange)
                    await _hop(exchange, step, pool)
                    return
                else:
                    answer = await later(exchange)
                step = step.yes if answer else step.no
            if plan.observed:
                _conclude_observed(exchange, step)
            else:
                conclude(exchange, step)
        except ClientDisconnected:
            raise
        except Exception as error:
            fail(exchange, error)
        if plan.ending is not None:
            await _end_on_loop(exchange, plan.ending, pool)
    except BaseException as error:
        await _give_up(exchange, pool, error)
        raise
    if exchange.closers is not None and not is_stream(exchange.content):
        await close_on_loop(exchange, pool)


async def _give_up(exchange: Exchange, pool: WorkerPool, error: BaseException) -> None:
    """Tear down what was made for a response that nobody will get."""
    exchange.error = error
    discard(exchange.content)
    if exchange.closers is not None:
        await close_on_loop(exchange, pool)


async def _hop(exchange: Exchange, step: Step, pool: WorkerPool) -> None:
    """Answer the rest on a worker thread."""

    def rest(exchange: Exchange) -> None:
        with suppress(asyncio.CancelledError):
            respond(exchange, step)

    exchange.portal = pool.portal()
    waited = await pool.run(rest, exchange, exchange.abandon)
    if exchange.plan.hears["worker_waited"]:
        notify(exchange.plan.hears["worker_waited"], exchange, waited)
    if exchange.error is not None and not exchange.status:
        raise exchange.error


async def _end_on_loop(exchange: Exchange, ending: Ending, pool: WorkerPool) -> None:
    """Run what follows the end of a plan, on a worker thread if it may block."""
    if ending.blocks_now(exchange):
        exchange.portal = pool.portal()
        await pool.run(ending.run, exchange, exchange.abandon)
    else:
        await ending.run_later(exchange)


def _conclude_observed(exchange: Exchange, status: int) -> None:
    hearing = exchange.plan.hears["rendered"]
    if not hearing:
        conclude(exchange, status)
        return
    started = perf_counter()
    conclude(exchange, status)
    notify(hearing, exchange, perf_counter() - started)


# ---- teardown ----------------------------------------------------------------------------


def close(exchange: Exchange) -> None:
    """Finish every generator dependency, the last one made first.

    An error is thrown into each. One that fails makes the answer a 500, unless the response
    has started; a mapping that one returns is merged into the response's header fields.
    """
    teardown = _Teardown(exchange)
    for name, generator, is_async in teardown.closers:
        started = perf_counter()
        try:
            if is_async:
                exchange.wait_for(finish_async(generator, exchange.error), always=True)
            else:
                teardown.keep(finish(generator, exchange.error))
        except BaseException as raised:
            teardown.failed(raised)
        teardown.tell(name, started)
    if teardown.end() and exchange.plan.ending is not None:
        exchange.plan.ending.run(exchange)
        if exchange.closers is not None:
            close(exchange)


async def close_on_loop(exchange: Exchange, pool: WorkerPool) -> None:
    """Finish every generator dependency from an event loop; see `close`."""
    if may_block(exchange.plan) and any(not is_async for _, _, is_async in exchange.closers or ()):
        exchange.portal = pool.portal()
        await pool.run(close, exchange)
        return
    teardown = _Teardown(exchange)
    for name, generator, is_async in teardown.closers:
        started = perf_counter()
        try:
            if is_async:
                await finish_async(generator, exchange.error)
            else:
                teardown.keep(finish(generator, exchange.error))
        except BaseException as raised:
            teardown.failed(raised)
        teardown.tell(name, started)
    if teardown.end() and exchange.plan.ending is not None:
        await _end_on_loop(exchange, exchange.plan.ending, pool)
        if exchange.closers is not None:
            await close_on_loop(exchange, pool)


def may_block(plan: Plan) -> bool:
    """Return whether a plan runs sync functions that may block."""
    ending = plan.ending
    return any(step.blocks for step in plan.steps()) or (ending is not None and ending.blocks)


class _Teardown:
    """What finishing the generators of one exchange came to."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.closers = list(reversed(exchange.closers or ()))
        self._headers: list[Mapping[str, str]] = []
        self._error: BaseException | None = None
        # Its response has started, and so cannot become another one.
        self._was_stream = is_stream(exchange.content)
        exchange.closers = None

    def keep(self, returned: Any) -> None:
        """Keep a mapping that a generator returned."""
        if isinstance(returned, Mapping):
            self._headers.append(returned)

    def failed(self, raised: BaseException) -> None:
        """Remember an error that is not the one thrown in."""
        thrown = self.exchange.error
        cancelled = asyncio.CancelledError
        if raised is not thrown and not (
            isinstance(raised, cancelled) and isinstance(thrown, cancelled)
        ):
            self._error = raised

    def tell(self, name: str, started: float) -> None:
        """Tell observers."""
        hearing = self.exchange.plan.hears["dependency_closed"]
        if hearing:
            notify(hearing, self.exchange, name, perf_counter() - started)

    def end(self) -> bool:
        """Put the outcome into the response, and return whether it is another one now."""
        exchange = self.exchange
        if isinstance(self._error, Exception):
            fail(exchange, self._error)
        elif self._error is not None:
            raise self._error
        for headers in self._headers:
            exchange.head = merged(exchange.head, headers)
        return self._error is not None and not self._was_stream
