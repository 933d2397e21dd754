"""Every event that an observer may listen to, with its arguments and units.

Subclass `Observer`, override the events of interest and hand an instance to
`RestApplication.observe`. Only overridden events are wired into a route's plan when it
is compiled; a route that nothing observes runs code which has no trace of them.

The order of one request: `request_started`, then any of `worker_waited`, `decided`,
`dependency_made`, `handler_called`, `rendered`, then `dependency_closed` and
`response_started`, which come the other way round for a stream, and at last
`request_finished`, exactly once, also after an error, a disconnect or a
cancellation. Events of one request never overlap, but they
may come from the event loop and from a worker thread, and requests overlap freely:
keep what belongs to one request in `exchange.notes`, a dict of that request's own.

An observer must not raise; if it does, the error is logged once per event and the
request goes on. Times are seconds of `time.perf_counter`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from restmachine.exchange import Exchange

Listeners = Sequence[Callable[..., None]]
"""The overridden methods of one event, in the order in which observers were added."""

logger = logging.getLogger("restmachine")


class Observer:
    """Hears of each request; every method does nothing until it is overridden."""

    def request_started(self, exchange: Exchange) -> None:
        """The route is known and nothing else has happened."""

    def worker_waited(self, exchange: Exchange, seconds: float) -> None:
        """The request began to run on a worker thread after waiting *seconds* for it."""

    def decided(self, exchange: Exchange, decision: str, answer: bool) -> None:
        """The decision with this id of the chart was answered."""

    def dependency_made(self, exchange: Exchange, name: str, seconds: float) -> None:
        """A dependency was made; *seconds* includes the dependencies it asked for."""

    def dependency_closed(self, exchange: Exchange, name: str, seconds: float) -> None:
        """A generator dependency was torn down in *seconds*."""

    def handler_called(self, exchange: Exchange, seconds: float) -> None:
        """The handler returned or raised after *seconds*, dependencies not included."""

    def rendered(self, exchange: Exchange, seconds: float) -> None:
        """The handler's result became content in *seconds*."""

    def response_started(self, exchange: Exchange, status: int) -> None:
        """The status and header fields were handed to the server."""

    def request_finished(self, exchange: Exchange, status: int, sent_bytes: int) -> None:
        """The last byte was handed to the server and every dependency is torn down.

        *sent_bytes* counts content without header fields. *status* is 499 when the
        client left before the response started.
        """


def listeners(observers: Sequence[Observer], event: str) -> Listeners:
    """Return the methods that observers override for an event, bound to each."""
    original = getattr(Observer, event)
    return tuple(
        getattr(observer, event)
        for observer in observers
        if getattr(type(observer), event) is not original
    )


def notify(hearing: Listeners, exchange: Exchange, *facts: Any) -> None:
    """Tell every listener; one that raises is logged the first time and never stops the rest."""
    for listener in hearing:
        try:
            listener(exchange, *facts)
        except Exception:
            if listener not in _failed:
                _failed.add(listener)
                logger.exception(
                    "The observer %s failed; further failures are not logged", listener
                )


_failed: set[Callable[..., None]] = set()
