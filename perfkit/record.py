"""The request that runs here, what happened to it, and what it asked of other systems.

`timing` makes a `Record` of each request it observes. Whatever watches a library reports an
`Operation` here: it is kept with the request in whose context it happened, on the event loop or
on a worker thread, and told to every listener.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from perfkit.tracing import Trace
    from restmachine.exchange import Exchange

logger = logging.getLogger("perfkit")

Entry = tuple[str, Any, float, float]
"""As in `restmachine.hooks`: kind, subject, and when by `time.perf_counter` it began and ended."""


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


class Record:
    """What is known of one request while it runs, and when it is over.

    Attributes:
        method: The request's method, and `route` the template that matched, None for none.
        started: When the route was known, by `time.perf_counter`.
        operations: What it asked of other systems, in the order in which that ended.
        queued: Seconds between a proxy's taking the request and `started`, 0.0 if unknown.
        trace: Where it stands in a trace, None where nothing traces.
        status: Of the response; 499 if the client left before it started, 0 while it runs.
        sent_bytes: Content that was sent, without header fields.
        decision: The chart's id of the last decision, empty if an exception ended them.
        finished: When it was over, by `time.perf_counter`, 0.0 while it runs.
        cpu: Seconds for which threads computed for it, None where nobody measures that.
    """

    # Defaults live on the class: a request sets only what differs from them.
    queued = 0.0
    trace: Trace | None = None
    status = 0
    sent_bytes = 0
    decision = ""
    finished = 0.0
    cpu: float | None = None
    _exchange: Exchange | None = None

    def __init__(
        self, method: str, route: str | None, started: float, timeline: list[Entry] | None = None
    ) -> None:
        self.method = method
        self.route = route
        self.started = started
        self._timeline: list[Entry] = [] if timeline is None else timeline
        self.operations: list[Operation] = []

    @classmethod
    def of(cls, exchange: Exchange) -> Record:
        """Return the one record of a request that is observed, made when first asked for."""
        found: Record | None = exchange.notes.get(cls)
        if found is None:
            started, made = exchange.marks[0], current.get()
            # A request may have gone some way without an exchange, and have a record already.
            if not isinstance(made, Record) or made.started is not started:
                made = cls(exchange.method, exchange.route_template, started)
            made._exchange = exchange
            found = exchange.notes.setdefault(cls, made)  # threads may ask at once
        return found

    @property
    def timeline(self) -> list[Entry]:
        """What happened to it, in the order in which that ended."""
        return self._timeline if self._exchange is None else self._exchange.timeline

    def complete(self, status: int, sent_bytes: int, finished: float) -> None:
        """Take down how the request ended, and let go of everything else about it."""
        self.status, self.sent_bytes, self.finished = status, sent_bytes, finished
        if self._exchange is not None:
            self.decision = self._exchange.decision
            self._timeline = self._exchange.timeline
            self._exchange = None

    @property
    def seconds(self) -> float:
        """How long the request took, its wait before the application included."""
        return self.queued + self.finished - self.started


Listener = Callable[[Operation, Record | None], None]

Running: TypeAlias = "Record | Exchange | None"
"""A request that runs, or its exchange."""

current: ContextVar[Running] = ContextVar("perfkit.record", default=None)
"""The request in whose context the caller runs, or its exchange; None outside of any."""


class Asked:
    """Whether anything in this process asks for the request in whose context it runs.

    To set the context of each request takes a tenth of all that its timing costs, so a route that
    has no use for it leaves that until somebody reports operations.
    """

    __slots__ = ("for_current",)

    def __init__(self) -> None:
        self.for_current = False


asked = Asked()


def running() -> Record | None:
    """Return the request in whose context the caller runs, None outside of any."""
    found = current.get()
    return found if found is None or isinstance(found, Record) else Record.of(found)


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
    asked.for_current = True
    record = running()
    if record is not None:
        record.operations.append(operation)
    for listener in tuple(_listeners):
        try:
            listener(operation, record)
        except Exception:
            if listener not in _failed:
                _failed.add(listener)
                logger.exception("%s failed; further failures are not logged", listener)
