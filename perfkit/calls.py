"""Times one call to another system, and reports it as an operation of the request."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from time import perf_counter
from types import TracebackType
from typing import TypeVar

from perfkit.record import Operation, asked, report
from perfkit.statements import fingerprint, is_transaction_control

Value = TypeVar("Value")

asked.for_current = True  # whoever loads this room reports operations

delegated: ContextVar[bool] = ContextVar("perfkit.delegated", default=False)
"""Whether somebody above the driver reports for it: SQLAlchemy's queries count once."""


class Call:
    """A call that lasts as long as the block."""

    __slots__ = ("_name", "_started", "_system")

    def __init__(self, system: str, name: str) -> None:
        self._system = system
        self._name = name

    def __enter__(self) -> None:
        self._started = perf_counter()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        seconds = perf_counter() - self._started
        if not delegated.get():
            failure = kind.__name__ if kind else ""
            report(Operation(self._system, self._name, self._started, seconds, failure))


def query(system: str, statement: str) -> AbstractContextManager[None]:
    """Return the call of a statement; one that begins or ends a transaction is not reported."""
    name = fingerprint(statement)
    return nullcontext() if is_transaction_control(name) else Call(system, name)


class Stream:
    """A call that is waited for in parts, between which the caller uses what has come.

    Each part is a block; `end` reports the sum of them, once.
    """

    __slots__ = ("_begun", "_ended", "_failure", "_name", "_seconds", "_started", "_system")

    def __init__(self, system: str, name: str) -> None:
        self._system = system
        self._name = name
        self._started = perf_counter()
        self._seconds = 0.0
        self._failure = ""
        self._ended = False

    def __enter__(self) -> None:
        self._begun = perf_counter()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._seconds += perf_counter() - self._begun
        if kind is not None and kind not in (StopIteration, StopAsyncIteration):
            self._failure = kind.__name__

    def end(self) -> None:
        """Report the call, unless that has been done."""
        if not self._ended and not delegated.get():
            report(Operation(self._system, self._name, self._started, self._seconds, self._failure))
        self._ended = True


def parts(call: Stream, values: Iterator[Value]) -> Iterator[Value]:
    """Yield values, and wait for each of them within the call."""
    while True:
        try:
            with call:
                value = next(values)
        except StopIteration:
            return
        yield value


async def async_parts(call: Stream, values: AsyncIterator[Value]) -> AsyncIterator[Value]:
    """Yield values, and wait for each of them within the call."""
    while True:
        try:
            with call:
                value = await anext(values)
        except StopAsyncIteration:
            return
        yield value
