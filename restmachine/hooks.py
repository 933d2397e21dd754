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
from collections.abc import Callable, Coroutine, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from inspect import signature
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from restmachine.exchange import Exchange

Value = TypeVar("Value")

Tell = Callable[..., None]
"""Takes the exchange and the facts of one event, and never raises."""

logger = logging.getLogger("restmachine")


class Steps(Protocol):
    """Follows one request on the threads that run it, for what a thread must be asked.

    The request runs in steps: from one await to the next on the event loop, or a function on a
    worker thread. The two methods come in turns, around each step and on its thread.
    """

    def resumed(self) -> None:
        """The request begins, or goes on, to run on the calling thread."""

    def suspended(self) -> None:
        """The request no longer runs on the calling thread."""


class Observer:
    """Hears of each request; every method does nothing until it is overridden."""

    def watches(self, method: str, template: str | None) -> bool:
        """Return whether to hear of a route, None for paths without one; asked once for each."""
        return True

    def request_started(self, exchange: Exchange, now: float) -> None:
        """The route is known and nothing else has happened."""

    def follow(self, exchange: Exchange) -> Steps | None:
        """Return what is told of each step of a request that has just started, None for most.

        A followed request costs a call before and after every await; another costs this one.
        The last step ends after `request_finished`.
        """
        return None

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
    follow: Callable[[Exchange], Steps | None] | None = None

    @property
    def events(self) -> tuple[str, ...]:
        """The events that anybody listens to."""
        told = tuple(event for event in EVENTS if getattr(self, event) is not None)
        return told if self.follow is None else (*told, "follow")


EVENTS = tuple(field.name for field in fields(Hears) if field.name != "follow")


def hears(observers: Sequence[Observer], method: str, template: str | None) -> Hears:
    """Return whom to tell of each event of a route."""
    watching = [observer for observer in observers if observer.watches(method, template)]
    return Hears(
        **{event: _teller(watching, event) for event in EVENTS}, follow=_following(watching)
    )


def _overridden(observers: Sequence[Observer], event: str) -> list[Callable[..., Any]]:
    original = getattr(Observer, event)
    return [
        getattr(observer, event)
        for observer in observers
        if getattr(type(observer), event) is not original
    ]


def _following(observers: Sequence[Observer]) -> Callable[[Exchange], Steps | None] | None:
    followers = _overridden(observers, "follow")

    def follow(exchange: Exchange) -> Steps | None:
        followed = []
        for each in followers:
            try:
                steps = each(exchange)
            except Exception:
                _report(each)
            else:
                if steps is not None:
                    followed.append(steps)
        return _GuardedSteps(followed) if followed else None

    return follow if followers else None


class _GuardedSteps:
    """Tells all that follow one request, the one that resumed last being suspended first."""

    __slots__ = ("_followed",)

    def __init__(self, followed: Sequence[Steps]) -> None:
        self._followed = followed

    def resumed(self) -> None:
        for steps in self._followed:
            try:
                steps.resumed()
            except Exception:
                _report(type(steps).resumed)

    def suspended(self) -> None:
        for steps in reversed(self._followed):
            try:
                steps.suspended()
            except Exception:
                _report(type(steps).suspended)


class Stepped:
    """Runs a coroutine when it is awaited, and tells of each of its steps."""

    __slots__ = ("_coroutine", "_steps")

    def __init__(self, coroutine: Coroutine[Any, Any, Any], steps: Steps) -> None:
        self._coroutine = coroutine
        self._steps = steps

    def __await__(self) -> Generator[Any, None, Any]:
        raised: BaseException | None = None
        try:
            while True:
                self._steps.resumed()
                try:
                    if raised is None:
                        awaited = self._coroutine.send(None)
                    else:
                        awaited = self._coroutine.throw(raised)
                except StopIteration as returned:
                    return returned.value
                finally:
                    self._steps.suspended()
                raised = None
                try:
                    yield awaited
                except GeneratorExit:
                    raise
                except BaseException as error:
                    raised = error
        finally:
            self._coroutine.close()


async def stepped(coroutine: Coroutine[Any, Any, Value], steps: Steps) -> Value:
    """Run a coroutine and tell of each of its steps."""
    value: Value = await Stepped(coroutine, steps)
    return value


@contextmanager
def one_step(steps: Steps | None) -> Iterator[None]:
    """Tell of what runs in this context as one step."""
    if steps is None:
        yield
        return
    steps.resumed()
    try:
        yield
    finally:
        steps.suspended()


def _teller(observers: Sequence[Observer], event: str) -> Tell | None:
    facts = len(signature(getattr(Observer, event)).parameters) - 2
    tellers = [_guarded(listener, facts) for listener in _overridden(observers, event)]
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
