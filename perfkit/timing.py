"""Times requests: makes a `Record` of each, and offers its split to the response and the log.

    from perfkit import timing

    timing.attach(app, slow=0.5, response_time=True)

Every time of a request is a reading of `time.perf_counter`; only its wait before the application
is told by a proxy, by the clock of the wall.
"""

from __future__ import annotations

import json
import logging
import math
import re
import time
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from time import perf_counter, thread_time
from typing import TYPE_CHECKING, Any

from perfkit.errors import PerfkitError
from perfkit.metrics import METHODS, OTHER, UNMATCHED
from perfkit.record import Record, Running, current, running
from perfkit.split import Split, split
from restmachine.hooks import DECISION, KINDS, Observer, Steps
from restmachine.inbound import ASGIExchange

if TYPE_CHECKING:
    from restmachine import RestApplication
    from restmachine.exchange import Exchange

logger = logging.getLogger("perfkit")
slow_logger = logging.getLogger("perfkit.slow")

Begun = Callable[[Record, "Exchange"], None]
Finished = Callable[[Record], None]


class TimingObserver(Observer):
    """Times the requests of an application: `current` while they run, and a record at the end.

    Args:
        begun: Are given each record when the request has started.
        finished: Are given each record when it is complete. One that fails is logged once.
        slow: Is given the records of the requests that it calls slow.
        exclude: Templates of routes that are not observed.
        decisions: Have each decision in the timeline; that costs a call for each.
        route: Makes what times the requests of one route.
    """

    def __init__(
        self,
        *,
        begun: Sequence[Begun] = (),
        finished: Sequence[Finished] = (),
        slow: SlowLog | None = None,
        exclude: Collection[str] = (),
        decisions: bool = False,
        route: TimesRoute | None = None,
    ) -> None:
        self.kinds = KINDS | {DECISION} if decisions else KINDS
        self.slow_seconds = math.inf if slow is None else slow.threshold
        self.keeps_records = bool(begun or finished)
        self._begun = tuple(begun)
        self._finished: tuple[Finished, ...] = (*finished, *([] if slow is None else [slow]))
        self._excluded = frozenset(exclude)
        self._failed: set[Finished] = set()
        self._route = TimedRoute if route is None else route

    def of_route(self, method: str, template: str | None) -> Observer | None:
        """Return what times a route, None if it is excluded."""
        return None if template in self._excluded else self._route(self, method, template)

    def begin(self, exchange: Exchange) -> None:
        """Hand on a request that has started."""
        for begin in self._begun:
            begin(Record.of(exchange), exchange)

    def finish(self, exchange: Exchange, status: int, sent_bytes: int, now: float) -> Record:
        """Complete the record of a request and hand it on."""
        record = Record.of(exchange)
        record.complete(status, sent_bytes, now)
        self.hand_on(record)
        return record

    def hand_on(self, record: Record) -> None:
        """Hand on a record that is complete."""
        for finish in self._finished:
            try:
                finish(record)
            except Exception:
                if finish not in self._failed:
                    self._failed.add(finish)
                    logger.exception("%s failed; further failures are not logged", finish)


class TimedRoute(Observer):
    """Times the requests of one route."""

    def __init__(self, observer: TimingObserver, method: str, template: str | None) -> None:
        self.kinds = observer.kinds
        self._observer = observer
        self._begins = observer.keeps_records
        self._slow_seconds = -math.inf if observer.keeps_records else observer.slow_seconds
        self._outer: dict[Exchange, Running] = {}

    def request_started(self, exchange: Exchange, now: float) -> None:
        """Make the request current in its own context."""
        self._enter(exchange)

    def request_finished(
        self, exchange: Exchange, status: int, sent_bytes: int, now: float
    ) -> None:
        """Hand on the record of a request, and let the one around it be current again."""
        self._leave(exchange)
        if now - exchange.marks[0] >= self._slow_seconds:
            self._observer.finish(exchange, status, sent_bytes, now)

    def _enter(self, exchange: Exchange) -> None:
        outer = current.get()
        if outer is not None and not outer.finished:
            self._outer[exchange] = outer
        current.set(exchange)
        if self._begins:
            self._observer.begin(exchange)

    def _leave(self, exchange: Exchange) -> None:
        """Let the request around this one be current again.

        A server ends the context with the request, so there it need not be changed again.
        """
        if self._outer:
            current.set(self._outer.pop(exchange, None))
        elif not isinstance(exchange, ASGIExchange):
            current.set(None)


TimesRoute = Callable[[TimingObserver, str, str | None], Observer]


class _CPUClock(Steps):
    """Adds up how long threads compute for one request."""

    __slots__ = ("_record", "_resumed")

    def __init__(self, record: Record) -> None:
        record.cpu = 0.0
        self._record = record
        self._resumed = 0.0

    def resumed(self) -> None:
        self._resumed = thread_time()

    def suspended(self) -> None:
        assert self._record.cpu is not None
        self._record.cpu += thread_time() - self._resumed


class CPUTiming(Observer):
    """Measures the CPU time of each request, at each of its steps.

    Args:
        exclude: Templates of routes that are not observed.
    """

    def __init__(self, exclude: Collection[str] = ()) -> None:
        self._excluded = frozenset(exclude)

    def of_route(self, method: str, template: str | None) -> Observer | None:
        """Return nobody for a route that is excluded."""
        return None if template in self._excluded else self

    def follow(self, exchange: Exchange) -> Steps:
        """Return a clock of the request's own."""
        return _CPUClock(Record.of(exchange))


class TimingFields(Observer):
    """States what is known of a request's time when its response starts.

    Args:
        server_timing: State the split in ``Server-Timing`` (W3C), in milliseconds. It tells
            clients the names of dependencies.
        response_time: State the time so far in ``X-Response-Time``, in seconds.
        exclude: Templates of routes that are not observed.
    """

    def __init__(
        self,
        server_timing: bool = False,
        response_time: bool = False,
        exclude: Collection[str] = (),
    ) -> None:
        self._server_timing = server_timing
        self._response_time = response_time
        self._excluded = frozenset(exclude)

    def of_route(self, method: str, template: str | None) -> Observer | None:
        """Return nobody for a route that is excluded."""
        return None if template in self._excluded else self

    def response_started(self, exchange: Exchange, status: int, now: float) -> None:
        """Add the fields to a response."""
        record = Record.of(exchange)
        if self._server_timing:
            exchange.add_field(b"server-timing", server_timing(split(record, now)).encode())
        if self._response_time:
            seconds = record.queued + now - record.started
            exchange.add_field(b"x-response-time", b"%.3f" % seconds)


def server_timing(parts: Split) -> str:
    """Return a split as the value of a ``Server-Timing`` field."""
    named = {"total": parts.total, **parts.parts}
    return ", ".join(
        f"{_no_token(name)};dur={seconds * 1000:.3f}" for name, seconds in named.items()
    )


def _no_token(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name)


class SlowLog:
    """Logs a line of JSON for each request that took at least so many seconds.

    The line has the route's template and never the path, and nothing that the client sent.
    """

    def __init__(self, threshold: float) -> None:
        if threshold < 0:
            raise PerfkitError(f"slow= takes seconds from 0 on, and got {threshold}")
        self.threshold = threshold

    def __call__(self, record: Record) -> None:
        """Log a request that is over if it was slow."""
        if record.seconds >= self.threshold:
            slow_logger.warning("%s", json.dumps(told(record, split(record))))


def told(record: Record, parts: Split) -> dict[str, Any]:
    """Return what a log line says of a request, times in seconds to the microsecond."""
    line: dict[str, Any] = {
        "event": "slow request",
        "method": record.method if record.method in METHODS else OTHER,
        "route": UNMATCHED if record.route is None else record.route,
        "status": record.status,
        "seconds": round(parts.total, 6),
        "first_byte": None if parts.first_byte is None else round(parts.first_byte, 6),
        "last_byte": None if parts.last_byte is None else round(parts.last_byte, 6),
        "parts": {name: round(seconds, 6) for name, seconds in parts.parts.items()},
        "operations": parts.operations,
        "operations_seconds": round(parts.operations_seconds, 6),
        "sent_bytes": record.sent_bytes,
        "decision": record.decision,
    }
    if parts.cpu is not None:
        line["cpu"] = round(parts.cpu, 6)
    if record.trace is not None:
        line["trace_id"] = record.trace.trace_id
    return line


LONGEST_QUEUE_SECONDS = 3600.0
"""A proxy whose clock is further off than this tells nothing."""


def queued_since(value: str, now: float) -> float:
    """Return for how many seconds a request waited before the application.

    Args:
        value: Of a field like ``X-Request-Start``: seconds, milli- or microseconds of the Unix
            epoch, with or without ``t=`` before them. What is malformed counts as nothing.
        now: By `time.time`.
    """
    found = re.fullmatch(r"(?:t=)?([0-9]{10,16})(\.[0-9]{1,9})?", value.strip())
    if found is None:
        return 0.0
    digits, fraction = found.groups()
    # Ten digits are seconds until the year 2286; 13 and 16 are a thousandth of that unit.
    scale = {10: 1.0, 13: 1e3, 16: 1e6}.get(len(digits))
    if scale is None:
        return 0.0
    seconds = now - float(digits + (fraction or "")) / scale
    return seconds if 0.0 <= seconds <= LONGEST_QUEUE_SECONDS else 0.0


def _queue_reader(name: str) -> Begun:
    field = name.lower().encode("latin-1")

    def read(record: Record, exchange: Exchange) -> None:
        value = exchange.field(field)
        if value is not None:
            record.queued = queued_since(value, time.time())

    return read


class RequestTimer(Mapping[str, str]):
    """The time of the request that asks for `request_timer`.

    It is a mapping without items, so a handler may return it as its header fields.
    """

    def __init__(self, record: Record) -> None:
        self._record = record

    @property
    def seconds(self) -> float:
        """How long the request has taken so far."""
        return self._record.queued + perf_counter() - self._record.started

    @property
    def split(self) -> Split:
        """The parts of that time."""
        return split(self._record, perf_counter())

    def __getitem__(self, name: str) -> str:
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def attach(
    app: RestApplication,
    *,
    slow: float | None = None,
    server_timing: bool = False,
    response_time: bool = False,
    decisions: bool = False,
    cpu: bool = False,
    queue_field: str | None = None,
    exclude: Collection[str] = (),
    begun: Sequence[Begun] = (),
    finished: Sequence[Finished] = (),
    route: TimesRoute | None = None,
) -> TimingObserver:
    """Time every request of an application, and offer it the dependency `request_timer`.

    Args:
        slow: Log requests that take at least so many seconds (`perfkit.slow`).
        server_timing, response_time: State the field in each response.
        decisions: Have each decision as an entry of its own.
        cpu: Measure CPU time as well, which costs two system calls for each step.
        queue_field: The field in which a trusted proxy states when it took the request, such
            as ``X-Request-Start``. Clients may state it too, so the proxy must replace it.
        exclude: Templates of routes that are not timed.
        begun, finished, route: See `TimingObserver`.

    Raises:
        PerfkitError: An argument means nothing.
    """
    if isinstance(exclude, str):
        raise PerfkitError(f'exclude= takes a list of paths: exclude=["{exclude}"]')
    starts = [*begun] if queue_field is None else [_queue_reader(queue_field), *begun]
    observer = TimingObserver(
        begun=starts,
        finished=finished,
        slow=None if slow is None else SlowLog(slow),
        exclude=exclude,
        decisions=decisions,
        route=route,
    )
    app.observe(observer)
    if cpu:
        app.observe(CPUTiming(exclude))
    if server_timing or response_time:
        app.observe(TimingFields(server_timing, response_time, exclude))
    add_dependencies(app)
    return observer


TIMER = "request_timer"


def add_dependencies(app: RestApplication) -> None:
    """Offer the dependency `request_timer`, which states ``X-Response-Time`` at its end."""

    @app.dependency(name=TIMER, blocking=False)
    def request_timer() -> Generator[RequestTimer, None, dict[str, str]]:
        """The time of this request; a route that is not timed begins here."""
        timer = RequestTimer(running() or Record("", None, perf_counter()))
        yield timer
        return {"X-Response-Time": f"{timer.seconds:.3f}"}
