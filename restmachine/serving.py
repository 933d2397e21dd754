"""Runs one exchange from its first decision to its response and its teardown.

`respond` does so on a thread that may block. `respond_on_loop` does so on an event loop, and
hops to a worker thread once, at the first sync function that may block; what is async after
that is run on the loop while the worker waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable, Mapping
from contextlib import suppress
from functools import partial
from time import perf_counter
from typing import Any

from restmachine.endings import Ending
from restmachine.errors import ClientDisconnected
from restmachine.exchange import Exchange
from restmachine.files import is_independent, is_unsettled, settle
from restmachine.headers import merged
from restmachine.hooks import ENDING, FAILURE, LOOP, RENDERING, TEARDOWN, WORKER, one_step
from restmachine.outcome import conclude, fail
from restmachine.recipes import finish, finish_async
from restmachine.steps import Step, decide
from restmachine.streaming import as_bytes, discard, read_pieces, stream_pieces
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
            if exchange.content.__class__ is not bytes:
                settle(exchange)
        except ClientDisconnected:
            raise
        except Exception as error:
            _fail(exchange, error)
        if plan.ending is not None:
            _end(exchange, plan.ending)
    except ClientDisconnected as error:
        exchange.error = error
    except BaseException as error:
        exchange.error = error
        close(exchange)
        raise
    if exchange.closers is not None:
        if is_independent(exchange.content):
            close(exchange)
        elif exchange.flight is not None:
            exchange.flight.let_go(exchange)


async def respond_on_loop(
    exchange: Exchange, pool: WorkerPool, first: Step | int | None = None
) -> None:
    """Answer an exchange, from a step on, on an event loop, with the pool for what may block.

    Dependencies are torn down, unless the content is a stream: then await `close_on_loop`
    after its last byte.
    """
    plan = exchange.plan
    step = plan.first if first is None else first
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
            if exchange.content.__class__ is not bytes and is_unsettled(exchange.content):
                await _run_on_worker(_settle, exchange, pool)
        except ClientDisconnected:
            raise
        except Exception as error:
            _fail(exchange, error)
        if plan.ending is not None and plan.ending.concerns(exchange):
            await _end_on_loop(exchange, plan.ending, pool)
    except BaseException as error:
        await give_up(exchange, pool, error)
        raise
    if exchange.closers is not None:
        if is_independent(exchange.content):
            await close_on_loop(exchange, pool)
        elif exchange.flight is not None:
            exchange.flight.let_go(exchange)


async def give_up(exchange: Exchange, pool: WorkerPool, error: BaseException) -> None:
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
    await _run_on_worker(rest, exchange, pool, exchange.abandon)
    if exchange.error is not None and not exchange.status:
        raise exchange.error


async def _run_on_worker(
    function: Callable[[Exchange], None],
    exchange: Exchange,
    pool: WorkerPool,
    abandon: Callable[[], None] | None = None,
) -> None:
    """Run a function on a worker thread, and note the wait for one."""
    if not exchange.plan.observed:
        await pool.run(function, exchange, abandon)
        return
    hears = exchange.plan.hears
    handed, left = perf_counter(), 0.0

    def observed(exchange: Exchange) -> None:
        nonlocal left
        hears.note(exchange, WORKER, "", handed, perf_counter())
        try:
            one_step(exchange.steps, function, exchange)
        finally:
            left = perf_counter()

    await pool.run(observed, exchange, abandon)
    hears.note(exchange, LOOP, "", left, perf_counter())


def _fail(exchange: Exchange, error: Exception) -> None:
    """Turn an exception into the response, and note it for observers."""
    started = perf_counter()
    fail(exchange, error)
    exchange.plan.hears.note(exchange, FAILURE, error, started, perf_counter())


def _settle(exchange: Exchange) -> None:
    """Open a file; whatever fails is the answer."""
    try:
        settle(exchange)
    except Exception as error:
        _fail(exchange, error)


def _end(exchange: Exchange, ending: Ending) -> None:
    """Run what follows the end of a plan, on a thread that may block."""
    if exchange.plan.observed:
        started = perf_counter()
        ending.run(exchange)
        exchange.plan.hears.note(exchange, ENDING, "", started, perf_counter())
    else:
        ending.run(exchange)
    if is_unsettled(exchange.content):
        _settle(exchange)
    ending.state(exchange)


async def _end_on_loop(exchange: Exchange, ending: Ending, pool: WorkerPool) -> None:
    """Run what follows the end of a plan, on a worker thread if it may block."""
    if ending.blocks_now(exchange):
        exchange.portal = pool.portal()
        await _run_on_worker(partial(_end, ending=ending), exchange, pool, exchange.abandon)
        return
    if exchange.plan.observed:
        started = perf_counter()
        await ending.run_later(exchange)
        exchange.plan.hears.note(exchange, ENDING, "", started, perf_counter())
    else:
        await ending.run_later(exchange)
    if is_unsettled(exchange.content):
        await _run_on_worker(_settle, exchange, pool)
    ending.state(exchange)


def _fail_late(exchange: Exchange, error: Exception) -> None:
    """Answer what failed in a stream of which nothing was sent yet."""
    _fail(exchange, error)
    if exchange.plan.ending is not None:
        _end(exchange, exchange.plan.ending)
    _stream_no_more(exchange, error)


async def fail_late_on_loop(exchange: Exchange, error: Exception, pool: WorkerPool) -> None:
    """Answer, on an event loop, what failed in a stream of which nothing was sent yet."""
    _fail(exchange, error)
    if exchange.plan.ending is not None:
        await _end_on_loop(exchange, exchange.plan.ending, pool)
    _stream_no_more(exchange, error)


def _stream_no_more(exchange: Exchange, error: Exception) -> None:
    """Give the default answer where an error handler gave another stream, which may fail too."""
    if exchange.content.__class__ is not bytes:
        discard(exchange.content)
        _fail(exchange, error)
        if exchange.plan.ending is not None:
            exchange.plan.ending.state(exchange)


def _conclude_observed(exchange: Exchange, status: int) -> None:
    if RENDERING not in exchange.plan.hears.kinds:
        conclude(exchange, status)
        return
    timeline = exchange.timeline
    # What is decided between the handler's end and this counts here: it costs less than to look
    # at the clock again.
    started = timeline[-1][3] if exchange.handled and timeline else perf_counter()
    try:
        conclude(exchange, status)
    finally:
        timeline.append((RENDERING, "", started, perf_counter()))


def drain(exchange: Exchange) -> None:
    """Read a stream to its end for a caller who wants all of it, then tear down."""
    content = exchange.content
    try:
        if isinstance(content, AsyncIterable):
            exchange.content = exchange.wait_for(_all_pieces(content))
        else:
            exchange.content = b"".join(read_pieces(content))
    except Exception as error:
        _fail_late(exchange, error)
    finally:
        close(exchange)


async def drain_on_loop(exchange: Exchange, pool: WorkerPool) -> None:
    """Read a stream to its end on an event loop; see `drain`."""
    try:
        inline = not exchange.plan.blocking
        pieces = stream_pieces(exchange.content, pool, inline, exchange.steps)
        exchange.content = b"".join([piece async for piece in pieces])
    except Exception as error:
        await fail_late_on_loop(exchange, error, pool)
    except BaseException as error:
        exchange.error = error
        raise
    finally:
        await close_on_loop(exchange, pool)


async def _all_pieces(content: AsyncIterable[Any]) -> bytes:
    return b"".join([as_bytes(piece) async for piece in content])


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
        teardown.note(name, started)
    if teardown.end() and exchange.plan.ending is not None:
        _end(exchange, exchange.plan.ending)
        if exchange.closers is not None:
            close(exchange)


async def close_on_loop(exchange: Exchange, pool: WorkerPool) -> None:
    """Finish every generator dependency from an event loop; see `close`."""
    if exchange.plan.may_block and any(not is_async for _, _, is_async in exchange.closers or ()):
        exchange.portal = pool.portal()
        await _close_on_worker(exchange, pool)
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
        teardown.note(name, started)
    if teardown.end() and exchange.plan.ending is not None:
        await _end_on_loop(exchange, exchange.plan.ending, pool)
        if exchange.closers is not None:
            await close_on_loop(exchange, pool)


async def _close_on_worker(exchange: Exchange, pool: WorkerPool) -> None:
    """Finish every generator dependency on a worker thread, also for one who is cancelled."""
    cancelled: asyncio.CancelledError | None = None
    while exchange.closers is not None:  # so it stays if the job is taken back from the pool
        try:
            await _run_on_worker(close, exchange, pool)
        except asyncio.CancelledError as error:
            cancelled = exchange.error = error
    if cancelled is not None:
        raise cancelled


class _Teardown:
    """What finishing the generators of one exchange came to."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.closers = list(reversed(exchange.closers or ()))
        self._headers: list[Mapping[str, str]] = []
        self._error: BaseException | None = None
        # Its response has started, and so cannot become another one.
        self._was_stream = not is_independent(exchange.content)
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

    def note(self, name: str, started: float) -> None:
        """Note when a generator was finished, if anybody observes."""
        if not self.exchange.plan.observed:
            return
        self.exchange.plan.hears.note(self.exchange, TEARDOWN, name, started, perf_counter())

    def end(self) -> bool:
        """Put the outcome into the response, and return whether it is another one now."""
        try:
            return self._put_outcome()
        finally:
            if self.exchange.flight is not None:
                self.exchange.flight.land(self.exchange)

    def _put_outcome(self) -> bool:
        exchange = self.exchange
        if isinstance(self._error, Exception):
            discard(exchange.content)
            _fail(exchange, self._error)
        elif self._error is not None:
            raise self._error
        try:
            for headers in self._headers:
                if exchange.plan.policy is not None:
                    exchange.plan.policy.withdraw(exchange, headers)
                exchange.head = merged(exchange.head, headers)
        except Exception as error:
            self._error = error
            discard(exchange.content)
            _fail(exchange, error)
        return self._error is not None and not self._was_stream
