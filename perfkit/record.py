"""The request that runs here, and what it asked of other systems.

Whatever watches a library reports an `Operation` here: it is kept with the request in whose
context it happened, on the event loop or on a worker thread, and told to every listener.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import NamedTuple

logger = logging.getLogger("perfkit")


class Operation(NamedTuple):
    """One call to another system: a query, a command or an HTTP request.

    A frozen dataclass would take twice as long to make (bench_operations.py::bench_watched_query).

    Attributes:
        system: What was asked, in OpenTelemetry's words: "postgresql", "redis", "http".
        name: What it was asked, without values: a fingerprint, a command, a method and host.
        started: When, by `time.perf_counter`.
        seconds: How long the caller waited for it.
        error: The type of the exception in which it ended, empty for none.
    """

    system: str
    name: str
    started: float
    seconds: float
    error: str = ""


@dataclass(slots=True, eq=False)
class Record:
    """What is known of one request while it runs.

    Attributes:
        method: The request's method, and `route` the template that matched, None for none.
        started: When the route was known, by `time.perf_counter`.
        operations: What it asked of other systems, in the order in which that ended.
    """

    method: str
    route: str | None
    started: float
    operations: list[Operation] = field(default_factory=list)


Listener = Callable[[Operation, Record | None], None]

current: ContextVar[Record | None] = ContextVar("perfkit.record", default=None)
"""The request in whose context the caller runs, None outside of any."""

_listeners: list[Listener] = []
_failed: set[Listener] = set()


def listen(listener: Listener) -> None:
    """Tell a function of every operation from now on, inside of requests and outside."""
    _listeners.append(listener)


def unlisten(listener: Listener) -> None:
    """Tell a function of no further operation."""
    _listeners.remove(listener)


def report(operation: Operation) -> None:
    """Keep an operation with its request and tell the listeners; one that fails is logged once."""
    record = current.get()
    if record is not None:
        record.operations.append(operation)
    for listener in tuple(_listeners):
        try:
            listener(operation, record)
        except Exception:
            if listener not in _failed:
                _failed.add(listener)
                logger.exception("%s failed; further failures are not logged", listener)
