"""Every event that an observer may listen to, with its arguments and units.

Subclass `Observer`, override the events of interest and hand an instance to
`RestApplication.observe`. Only overridden events are wired into a route's plan when it
is compiled; a route that nothing observes runs code which has no trace of them.

The order of one request: `request_started`; then any of `content_received`,
`worker_waited`, `decided`, `dependency_made` and `handler_called`; `decisions_ended` and
`rendered`, or `failed`; `ending_called`; `dependency_closed` and `response_started`,
which come the other way round for a stream, with its `piece_sent` after the start; and at
last `request_finished`, exactly once, also after an error, a disconnect or a cancellation.
Events of one request never overlap, but they may come from the event loop and from a
worker thread, and requests overlap freely: keep what belongs to one request in
`exchange.notes`, a dict of that request's own.

Every time is a reading of `time.perf_counter`, in seconds, taken once and handed to all
who listen: *now*, or *started* and *ended* of what was done between the two. What one event
tells of does not contain what another tells of, so that the times add up to the request's,
but for three cases: a dependency or handler that reads the content itself contains
`content_received`, `rendered` contains the validators that are made for the response, and
`ending_called` whatever its functions ask for.

An observer must not raise; if it does, the error is logged once per event and the
request goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from inspect import signature
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from restmachine.exchange import Exchange

Tell = Callable[..., None]
"""Takes the exchange and the facts of one event, and never raises."""

logger = logging.getLogger("restmachine")


class Observer:
    """Hears of each request; every method does nothing until it is overridden."""

    def watches(self, method: str, template: str | None) -> bool:
        """Return whether to hear of a route, None for paths without one; asked once for each."""
        return True

    def request_started(self, exchange: Exchange, now: float) -> None:
        """The route is known and nothing else has happened."""

    def content_received(self, exchange: Exchange, size: int, started: float, ended: float) -> None:
        """A piece of the request's content, of *size* bytes, was waited for and came."""

    def worker_waited(self, exchange: Exchange, started: float, ended: float) -> None:
        """The request waited for a worker thread, on which it runs now."""

    def decided(
        self, exchange: Exchange, decision: str, answer: bool, started: float, ended: float
    ) -> None:
        """The decision with this id of the chart was answered; what that needed is contained.

        Costs a call for every decision, which are many: the others cost one for each event.
        """

    def dependency_made(self, exchange: Exchange, name: str, started: float, ended: float) -> None:
        """A dependency was made, or failed; those that it asked for had been made before."""

    def handler_called(self, exchange: Exchange, started: float, ended: float) -> None:
        """The handler returned or raised; its dependencies had been made before."""

    def decisions_ended(self, exchange: Exchange, decision: str, status: int, now: float) -> None:
        """The last decision, of which this is the id on the chart, led to a status.

        A handler may state another one. This is not told of requests that failed before.
        """

    def rendered(self, exchange: Exchange, started: float, ended: float) -> None:
        """The handler's result, or a status without one, became the response."""

    def failed(self, exchange: Exchange, error: Exception, started: float, ended: float) -> None:
        """An exception became the response, perhaps in place of another response."""

    def ending_called(self, exchange: Exchange, started: float, ended: float) -> None:
        """Error handlers and functions for default header fields were called."""

    def dependency_closed(
        self, exchange: Exchange, name: str, started: float, ended: float
    ) -> None:
        """A generator dependency was torn down."""

    def response_started(self, exchange: Exchange, status: int, now: float) -> None:
        """The status and header fields are handed to the server next.

        The observer may add to them with `exchange.add_field`.
        """

    def piece_sent(self, exchange: Exchange, size: int, started: float, ended: float) -> None:
        """A piece of a stream, of *size* bytes, was handed to the server, which took it."""

    def request_finished(
        self, exchange: Exchange, status: int, sent_bytes: int, now: float
    ) -> None:
        """The last byte was handed to the server and every dependency is torn down.

        *sent_bytes* counts content without header fields. *status* is 499 when the
        client left before the response started.
        """


@dataclass(slots=True, frozen=True)
class Hears:
    """Whom a plan tells of each event, None where nobody listens."""

    request_started: Tell | None = None
    content_received: Tell | None = None
    worker_waited: Tell | None = None
    decided: Tell | None = None
    dependency_made: Tell | None = None
    handler_called: Tell | None = None
    decisions_ended: Tell | None = None
    rendered: Tell | None = None
    failed: Tell | None = None
    ending_called: Tell | None = None
    dependency_closed: Tell | None = None
    response_started: Tell | None = None
    piece_sent: Tell | None = None
    request_finished: Tell | None = None

    @property
    def events(self) -> tuple[str, ...]:
        """The events that anybody listens to."""
        return tuple(event for event in EVENTS if getattr(self, event) is not None)


EVENTS = tuple(field.name for field in fields(Hears))


def hears(observers: Sequence[Observer], method: str, template: str | None) -> Hears:
    """Return whom to tell of each event of a route."""
    watching = [observer for observer in observers if observer.watches(method, template)]
    return Hears(**{event: _teller(watching, event) for event in EVENTS})


def _teller(observers: Sequence[Observer], event: str) -> Tell | None:
    original = getattr(Observer, event)
    facts = len(signature(original).parameters) - 2
    tellers = [
        _guarded(getattr(observer, event), facts)
        for observer in observers
        if getattr(type(observer), event) is not original
    ]
    if not tellers:
        return None
    return tellers[0] if len(tellers) == 1 else _each_of(tellers)


def _each_of(tellers: Sequence[Tell]) -> Tell:
    def tell(exchange: Exchange, *facts: Any) -> None:
        for each in tellers:
            each(exchange, *facts)

    return tell


def _guarded(listener: Callable[..., None], facts: int) -> Tell:
    """Return a function of so many facts that calls a listener and never raises.

    Hot path: a tuple of the facts would cost more than the listener's call
    (bench_features.py::bench_observer_on).
    """

    def one(exchange: Exchange, now: Any) -> None:
        try:
            listener(exchange, now)
        except Exception:
            _report(listener)

    def two(exchange: Exchange, first: Any, second: Any) -> None:
        try:
            listener(exchange, first, second)
        except Exception:
            _report(listener)

    def three(exchange: Exchange, first: Any, second: Any, third: Any) -> None:
        try:
            listener(exchange, first, second, third)
        except Exception:
            _report(listener)

    def four(exchange: Exchange, first: Any, second: Any, third: Any, fourth: Any) -> None:
        try:
            listener(exchange, first, second, third, fourth)
        except Exception:
            _report(listener)

    return (one, two, three, four)[facts - 1]


_failed: set[Callable[..., None]] = set()


def _report(listener: Callable[..., None]) -> None:
    """Log the error that is being handled, once for each listener."""
    if listener not in _failed:
        _failed.add(listener)
        logger.exception("The observer %s failed; further failures are not logged", listener)
