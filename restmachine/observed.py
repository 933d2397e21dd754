"""The parts of a plan as they run when somebody listens: each tells observers when it ran.

A plan without observers never comes here; see `hooks` for the events.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import TYPE_CHECKING, Any

from restmachine.dependencies import Call, Getter, Made
from restmachine.exchange import Exchange
from restmachine.hooks import Tell
from restmachine.recipes import Kind
from restmachine.results import ResultKeeper

if TYPE_CHECKING:
    from restmachine.plan import Step

Later = Callable[[Exchange], Awaitable[Any]]
Keep = Callable[[Exchange, Any], None]
KeepLater = Callable[[Exchange, Any], Awaitable[None]]


class ObservedCall:
    """Makes a dependency and tells observers when, after all that it asks for."""

    __slots__ = ("_awaits", "_call", "_make", "_needs", "_tell", "before", "blocks", "name")

    def __init__(self, call: Made, tell: Tell) -> None:
        self.name = call.name
        self.blocks = call.blocks
        self.before = call.before
        self._needs = call.before.needs
        self._call = call
        self._tell = tell
        self._make = self._awaits = None
        if isinstance(call, Call) and call.kind in (Kind.PLAIN, Kind.COROUTINE):
            self._make, self._awaits = call.invoke_prepared, call.kind.is_async

    def run(self, exchange: Exchange) -> Any:
        """Return the value and tell of it."""
        for need in self._needs:
            need.get(exchange)
        started = perf_counter()
        try:
            return self._call.run(exchange)
        finally:
            self._tell(exchange, self.name, started, perf_counter())

    async def run_async(self, exchange: Exchange) -> Any:
        """Return the value and tell of it."""
        make = self._make
        started = perf_counter()
        try:
            # As where nothing observes (`Preparation.run`): no coroutine more than need be.
            if make is None:
                return await self._call.run_async(exchange)
            return await make(exchange.values) if self._awaits else make(exchange.values)
        finally:
            self._tell(exchange, self.name, started, perf_counter())


def watch_dependencies(tell: Tell | None) -> Callable[[Made], Made] | None:
    """Return how to make a dependency observed, None where nobody listens."""
    return None if tell is None else lambda call: ObservedCall(call, tell)


def observe_decision(step: Step, tell: Tell) -> None:
    """Make a step tell observers its answer."""
    test, later, blocks = step.test, step.later, step.blocks

    def told(exchange: Exchange) -> bool:
        started = perf_counter()
        answer = test(exchange)
        tell(exchange, step.id, answer, started, perf_counter())
        return answer

    async def told_later(exchange: Exchange) -> bool:
        assert later is not None
        started = perf_counter()
        answer = await later(exchange)
        tell(exchange, step.id, answer, started, perf_counter())
        return answer

    step.test = told
    if later is not None and not blocks:
        step.later = told_later


def observe_handler(handler: Call, tell: Tell) -> tuple[Getter, Later]:
    """Return both ways to call a handler, telling observers when."""
    run = handler.invoke if handler.kind is Kind.PLAIN else handler.run
    run_async = handler.invoke if handler.kind is Kind.COROUTINE else handler.run_async
    needs = handler.before.needs

    def call(exchange: Exchange) -> Any:
        for need in needs:
            need.get(exchange)
        started = perf_counter()
        try:
            return run(exchange)
        finally:
            tell(exchange, started, perf_counter())

    async def call_later(exchange: Exchange) -> Any:
        started = perf_counter()
        try:
            return await run_async(exchange)
        finally:
            tell(exchange, started, perf_counter())

    return call, call_later


def observe_keeper(keeper: ResultKeeper, tell: Tell) -> tuple[Keep, KeepLater]:
    """Return both ways to render as a route itself says, telling observers when."""

    def keep(exchange: Exchange, value: Any) -> None:
        started = perf_counter()
        try:
            keeper.keep(exchange, value)
        finally:
            tell(exchange, started, perf_counter())

    async def keep_later(exchange: Exchange, value: Any) -> None:
        started = perf_counter()
        try:
            await keeper.keep_later(exchange, value)
        finally:
            tell(exchange, started, perf_counter())

    return keep, keep_later
